"""A part of what a decoder makes of a latent, with the work alone that reaches it.

Convolutions see a voxel or two beyond what they compute. Going from the last layer to the first,
the part of each layer's input that counts is known, and the rest is cut off. In the middle half of
a window, where its hole lies, that is .4 of the arithmetic of the level at 2 mm and .2 of that at
1 mm; the answer is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets.vqvae import Decoder, VQVAEResidualUnit
from torch import Tensor, nn


def decoded_part(decoder: Decoder, z: Tensor, part: Sequence[slice]) -> Tensor:
    """Decode a part.

    Args:
        decoder: Of convolutions and residual units, without normalisation.
        z: The whole latent, shape `(B, C, d, h, w)`.
        part: Of the voxels of the answer, along its three axes.

    Returns:
        That part of `decoder(z)`.
    """
    wanted = [list(part)]
    for block in reversed(decoder.blocks):
        wanted.append([_reached(block, voxels) for voxels in wanted[-1]])
    x, first = z, [0, 0, 0]
    for block, there in zip(decoder.blocks, reversed(wanted[1:]), strict=True):
        x, first = _cut(x, first, there)
        x, first = block(x), [start * _stride(block) for start in first]
    return _cut(x, first, wanted[0])[0]


def _stride(block: nn.Module) -> int:
    """Output voxels an input voxel, along each axis."""
    convolution = getattr(block, "conv", None)
    return convolution.stride[0] if isinstance(convolution, nn.ConvTranspose3d) else 1


def _reached(block: nn.Module, part: slice) -> slice:
    """What of a block's input some of its output comes from; it may begin before the volume."""
    if isinstance(block, VQVAEResidualUnit):
        # Two convolutions of 3 voxels.
        return slice(part.start - 2, part.stop + 2)
    convolution = block.conv
    assert isinstance(convolution, nn.Conv3d | nn.ConvTranspose3d)
    kernel, padding = convolution.kernel_size[0], int(convolution.padding[0])
    if isinstance(convolution, nn.Conv3d):
        return slice(part.start - padding, part.stop - padding + kernel - 1)
    # Input i goes to the kernel's voxels from `i * stride - padding` on.
    stride = convolution.stride[0]
    first = -((kernel - 1 - padding - part.start) // stride)
    return slice(first, (part.stop - 1 + padding) // stride + 1)


def _cut(x: Tensor, first: Sequence[int], part: Sequence[slice]) -> tuple[Tensor, list[int]]:
    """Cut a part out of a volume.

    Args:
        x: Shape `(B, C, d, h, w)`; itself a part.
        first: Where it begins.
        part: Wanted, as far as the volume goes.

    Returns:
        The part, and where it begins.
    """
    starts = [max(wanted.start, at) for wanted, at in zip(part, first, strict=True)]
    for axis, (start, wanted, at) in enumerate(zip(starts, part, first, strict=True), 2):
        length = min(wanted.stop - at, x.shape[axis]) - (start - at)
        x = x.narrow(axis, start - at, length)
    return x, starts
