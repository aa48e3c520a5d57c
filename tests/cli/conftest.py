"""Runs `synbt` in this process, as the shell would, with a generator that costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from analytic import breast_image, ellipsoid
from synbt_aug.cli import main
from synbt_aug.contract import contract_of
from synbt_aug.data.nifti import write_volume
from synbt_aug.networks import VQVAE, Denoiser, DenoiserSettings, VQVAESettings
from synbt_aug.signal.hole import fill_hole
from synbt_aug.signal.intensity import inverse_knee
from synbt_aug.texture import PaintingJob
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import Template, TumorBank
from synbt_aug.weights import Weights, save_weights


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def synbt(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def run(*arguments: object) -> Outcome:
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return run


class PlainTexture:
    """Tumors twice as bright in post as what was there; holes without a tumor filled smoothly."""

    name = "diffusion"
    needs_signal = False
    replaces = False

    def __init__(
        self, *networks: Any, hole_margin_mm: float, runs: object = None, **settings: Any
    ) -> None:
        self.hole_margin_mm, self.settings = hole_margin_mm, settings

    def recipe(self) -> dict[str, object]:
        return {"name": self.name, "sampler": "ddim", **self.settings}

    def for_recipe(self, recorded: Mapping[str, object]) -> PlainTexture:
        return self

    def __call__(self, job: PaintingJob) -> Tensor:
        painted = inverse_knee(fill_hole(job.q, job.hole, job.known))
        # A voxel wider than the mask: the blend takes away what is too much.
        tumor = functional.max_pool3d(job.mask.float(), 3, 1, 1)
        painted[:, 0] += 0.2 * tumor
        painted[:, 1] += 2.0 * tumor
        return painted


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder of small untrained networks and three round templates."""
    grid = np.linalg.norm(np.mgrid[-12:13, -12:13, -12:13], axis=0)
    looks = Appearance(1.0, 0.1, 1.0, 0.1, "mass")
    bank = TumorBank(
        tuple(Template(torch.from_numpy(grid <= r), looks, f"ball {r}") for r in (5, 8, 11))
    )
    autoencoder = VQVAE(VQVAESettings(channels=(4, 8), codebook_size=16))
    denoiser = Denoiser(DenoiserSettings(channels=(8, 16), norm_groups=4, head_channels=8))
    contract = contract_of(autoencoder, denoiser)
    folder = tmp_path_factory.mktemp("weights")
    return save_weights(Weights("tiny", contract, autoencoder, denoiser, bank), folder)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paint without networks."""
    monkeypatch.setattr("synbt_aug.texture.choice.TumorInpainter", PlainTexture)


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The analytic breast with a 12 mm tumor: pre, post and tumor.nii.gz at 1.5 mm, int16."""
    spacing = (1.5, 1.5, 1.5)
    image = breast_image(spacing)
    shape = tuple(image.shape[1:])
    tumor = ellipsoid(shape, (36.0, 36.0, 20.0), (6.0, 6.0, 6.0), spacing)
    image[1][tumor] += 200
    folder = tmp_path_factory.mktemp("scans")
    affine = np.diag([-1.5, -1.5, 1.5, 1.0])
    for name, channel in (("pre", image[0]), ("post", image[1])):
        stored = channel.round().numpy().astype(np.int16)
        write_volume(folder / f"{name}.nii.gz", stored, affine)
    write_volume(folder / "tumor.nii.gz", tumor.numpy().astype(np.uint8), affine)
    return folder
