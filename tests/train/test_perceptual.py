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


@pytest.mark.parametrize(
    "content",
    [{"state_dict": {"conv1.weight": torch.zeros(1)}}, torch.zeros(3), [1, 2], {3: 4}, {"a": "b"}],
    ids=["another network", "tensor", "list", "numbers", "text"],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(SynBTError, match="does not hold a 3D ResNet-10"):
        load_perceptual(tmp_path / "other.pth")


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
@pytest.mark.parametrize("kept", [0, 9, 3000])
def test_a_truncated_file_is_refused(path: Path, tmp_path: Path, name: str, kept: int) -> None:
    (tmp_path / name).write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SynBTError, match="cannot be read as a network's weights"):
        load_perceptual(tmp_path / name)
