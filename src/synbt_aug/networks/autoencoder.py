"""Encoder, codebook and decoder of the patch-to-volume VQ-VAE.

Both halves are MONAI's and hold no normalisation and no attention. Two facts rest
on that, and tests hold them: latents encoded patch by patch equal those of the whole
volume 8 latent voxels away from a seam, and a box decoded from what each layer reaches
equals the crop of the full decode.

Loss functions and training live in `synbt_aug.train`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from math import prod
from typing import Any, NamedTuple

import torch
from monai.networks.nets.vqvae import Decoder, Encoder
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.networks.codebook import Codebook
from synbt_aug.networks.decoded_part import decoded_part
from synbt_aug.networks.plain_settings import check_widths, from_plain
from synbt_aug.networks.stable_keys import StableKeys
from synbt_aug.support.number import check_number, check_whole

LatentBox = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First and last-plus-one latent voxel along d, h and w."""

# (kernel, padding) that divides or multiplies the sides exactly by the stride.
_KERNELS = {1: (3, 1), 2: (4, 1)}


@dataclass(frozen=True)
class VQVAESettings:
    """The shape of the networks; the defaults are the paper's where it speaks.

    Args:
        image_channels: Pre- and post-contrast (paper: 2).
        channels: Width a level; 32 first, doubling (paper).
        strides: Step a level, 1 or 2; their product is the compression (paper: 4).
        residual_layers: Residual blocks a level (ours).
        codebook_size: Number of codes (paper: 8192).
        latent_channels: Length of a code (paper: 8).
        decay: Of the codebook's running averages (ours).
        commitment: Weight of the commitment loss (ours).

    Raises:
        SynBTError: If no such network can be made.
    """

    image_channels: int = 2
    channels: tuple[int, ...] = (32, 64)
    strides: tuple[int, ...] = (2, 2)
    residual_layers: int = 2
    codebook_size: int = 8192
    latent_channels: int = 8
    decay: float = 0.99
    commitment: float = 0.25

    def __post_init__(self) -> None:
        check_whole("image_channels", self.image_channels, 1, 64)
        check_widths("channels", self.channels, levels=(1, 6))
        check_whole("residual_layers", self.residual_layers, 0, 16)
        check_whole("codebook_size", self.codebook_size, 1, 2**20)
        check_whole("latent_channels", self.latent_channels, 1, 64)
        check_number("decay", self.decay, 0, 1)
        check_number("commitment", self.commitment, 0)
        strides = self.strides if isinstance(self.strides, tuple) else ()
        if len(self.channels) != len(strides) or not all(s in _KERNELS for s in strides):
            raise SynBTError(
                f"VQVAESettings needs one stride of 1 or 2 for each of its channels, got channels "
                f"{self.channels} and strides {self.strides}. Write for example "
                f"channels=(32, 64), strides=(2, 2)."
            )

    @property
    def factor(self) -> int:
        """Voxels along the side of one latent voxel."""
        return prod(self.strides)

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VQVAESettings:
        """The inverse of `to_dict`."""
        return from_plain(cls, values)


class VQVAEOutput(NamedTuple):
    """What a training pass returns.

    Args:
        reconstruction: Shape `(B, 2, D, H, W)`.
        z: The continuous latent, shape `(B, 8, d, h, w)`, detached.
        codes: Code numbers, shape `(B, d, h, w)`; empty when nothing was quantized.
        commitment: The weighted commitment loss, a scalar.
    """

    reconstruction: Tensor
    z: Tensor
    codes: Tensor
    commitment: Tensor


