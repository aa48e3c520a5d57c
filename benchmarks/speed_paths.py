"""What is timed: one tumor in a window, the paper's whole volume, nnU-Net's training step.

The paper's path, with the networks that are measured: 18 patches of 64^3 of a volume of
128x192x192 are encoded and joined, 10 DDIM steps are made on all of the latent, and all of it is
decoded.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speed_meters import Launches
from torch import Tensor, nn

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.networks import VQVAE, Denoiser
from synbt_aug.networks.precision import autocast
from synbt_aug.phantom import make_phantom
from synbt_aug.runner import Painter
from synbt_aug.support.graphs import Graphs, launch_by_launch
from synbt_aug.texture import TumorInpainter
from synbt_aug.tumor.wish import Wish
from synbt_aug.weights import Weights

VOLUME = (128, 192, 192)
PAPER_STEPS = 10
PATCH = (128, 160, 112)


def phantom_volume(device: torch.device) -> BreastVolume:
    """A phantom of 192x192x128 with its tumor."""
    phantom = make_phantom(1_000_000)
    image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]]))
    tumor = torch.from_numpy(phantom.tumor)
    return BreastVolume(image.to(device), phantom.spacing, tumor=tumor.to(device))


def decided(
    painter: TumorSynthesizer, host: Host, diameter_mm: float | None, seeds: Sequence[int]
) -> list[Plan]:
    """What some seeds decide in one host whose sites are known."""
    ground = Ground.of(host, painter.segmenter)
    margin, plans = painter.texture.hole_margin_mm, []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        wish = Wish(diameter_mm=diameter_mm)
        fringe = painter.texture.replaces
        (found,) = decide_all(ground, [wish], painter.bank, margin, generator, fringe=fringe)
        if isinstance(found, Plan):
            plans.append(found)
    return plans


def networks_of(painter: TumorSynthesizer) -> tuple[VQVAE, Denoiser]:
    """As they run."""
    texture = painter.texture
    assert isinstance(texture, TumorInpainter)
    return texture.autoencoder, texture.denoiser


def without_numbers(painter: TumorSynthesizer) -> tuple[VQVAE, Denoiser]:
    """Networks of the same shapes in float32 that calculate nothing: to count operations."""
    codec, denoiser = copy.deepcopy(networks_of(painter))
    return codec.float().to("meta"), denoiser.float().to("meta")


class WholeVolume:
    """The paper's path, stage by stage, on noise: numbers do not change the time."""

    def __init__(self, codec: VQVAE, denoiser: Denoiser, precision: str, device: Any) -> None:
        self.codec, self.denoiser, self.precision = codec, denoiser, precision
        self.device = torch.device(device)
        self.x = torch.zeros((1, codec.settings.image_channels, *VOLUME), device=device)
        sides = [n // codec.settings.factor for n in VOLUME]
        self.z = torch.zeros((1, codec.settings.latent_channels, *sides), device=device)

    def stages(self) -> dict[str, tuple[Callable[[], Tensor], int]]:
        """Each stage, and how often it runs."""
        return {
            "encode": (self.encode, 1),
            "denoiser": (self.step, PAPER_STEPS),
            "decode": (self.decode, 1),
        }

    def _fast(self) -> Any:
        return autocast("fp32" if self.device.type == "meta" else self.precision, self.device)

    @torch.no_grad()
    def encode(self) -> Tensor:
        with self._fast():
            return self.codec.encode_patches(self.x)

    @torch.no_grad()
    def step(self) -> Tensor:
        with self._fast():
            return one_step(self.denoiser, self.z)

    @torch.no_grad()
    def decode(self) -> Tensor:
        with self._fast():
            return self.codec.decode(self.z)


def one_step(denoiser: Denoiser, z: Tensor) -> Tensor:
    """One prediction for a latent."""
    told = torch.zeros((len(z), denoiser.settings.appearance_inputs), device=z.device)
    t = torch.full((len(z),), 500, device=z.device)
    return denoiser(z, t, z, torch.zeros_like(z[:, :1]), told, told)


@torch.no_grad()
def window_pass(codec: VQVAE, denoiser: Denoiser, shape: Sequence[int], steps: int) -> None:
    """Encode, so many steps and decode, on a device without numbers."""
    x = torch.zeros((1, codec.settings.image_channels, *shape), device="meta")
    z = codec.encode(x)
    for _ in range(steps):
        one_step(denoiser, z)
    codec.decode(z)


def launches_without_gpu(painter: TumorSynthesizer, host: Host, plans: Sequence[Plan]) -> Launches:
    """Of painting and writing one batch, by the pretend accelerator of the tests."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from pretend_accelerator import FAR, PretendAccelerator
    from pretend_graphs import pretend_graphs

    weights, texture = painter.weights, painter.texture
    assert isinstance(texture, TumorInpainter) and isinstance(weights, Weights)
    there_host = Host.of(copy.copy(host.volume), host.reference)
    hosts = [there_host] * len(plans)
    with PretendAccelerator() as there:
        graphs = isinstance(painter.runs, Graphs)
        runs = pretend_graphs(there) if graphs else launch_by_launch
        inpainter = TumorInpainter(
            there.put_module(copy.deepcopy(weights.autoencoder)),
            there.put_module(copy.deepcopy(weights.denoiser)),
            weights.schedule,
            hole_margin_mm=texture.hole_margin_mm,
            steps=texture.steps,
            precision="fp32",
            runs=runs,
        )
        there_painter = Painter(inpainter, painter.benign, painter.bank, FAR, runs)
        volume = there_host.volume
        object.__setattr__(volume, "image", there.put(volume.image))
        vars(there_host).pop("floor", None)
        # What is made once and kept is not counted, nor the second use, which records.
        for _ in range(3 if graphs else 2):
            there.reset()
            written = there_painter.paint(hosts, plans)
            for k in range(len(plans)):
                written.image(k, written.verdict.stands[k])
        return Launches(there.launches, len(there.waits), "by a pretend accelerator")


class PlannedStep:
    """One training step of the network that nnU-Net plans for patches of 128x160x112, two at once.

    Forward, backward and SGD, with deep supervision off. Needs the extra `nnunet`.
    """

    def __init__(self, device: torch.device | str) -> None:
        from dynamic_network_architectures.architectures.unet import PlainConvUNet

        self.device = torch.device(device)
        with torch.device(device):
            self.network = PlainConvUNet(
                2, 6, (32, 64, 128, 256, 320, 320), nn.Conv3d, 3,
                ((1, 1, 1), *((2, 2, 2),) * 4, (1, 2, 1)), (2,) * 6, 2, (2,) * 5,
                conv_bias=True, norm_op=nn.InstanceNorm3d, norm_op_kwargs={"affine": True},
                nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True},
            )  # fmt: skip
            self.x = torch.zeros((2, 2, *PATCH))
            self.y = torch.zeros((2, *PATCH), dtype=torch.long)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 1e-3)

    def __call__(self) -> None:
        half = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.float16, enabled=True) if half else _nothing():
            logits = self.network(self.x)
        loss = nn.functional.cross_entropy(logits.float(), self.y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()
