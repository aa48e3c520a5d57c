"""A perceptual distance, from a file the user gives.

Distance of the features of MedicalNet's 3D ResNet-10 (Chen et al., "Med3D", 2019).
Nothing is downloaded; the file is read as tensors alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import resnet10
from torch import Tensor, nn

from synbt_aug.errors import SynBTError, first_line
from synbt_aug.networks.tensor_files import load_tensors


class PerceptualDistance(nn.Module):
    """Mean squared distance of unit-length features, each channel an image of its own.

    Args:
        network: A frozen network from `(N, 1, D, H, W)` to `(N, F, d, h, w)`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Compare images `(B, 2, D, H, W)`; returns a scalar."""
        features = [self._features(x) for x in (a, b)]
        return (features[0] - features[1]).square().sum(1).mean()

    def _features(self, x: Tensor) -> Tensor:
        single = x.flatten(0, 1)[:, None]
        # MedicalNet was trained on volumes of mean 0 and SD 1.
        axes = (1, 2, 3, 4)
        single = (single - single.mean(axes, keepdim=True)) / (
            single.std(axes, keepdim=True) + 1e-6
        )
        return nn.functional.normalize(self.network(single).float(), dim=1, eps=1e-6)


def load_perceptual(path: str | Path) -> PerceptualDistance:
    """Load `resnet_10_23dataset.pth` of MedicalNet, or its weights as safetensors.

    Raises:
        SynBTError: If the file cannot be read, or does not fit a 3D ResNet-10.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            state: Any = load_tensors(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file may raise
        raise SynBTError(
            f"{path} cannot be read as a network's weights ({first_line(error)}). Give "
            f"MedicalNet's resnet_10_23dataset.pth."
        ) from error
    network = resnet10(
        spatial_dims=3,
        n_input_channels=1,
        shortcut_type="B",
        bias_downsample=False,
        feed_forward=False,
    )
    try:
        state = state.get("state_dict", state)
        network.load_state_dict({key.removeprefix("module."): state[key] for key in state})
    except (AttributeError, TypeError, RuntimeError) as error:
        raise SynBTError(
            f"{path} does not hold a 3D ResNet-10. Give MedicalNet's resnet_10_23dataset.pth."
        ) from error
    # Features at an eighth of the resolution, before they are averaged over the volume.
    trunk = nn.Sequential(
        network.conv1, network.bn1, network.act, network.maxpool, network.layer1, network.layer2
    )
    return PerceptualDistance(trunk)
