"""The tissue network's pass on a CPU in 16 bits, channels last from end to end.

The same layers in the same order as `TissueNetwork.forward`, for one scan, without what costs as
much as the convolutions there: instance normalisation wants channels first and each convolution
channels last, so that every level is copied to and fro, and the logits are cast and added over the
whole volume. Here a layer's answer stays as the next one wants it, and the finest level, which
holds 7/8 of the voxels, is never held twice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synbt_aug.tissue.labels import TissueLabel
from synbt_aug.tissue.network import SMOOTHINGS, TissueNetwork

#: Numbers in a row that are normalised together: 8 channels alone fill half of a vector register.
_ROW = 512

#: Voxels whose answer is made at once: its dozen numbers a voxel are to stay in the cache.
_IN_CACHE = 50_000


@torch.no_grad()
def probabilities(network: TissueNetwork, x: Tensor) -> Tensor:
    """Five tissues of one scan.

    Args:
        network: Its convolutions cast to 16 bits, on the CPU (`networks.precision.prepared`).
        x: By `segmenter.normalise`, float32, sides as the network wants them, shape `(d, h, w)`.

    Returns:
        Shape `(5, d, h, w)`, float32, summing to 1 in a voxel.
    """
    levels = [_block(network.first, x[None, None].to(network.last.weight.dtype))]
    for down in network.down:
        levels.append(_block(down, levels[-1]))
    y = levels.pop()
    for up, merge in zip(network.up, network.merge, strict=True):
        y = _merged(up, merge, y, levels.pop())
    return _answer(network, y, x)


def _merged(up: nn.Module, merge: nn.Module, y: Tensor, skip: Tensor) -> Tensor:
    """`merge(torch.cat([up(y), skip], 1))` without the doubled `y` and without the whole.

    Doubling and the part of the convolution that reads it are one transposed convolution, whose
    kernel of 4 voxels makes each from 8 of the coarse ones in place of 27 fine ones.
    """
    convolution, norm, activation, *rest = merge.children()
    assert isinstance(convolution, nn.Conv3d) and isinstance(up, nn.ConvTranspose3d)
    of_up, of_skip = convolution.weight.split([up.out_channels, skip.shape[1]], 1)
    kernel = F.conv3d(up.weight.float(), of_up.float(), padding=2).to(y.dtype)
    layout = torch.channels_last_3d
    doubled = F.conv_transpose3d(y, kernel.contiguous(memory_format=layout), stride=2, padding=1)
    beside = F.conv3d(skip, of_skip.contiguous(memory_format=layout), padding=1)
    return _block(nn.Sequential(*rest), _normalised(doubled.add_(beside), norm, activation))


def _block(block: nn.Module, y: Tensor) -> Tensor:
    """Convolution, normalisation and activation, as often as the block has them."""
    layers = list(block.children())
    for k in range(0, len(layers), 3):
        y = _normalised(layers[k](y), layers[k + 1], layers[k + 2])
    return y


def _normalised(y: Tensor, norm: nn.Module, activation: nn.Module) -> Tensor:
    """Instance normalisation and activation of `(1, C, d, h, w)`, channels last."""
    assert isinstance(norm, nn.InstanceNorm3d)
    channels = y.shape[1]
    voxels = y.permute(0, 2, 3, 4, 1).contiguous().view(-1, channels)
    # Neighbours side by side in rows of whole registers; their moments are put together below.
    together = 1
    while together * channels < _ROW and len(voxels) % (2 * together) == 0:
        together *= 2
    rows = voxels.view(-1, together * channels)
    # Asked for in float32 by the type of what they could be added to.
    nothing = torch.zeros(2, together * channels)
    moments = torch.batch_norm_update_stats(rows, nothing[0], nothing[1], 0.0)
    means, variances = (moment.view(together, channels) for moment in moments)
    mean = means.mean(0)
    variance = (variances + (means - mean).square()).mean(0)
    moments = mean.repeat(together), variance.repeat(together)
    scale, shift = norm.weight.repeat(together), norm.bias.repeat(together)
    rows = F.batch_norm(rows, *moments, scale, shift, False, eps=norm.eps)
    activation(rows)
    return rows.view(1, *y.shape[2:], channels).permute(0, 4, 1, 2, 3)


def _answer(network: TissueNetwork, features: Tensor, x: Tensor) -> Tensor:
    """Probabilities from the last features, `(1, C, d, h, w)`, and the signal, `(d, h, w)`."""
    tissues = len(TissueLabel)
    weight = torch.cat([network.last.weight, network.slope.weight]).flatten(1)
    biases = [network.last.bias, network.slope.bias]
    bias = torch.cat([b for b in biases if b is not None]).float()[:, None]
    means = [_mean(x, width) for width in SMOOTHINGS]
    answer = x.new_empty(tissues, *x.shape)
    depth, height, width = x.shape
    planes = max(_IN_CACHE // (height * width), 1)
    for start in range(0, depth, planes):
        stop = min(start + planes, depth)
        voxels = features[:, :, start:stop].permute(0, 2, 3, 4, 1).flatten(0, 3)
        logits, *slopes = (weight @ voxels.T).float().add_(bias).split(tissues)
        for mean, slope in zip(means, slopes, strict=True):
            logits.addcmul_(slope, mean[start:stop].reshape(1, -1))
        answer[:, start:stop] = logits.softmax(0).view(tissues, -1, height, width)
    return answer


def _mean(x: Tensor, width: int) -> Tensor:
    """`avg_pool3d` with zeros around, one axis after the other: a tenth of its time."""
    total = x
    for axis, length in enumerate(x.shape):
        before, total = total, total.clone()
        for offset in range(1, width // 2 + 1):
            far = length - offset
            total.narrow(axis, offset, far).add_(before.narrow(axis, 0, far))
            total.narrow(axis, 0, far).add_(before.narrow(axis, offset, far))
    return total / width**3
