"""Layers of a 3D U-Net a few planes at a time: the same sums, a fraction of the memory.

For inference on scans at their native size, whose finest level would take a gigabyte.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Planes that are computed together.
SLAB = 16


def joined(up: nn.Module, y: Tensor, skip: Tensor, near: slice) -> Tensor:
    """Some planes of `torch.cat([up(y), skip], 1)`; `up` doubles the planes one by one."""
    raised = up(y[:, :, near.start // 2 : -(-near.stop // 2)])
    first = near.start % 2
    return torch.cat([raised[:, :, first : first + near.stop - near.start], skip[:, :, near]], 1)


def block_in_slabs(block: nn.Module, depth: int, planes: Callable[[slice], Tensor]) -> Tensor:
    """A block of one convolution, a few planes at a time.

    Args:
        block: Convolution, normalisation, activation, in sequence.
        depth: Planes of the whole.
        planes: Gives some planes of the block's input, shape `(B, C, n, h, w)`.
    """
    convolution, norm, activation = block.children()
    assert isinstance(convolution, nn.Conv3d) and isinstance(norm, nn.InstanceNorm3d)
    y: Tensor | None = None
    for start in range(0, depth, SLAB):
        stop = min(start + SLAB, depth)
        # A plane more on either side: what the kernel reaches.
        near = slice(max(start - 1, 0), min(stop + 1, depth))
        slab = convolution(planes(near))
        if y is None:
            y = slab.new_empty(*slab.shape[:2], depth, *slab.shape[3:])
        y[:, :, start:stop] = slab[:, :, start - near.start : stop - near.start]
    assert y is not None
    for k in range(y.shape[1]):
        # Channels are normalised one by one anyway.
        weight, bias = norm.weight[k : k + 1], norm.bias[k : k + 1]
        y[:, k : k + 1] = F.instance_norm(y[:, k : k + 1], weight=weight, bias=bias, eps=norm.eps)
    result: Tensor = activation(y)
    return result
