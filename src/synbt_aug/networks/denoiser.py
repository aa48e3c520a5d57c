"""The network that takes the noise out of a latent, told what lies around and what is wished.

Sampling and schedules are elsewhere; here is one forward pass.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch
from monai.networks.nets import DiffusionModelUNet
from torch import Tensor, nn

from synbt_aug.errors import SynBTError
from synbt_aug.networks.plain_settings import MAX_WIDTH, check_widths, from_plain
from synbt_aug.networks.schedule import Prediction
from synbt_aug.networks.stable_keys import StableKeys
from synbt_aug.support.number import check_whole


@dataclass(frozen=True)
class DenoiserSettings:
    """The shape of the network (ours: the paper says "a specially designed UNet").

    Args:
        latent_channels: Of the autoencoder (paper: 8).
        channels: Width a level.
        residual_blocks: A level.
        norm_groups: Of the group normalisation; divides each width.
        head_channels: Of the attention in the middle block.
        appearance_inputs: Numbers that describe a tumor.
        predicts: "v" or "noise". The paper predicts noise; in a first trial v was far ahead.

    Raises:
        SynBTError: If no such network can be made.
    """

    latent_channels: int = 8
    channels: tuple[int, ...] = (32, 64, 128)
    residual_blocks: int = 1
    norm_groups: int = 16
    head_channels: int = 32
    appearance_inputs: int = 7
    predicts: Prediction = "v"

    def __post_init__(self) -> None:
        check_whole("latent_channels", self.latent_channels, 1, 64)
        check_widths("channels", self.channels, levels=(1, 6))
        check_whole("residual_blocks", self.residual_blocks, 1, 16)
        check_whole("norm_groups", self.norm_groups, 1, MAX_WIDTH)
        check_whole("head_channels", self.head_channels, 1, MAX_WIDTH)
        check_whole("appearance_inputs", self.appearance_inputs, 1, 64)
        if any(width % self.norm_groups for width in self.channels):
            raise SynBTError(
                f"norm_groups must divide each of channels {self.channels}, got "
                f"{self.norm_groups}. Write for example norm_groups=1."
            )
        if self.channels[-1] % self.head_channels:
            raise SynBTError(
                f"head_channels must divide the last of channels {self.channels}, got "
                f"{self.head_channels}. Write for example head_channels={self.channels[-1]}."
            )
        if self.predicts not in get_args(Prediction):
            raise SynBTError(f"predicts needs 'v' or 'noise', got {self.predicts!r}.")

    @property
    def divisor(self) -> int:
        """What the sides of a latent must divide by."""
        return int(2 ** (len(self.channels) - 1))

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DenoiserSettings:
        """The inverse of `to_dict`."""
        return from_plain(cls, values)


class Denoiser(StableKeys):
    """MONAI's 3D diffusion UNet with appearance as a second embedding beside time.

    7.1 M parameters at the defaults. It works on latents of mean 0 and SD 1 a channel; the
    statistics of the autoencoder's latents are saved with it (`normalise`, `restore`).

    Args:
        settings: Shape of the network.

    Attributes:
        latent_mean: Of each latent channel, shape `(8,)`.
        latent_std: Likewise.
    """

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, settings: DenoiserSettings = DenoiserSettings()) -> None:
        super().__init__()
        self.settings = s = settings
        self.unet = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=2 * s.latent_channels + 1,
            out_channels=s.latent_channels,
            channels=s.channels,
            attention_levels=(False,) * len(s.channels),
            num_res_blocks=s.residual_blocks,
            norm_num_groups=s.norm_groups,
            with_conditioning=False,
            num_head_channels=s.head_channels,
            num_class_embeds=1,
        )
        # MONAI adds class_embedding(class_labels) to the embedding of time. Its table of
        # integers gives way to an MLP that takes numbers, so that appearance is continuous.
        width = s.channels[0] * 4
        self.unet.class_embedding = nn.Sequential(
            nn.Linear(2 * s.appearance_inputs, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.register_buffer("latent_mean", torch.zeros(s.latent_channels))
        self.register_buffer("latent_std", torch.ones(s.latent_channels))
        self._set_key_table({our_name(key): key for key in nn.Module.state_dict(self)})

    def normalise(self, z: Tensor) -> Tensor:
        """Latent of the autoencoder `(B, 8, d, h, w)` -> mean 0 and SD 1 a channel."""
        return (z - _channels(self.latent_mean)) / _channels(self.latent_std)

    def restore(self, z: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return z * _channels(self.latent_std) + _channels(self.latent_mean)

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        z_masked: Tensor,
        mask: Tensor,
        appearance: Tensor,
        appearance_known: Tensor,
    ) -> Tensor:
        """Predict v or noise.

        Args:
            z_t: Noisy latent, normalised, shape `(B, 8, d, h, w)`, sides divisible by 4.
            t: Steps, shape `(B,)`, int64.
            z_masked: Latent of the window with its hole filled, normalised, same shape.
            mask: Share of tumor in each latent voxel, in [0, 1], shape `(B, 1, d, h, w)`.
            appearance: Normalised numbers, shape `(B, A)`.
            appearance_known: 1 where the number counts, 0 where it is left to the network.

        Returns:
            Shape of `z_t`, float32.

        Raises:
            ValueError: If the shapes do not fit.
        """
        s = self.settings
        if z_t.ndim != 5 or any(n % s.divisor for n in z_t.shape[2:]):
            raise ValueError(
                f"Denoiser needs latents (B, {s.latent_channels}, d, h, w) with sides divisible "
                f"by {s.divisor}, got {tuple(z_t.shape)}. Use windows of 64, 96 or 128 mm."
            )
        if appearance.shape[1:] != (s.appearance_inputs,):
            raise ValueError(
                f"Denoiser takes {s.appearance_inputs} numbers of appearance, got shape "
                f"{tuple(appearance.shape)}. Make them with Appearance.to_model()."
            )
        told = torch.cat([appearance * appearance_known, appearance_known], dim=1)
        x = torch.cat([z_t, z_masked, 2 * mask - 1], dim=1)
        prediction: Tensor = self.unet(x, t, class_labels=told)
        return prediction.float()


def guided(
    denoiser: nn.Module,
    z_t: Tensor,
    t: Tensor,
    z_masked: Tensor,
    mask: Tensor,
    appearance: Tensor,
    appearance_known: Tensor,
    *,
    guidance: float = 1.0,
) -> Tensor:
    """Predict with classifier-free guidance towards the wished appearance.

    Args:
        denoiser: A `Denoiser`, maybe wrapped; the next six as for its `forward`.
        z_t: Noisy latent.
        t: Steps.
        z_masked: Latent of the filled window.
        mask: Share of tumor.
        appearance: Normalised numbers.
        appearance_known: Which of them count.
        guidance: 1 is the plain prediction and costs one pass; others cost two.

    Source:
        Ho and Salimans, "Classifier-free diffusion guidance", 2022, eq. 6.
    """
    wished: Tensor = denoiser(z_t, t, z_masked, mask, appearance, appearance_known)
    if guidance == 1.0:
        return wished
    nothing = torch.zeros_like(appearance_known)
    free: Tensor = denoiser(z_t, t, z_masked, mask, appearance, nothing)
    return torch.lerp(free, wished, guidance)


# From MONAI's names (1.4 to 1.6) to ours, applied in this order.
_RENAMES = (
    (r"^unet\.", ""),
    (r"^conv_in\.conv\.", "input."),
    (r"^time_embed\.0\.", "time.first."),
    (r"^time_embed\.2\.", "time.second."),
    (r"^class_embedding\.0\.", "appearance.first."),
    (r"^class_embedding\.2\.", "appearance.second."),
    (r"^down_blocks\.(\d+)\.", r"down\1."),
    (r"^up_blocks\.(\d+)\.", r"up\1."),
    (r"^middle_block\.resnet_1\.", "middle.residual0."),
    (r"^middle_block\.resnet_2\.", "middle.residual1."),
    (r"^middle_block\.attention\.attn\.to_([qkv])\.", r"middle.attention.\1."),
    (r"^middle_block\.attention\.attn\.out_proj\.", "middle.attention.out."),
    (r"^middle_block\.attention\.", "middle.attention."),
    (r"\.resnets\.(\d+)\.", r".residual\1."),
    (r"\.time_emb_proj\.", ".time."),
    (r"\.skip_connection\.conv\.", ".skip."),
    (r"\.(conv[12])\.conv\.", r".\1."),
    (r"\.downsampler\.op\.conv\.", ".shrink."),
    (r"\.upsampler\.postconv\.conv\.", ".grow."),
    (r"^out\.0\.", "output.norm."),
    (r"^out\.2\.conv\.", "output.conv."),
)


def our_name(key: str) -> str:
    """Our name of a weight of MONAI's UNet."""
    for pattern, ours in _RENAMES:
        key = re.sub(pattern, ours, key)
    return key


def _channels(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1, 1)