class VQVAE(StableKeys):
    """Compresses a two-channel volume 4-fold along each axis into codes.

    Image `(B, 2, D, H, W)` of mapped intensities, sides divisible by 4; latent
    `(B, 8, D/4, H/4, W/4)`, always float32. 1.4 M parameters at the defaults.

    Args:
        settings: Shape of the networks.

    Source:
        Yang et al., "SynBT", section 2.1 and 3.1; Wang et al., "3D MedDiffusion", 2025.
    """

    def __init__(self, settings: VQVAESettings = VQVAESettings()) -> None:
        super().__init__()
        self.settings = s = settings
        down = tuple((k, *_kernel(k)) for k in s.strides)
        up = tuple((k, *_kernel(k), 0) for k in reversed(s.strides))
        common = dict(
            spatial_dims=3,
            channels=s.channels,
            num_res_layers=s.residual_layers,
            num_res_channels=s.channels,
            dropout=0.0,
            act="RELU",
        )
        self.encoder = Encoder(
            in_channels=s.image_channels,
            out_channels=s.latent_channels,
            downsample_parameters=down,
            **common,
        )
        self.decoder = Decoder(
            in_channels=s.latent_channels,
            out_channels=s.image_channels,
            upsample_parameters=up,
            output_act=None,
            **common,
        )
        self.codebook = Codebook(
            s.codebook_size, s.latent_channels, decay=s.decay, commitment=s.commitment
        )
        self._set_key_table(key_table(s))

    def encode(self, x: Tensor) -> Tensor:
        """Encode in one pass.

        Args:
            x: Mapped intensities, shape `(B, 2, D, H, W)`, sides divisible by 4.

        Returns:
            Continuous latent, shape `(B, 8, D/4, H/4, W/4)`, float32.

        Raises:
            ValueError: If `x` has another shape.
        """
        s = self.settings
        if x.ndim != 5 or x.shape[1] != s.image_channels or any(n % s.factor for n in x.shape[2:]):
            raise ValueError(
                f"VQVAE.encode needs (B, {s.image_channels}, D, H, W) with sides divisible by "
                f"{s.factor}, got {tuple(x.shape)}. Pad the volume or cut a window first."
            )
        z: Tensor = self.encoder(x)
        return z.float()

    def encode_patches(self, x: Tensor, patch: int = 64) -> Tensor:
        """Encode patch by patch and join the latents in grid order (the paper's way).

        Args:
            x: As for `encode`. The last patch along an axis may be smaller.
            patch: Side of a patch in voxels (paper: 64), divisible by 4.

        Returns:
            As `encode`. Latents next to a seam differ from those of one pass.
        """
        f = self.settings.factor
        if patch % f:
            raise ValueError(f"patch must be divisible by {f}, got {patch}. Use patch=64.")
        sides = [n // f for n in x.shape[2:]]
        z = x.new_empty(x.shape[0], self.settings.latent_channels, *sides, dtype=torch.float32)
        for box in _grid(tuple(x.shape[2:]), patch):
            latent = [slice(s.start // f, s.stop // f) for s in box]
            z[:, :, latent[0], latent[1], latent[2]] = self.encode(_crop(x, box))
        return z

    def quantize(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Replace each latent vector by its nearest code.

        Args:
            z: Latent, shape `(B, 8, d, h, w)`.

        Returns:
            The quantized latent, same shape, and the code numbers `(B, d, h, w)`.
        """
        codes = self.codebook.codes(z)
        return self.codebook.lookup(codes), codes

    def decode(self, z_q: Tensor) -> Tensor:
        """Decode in one pass.

        Args:
            z_q: Latent, quantized as a rule, shape `(B, 8, d, h, w)`.

        Returns:
            Mapped intensities, shape `(B, 2, 4d, 4h, 4w)`, float32.
        """
        x: Tensor = self.decoder(z_q)
        return x.float()

    def decode_window(self, z_q: Tensor, box: LatentBox) -> Tensor:
        """Decode a box of the latent; equals the crop of the full decode.

        Each layer computes what the next ones take of it, and no more.

        Args:
            z_q: The whole latent, shape `(B, 8, d, h, w)`.
            box: What to decode, in latent voxels.

        Returns:
            Mapped intensities of the box, shape `(B, 2, 4 (d1 - d0), ...)`.
        """
        f = self.settings.factor
        sides = z_q.shape[2:]
        if any(not 0 <= lo < hi <= n for (lo, hi), n in zip(box, sides, strict=True)):
            raise ValueError(
                f"decode_window needs a box inside the latent {tuple(sides)}, got {box}. "
                f"Give ((d0, d1), (h0, h1), (w0, w1)) in latent voxels."
            )
        x = decoded_part(self.decoder, z_q, [slice(lo * f, hi * f) for lo, hi in box])
        return x.float()

    def forward(
        self, x: Tensor, *, quantized: bool = True, keep: Tensor | None = None
    ) -> VQVAEOutput:
        """One training pass; does not move the codebook.

        Args:
            x: As for `encode`.
            quantized: False before the codebook is initialised: the latent goes to
                the decoder as it is, and is only kept from growing.
            keep: Shape `(B,)`, bool: which samples give the continuous latent to the
                decoder in place of the code.

        Returns:
            Reconstruction, latent, codes and commitment loss.
        """
        z = self.encode(x)
        if not quantized:
            empty = torch.empty(0, dtype=torch.long, device=z.device)
            return VQVAEOutput(self.decode(z), z.detach(), empty, 1e-4 * z.square().mean())
        z_q, codes, commitment = self.codebook(z)
        if keep is not None:
            z_q = torch.where(keep.view(-1, 1, 1, 1, 1), z, z_q)
        return VQVAEOutput(self.decode(z_q), z.detach(), codes, commitment)


def key_table(settings: VQVAESettings) -> dict[str, str]:
    """Our key names and, for each, the one of MONAI's blocks (as of MONAI 1.4 to 1.6)."""
    levels, layers = len(settings.channels), settings.residual_layers
    theirs: dict[str, str] = {}

    def residual(half: str, ours: str, block: int) -> None:
        theirs[f"{ours}.first"] = f"{half}.blocks.{block}.conv1.conv"
        theirs[f"{ours}.second"] = f"{half}.blocks.{block}.conv2.conv"

    for level in range(levels):
        first = level * (1 + layers)
        theirs[f"encoder.level{level}.down"] = f"encoder.blocks.{first}.conv"
        for layer in range(layers):
            residual("encoder", f"encoder.level{level}.residual{layer}", first + 1 + layer)
    theirs["encoder.to_latent"] = f"encoder.blocks.{levels * (1 + layers)}.conv"

    theirs["decoder.from_latent"] = "decoder.blocks.0.conv"
    for level in range(levels):
        first = 1 + level * (1 + layers)
        for layer in range(layers):
            residual("decoder", f"decoder.level{level}.residual{layer}", first + layer)
        theirs[f"decoder.level{level}.up"] = f"decoder.blocks.{first + layers}.conv"

    table = {
        f"{ours}.{kind}": f"{name}.{kind}"
        for ours, name in theirs.items()
        for kind in ("weight", "bias")
    }
    own = ("vectors", "cluster_size", "vector_sum", "initialised")
    return {**table, **{f"codebook.{name}": f"codebook.{name}" for name in own}}


def _kernel(stride: int) -> tuple[int, int, int]:
    """MONAI's (kernel, dilation, padding) for a stride, or for its transpose."""
    kernel, padding = _KERNELS[stride]
    return kernel, 1, padding


def _crop(volume: Tensor, box: Sequence[slice]) -> Tensor:
    """The box of a volume `(B, C, D, H, W)`."""
    return volume[:, :, box[0], box[1], box[2]]


def _grid(sides: tuple[int, ...], patch: int) -> Iterator[tuple[slice, ...]]:
    """Boxes of side `patch` that tile the volume, in grid order."""
    starts = [range(0, n, patch) for n in sides]
    for corner in product(*starts):
        yield tuple(slice(c, min(c + patch, n)) for c, n in zip(corner, sides, strict=True))
