from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from synbt_aug.errors import SynBTError
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.tissue import TissueMap, tissue_labels
from synbt_aug.volume import Spacing

Cli = Callable[..., int]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    phantom = make_phantom(11, PhantomSettings(shape=(128, 128, 96), density="c"))
    for name, volume in (("pre", phantom.pre), ("post", phantom.post[0])):
        nib.save(nib.Nifti1Image(volume, phantom.affine), folder / f"{name}.nii.gz")
    mask = phantom.tumor.astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, phantom.affine), folder / "tumor.nii.gz")
    return folder


class Known:
    """Finds a phantom's tissues without a network."""

    def __init__(self) -> None:
        phantom = make_phantom(11, PhantomSettings(shape=(128, 128, 96), density="c"))
        known = tissue_labels(phantom.labels, phantom.breast)
        self.labels = torch.from_numpy(known.transpose(2, 1, 0).copy())
        self.network = torch.nn.Identity()

    def __call__(
        self, pre: torch.Tensor, spacing: Spacing, valid: torch.Tensor | None = None
    ) -> TissueMap:
        return TissueMap.of_labels(self.labels, spacing)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Known:
    found = Known()
    monkeypatch.setattr("synbt_aug.tissue.segmenter.load_segmenter", lambda name: found)
    return found


def test_tissues_and_sites_are_written_on_the_scans_grid(
    scans: Path, known: Known, tmp_path: Path
) -> None:
    from synbt_aug.cli.app import app

    options = {
        "-o": tmp_path / "t.nii.gz",
        "--post": scans / "post.nii.gz",
        "--sites": tmp_path / "s.nii.gz",
        "--existing": scans / "tumor.nii.gz",
        "--picture": tmp_path / "p.png",
    }
    pairs = [str(word) for option in options.items() for word in option]
    _run(app, ["tissue", str(scans / "pre.nii.gz"), *pairs])
    pre = nib.load(scans / "pre.nii.gz")
    tissue, sites = (nib.load(tmp_path / f"{name}.nii.gz") for name in "ts")
    assert tissue.shape == sites.shape == pre.shape
    assert np.allclose(tissue.affine, pre.affine) and np.allclose(sites.affine, pre.affine)
    labels = np.asarray(tissue.dataobj)
    assert (labels == known.labels.numpy().T).mean() > 0.97
    weight = np.asarray(sites.dataobj)
    tumor = np.asarray(nib.load(scans / "tumor.nii.gz").dataobj) > 0
    assert weight.max() > 0.5 and not weight[tumor].any()
    assert not weight[labels == 0].any()
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width > 300


def test_sites_come_without_a_post_contrast_scan(
    scans: Path, known: Known, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from synbt_aug.cli.app import app

    where = ["-o", str(tmp_path / "t.nii.gz"), "--sites", str(tmp_path / "s.nii.gz")]
    _run(app, ["tissue", str(scans / "pre.nii.gz"), *where])
    assert "fibroglandular tissue" in capsys.readouterr().out


def test_an_input_is_not_overwritten(scans: Path) -> None:
    from synbt_aug.cli.app import app

    pre = str(scans / "pre.nii.gz")
    with pytest.raises(SynBTError, match="would be overwritten"):
        _run(app, ["tissue", pre, "-o", pre])


def test_another_ending_is_told(scans: Path, tmp_path: Path) -> None:
    from synbt_aug.cli.app import app

    with pytest.raises(SynBTError, match=r"written as a \.nii\.gz file, not t\.png"):
        _run(app, ["tissue", str(scans / "pre.nii.gz"), "-o", str(tmp_path / "t.png")])


def test_training_from_nothing_makes_its_label_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from synbt_aug.cli.app import app
    from synbt_aug.tissue.segmenter import load_segmenter
    from synbt_aug.train import label_maps

    monkeypatch.setattr(label_maps, "FIELDS_MM", ((64, 64, 48),))
    _run(app, ["train", "tissue", "-o", str(tmp_path), "--preset", "tiny", "--accelerator", "cpu"])
    assert len(list((tmp_path / "label_maps").glob("phantom_0000000.*.npz"))) == 1
    assert load_segmenter(tmp_path).card["training"]["steps"] == 3
    assert "tissue.safetensors" in capsys.readouterr().out


def _run(app: object, arguments: list[str]) -> None:
    app(args=arguments, standalone_mode=False)  # type: ignore[operator]
