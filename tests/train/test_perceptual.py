"""The perceptual network, from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from monai.networks.nets import resnet10

from synbt_aug.errors import SynBTError
from synbt_aug.train.perceptual import load_perceptual


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = resnet10(
        spatial_dims=3, n_input_channels=1, shortcut_type="B", bias_downsample=False,
        feed_forward=False,
    )  # fmt: skip
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    path = tmp_path_factory.mktemp("medicalnet") / "resnet_10_23dataset.pth"
    torch.save({"state_dict": state}, path)
    return path


def test_equal_images_are_at_no_distance_and_others_are(path: Path) -> None:
    distance = load_perceptual(path)
    a = torch.randn(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    b = a.flip(2).requires_grad_()
    assert distance(a, a).item() == 0
    distance(a, b).backward()
    assert b.grad is not None and b.grad.abs().sum() > 0
    assert all(not p.requires_grad for p in distance.parameters())


def test_brightness_and_contrast_of_a_channel_do_not_count(path: Path) -> None:
    distance = load_perceptual(path)
    a = torch.randn(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(0))
    assert distance(a, 3 * a + 1).item() == pytest.approx(0.0, abs=1e-6)


def test_another_file_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(SynBTError, match="does not hold a 3D ResNet-10"):
        load_perceptual(tmp_path / "other.pth")
