"""What the VQ-VAE is asked to minimise, and the discriminator that helps.

Pure functions of images and reconstructions, `(B, 2, D, H, W)`; all in float32.
"""

from __future__ import annotations

import torch
from monai.losses import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator
from torch import Tensor, nn

from synbt_aug.signal.intensity import inverse_knee

_MOST_LINEAR = 3.0


def l1(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error."""
    return (reconstruction - image).abs().mean()


def gradient_l1(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error of finite differences, over the three axes: sharper edges."""
    error = reconstruction - image
    return torch.stack([error.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).mean()


def difference_l1(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error of post - pre: what enhances, apart from what is bright."""
    error = reconstruction - image
    return (error[:, 1] - error[:, 0]).abs().mean()


def linear_square(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Mean squared error of the signal before the knee.

    The other losses see bright tumors compressed, and the median of what is uncertain: their mean
    came back too dark by .08 reference ranges. Above q = 3 (7.4 before the knee) nothing counts,
    or a few voxels would drown the rest.
    """
    bright, ideal = (inverse_knee(q.clamp_max(_MOST_LINEAR)) for q in (reconstruction, image))
    return (bright - ideal).square().mean()


def make_discriminator(channels: int) -> PatchDiscriminator:
    """A 3D PatchGAN for crops of 16 voxels and more.

    Args:
        channels: First width; the paper names none. 64 makes 11 M parameters.
    """
    # INSTANCE, since batches of one have no batch statistics.
    return PatchDiscriminator(
        spatial_dims=3, channels=channels, in_channels=2, num_layers_d=2, norm="INSTANCE"
    )


class Adversary:
    """A discriminator with its optimizer, and both sides of the game.

    Args:
        network: As it trains, wrapped for several devices.
        raw: The same network, unwrapped.
        optimizer: Of the network.
    """

    def __init__(
        self, network: nn.Module, raw: nn.Module, optimizer: torch.optim.Optimizer
    ) -> None:
        self.network, self.raw, self.optimizer = network, raw, optimizer
        self.loss = PatchAdversarialLoss(criterion="least_squares")

    def verdict(self, reconstruction: Tensor) -> Tensor:
        """How far the reconstruction is from passing as real; gradients reach only it."""
        self.raw.requires_grad_(False)
        judged = self.raw(reconstruction)[-1].float()
        self.raw.requires_grad_(True)
        loss: Tensor = self.loss(judged, target_is_real=True, for_discriminator=False)
        return loss

    def own_loss(self, reconstruction: Tensor, image: Tensor) -> Tensor:
        """How badly the discriminator tells them apart."""
        judged = self.network(torch.cat([reconstruction.detach(), image]))[-1].float()
        fake, real = judged.chunk(2)
        loss: Tensor = 0.5 * (
            self.loss(fake, target_is_real=False, for_discriminator=True)
            + self.loss(real, target_is_real=True, for_discriminator=True)
        )
        return loss
