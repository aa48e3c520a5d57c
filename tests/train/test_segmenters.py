"""The three networks: shapes, names, files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from synbt_aug.errors import SynBTError
from synbt_aug.train import segmenters
from synbt_aug.train.files import save_network
from synbt_aug.train.segmentation_preset import segmentation_preset
from synbt_aug.train.segmenters import NETWORKS, Segmenter, SegmenterSettings, load_trained


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_two_logits_for_each_voxel(name: str) -> None:
    settings = segmentation_preset("tiny").network(name)
    q = torch.randn(1, 2, 32, 32, 32)
    assert Segmenter(settings)(q).shape == (1, 2, 32, 32, 32)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_sample_is_answered_alike_alone_and_in_a_batch(name: str) -> None:
    segmenter = Segmenter(segmentation_preset("tiny").network(name))
    q = torch.randn(2, 2, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(segmenter(q)[:1], segmenter(q[:1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("preset", ["paper", "small", "tiny"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_preset_has_fields_of_view_that_its_networks_can_halve(
    preset: str, name: str
) -> None:
    chosen = segmentation_preset(preset)
    for field_of_view in ("volume", "patch"):
        divisor = chosen.network(name).divisor
        assert all(side % divisor == 0 for side in chosen.sides(field_of_view))


@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_saved_answers_alike_when_loaded(name: str, tmp_path: Path) -> None:
    segmenter = Segmenter(segmentation_preset("tiny").network(name)).eval()
    save_network(segmenter, tmp_path, "best", {})
    q = torch.randn(1, 2, 32, 32, 32)
    loaded = load_trained(tmp_path)
    assert torch.equal(loaded(q), segmenter(q)) and not loaded.training


def test_a_damaged_or_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="best.safetensors is missing"):
        load_trained(tmp_path)
    save_network(Segmenter(SegmenterSettings("unet", (4, 8))), tmp_path, "best", {})
    (tmp_path / "best.safetensors").write_bytes(b"nothing")
    with pytest.raises(SynBTError, match="damaged"):
        load_trained(tmp_path)


def test_a_monai_without_windows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Older:
        def __init__(self, img_size: int, in_channels: int, out_channels: int) -> None: ...

    monkeypatch.setattr(segmenters, "SwinUNETR", Older)
    with pytest.raises(SynBTError, match="needs MONAI 1.5 or newer"):
        Segmenter(segmentation_preset("tiny").network("swinunetr"))


def test_settings_that_fit_no_network_are_refused() -> None:
    with pytest.raises(SynBTError, match="one of unet, nnunet, swinunetr, got 'resnet'"):
        SegmenterSettings("resnet", (4, 8))
    with pytest.raises(SynBTError, match=r"multiple of 12 up to 96, got \(16,\)"):
        SegmenterSettings("swinunetr", (16,))
    with pytest.raises(SynBTError, match="unet needs channels of 2 levels"):
        SegmenterSettings("unet", (4,))
    with pytest.raises(SynBTError, match="'instance' or 'group'"):
        SegmenterSettings("unet", (4, 8), norm="batch")
    with pytest.raises(SynBTError, match=r"group' needs channels that 4 divides, got \(4, 6\)"):
        SegmenterSettings("unet", (4, 6), norm="group")
    with pytest.raises(SynBTError, match="swinunetr takes .* up to 96"):
        SegmenterSettings("swinunetr", (960,))
    with pytest.raises(SynBTError, match="nnunet needs channels of 3 levels"):
        SegmenterSettings("nnunet", (4, 8))
