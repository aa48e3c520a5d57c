"""Fresh noise like the scan's own, for voxels that a tumor replaces.

A painted tumor lacks the scan's noise, and smoothness is easily learned as "tumor". What the host
holds under the tumor is no help: its vessels and ligaments would shine through. So the level and
the correlation of the noise are measured where tissue is quietest, and new noise is drawn.

Fixed shapes and no numbers read from tensors: the quiet quarter is found by a sort, all else is
sums. On one real scan the level comes out as 1.04 to 1.07 of what two later phases differ by; where
there is nothing but noise, the quiet quarter has .87 of its level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.grid.mask import gaussian, gaussian_mean
from synbt_aug.signal.intensity import ranked_value
from synbt_aug.support.device import sent

#: What varies within this many voxels is taken for noise.
FINE_SIGMA = 0.8

#: Share of the tissue, by the variance within `_NEAR_SIGMA` voxels, that counts as quiet.
_QUIET = 0.25
_NEAR_SIGMA = 2.0

#: Voxels that the quiet quarter is found among: more moves the level by less than 1 %.
_SAMPLE = 60_000

#: Correlation from voxel to voxel beyond which it is anatomy that lies along an axis.
_MOST_CORRELATED = 0.3

#: Tells the noise of pre and post from the denoiser's, which is drawn from the seed itself.
PAIR_STREAM = 0x5EED

#: Blurs of white noise, in voxels, that a correlation is looked up among.
_BLURS = torch.linspace(0.25, 1.2, 20, dtype=torch.float64)

#: Taps of such a blur on either side.
_TAPS = 3


@dataclass(frozen=True)
class ScanNoise:
    """A scan's noise around a window.

    Args:
        sd: Of its fine part, in the units of the signal, shape `(B, C)`.
        correlation: Of neighbours along each axis, all channels alike, shape `(B, 3)`.
    """

    sd: Tensor
    correlation: Tensor


def fine_part(signal: Tensor) -> Tensor:
    """What varies from voxel to voxel, shape `(..., d, h, w)`."""
    return signal - gaussian_mean(signal, FINE_SIGMA)


def measure_noise(signal: Tensor, tissue: Tensor) -> ScanNoise:
    """Measure the noise where tissue is quietest.

    Args:
        signal: Any affine scale a channel, shape `(B, C, d, h, w)`, float32.
        tissue: Where to look: tissue outside the hole, boolean, shape `(B, d, h, w)`.

    Returns:
        Level and correlation; a level of 0 where there is no tissue.
    """
    fine = fine_part(signal)
    quiet = _quiet(fine, tissue)
    here = fine * quiet
    power = fine * here
    along = []
    for axis in (2, 3, 4):
        n = fine.shape[axis] - 1
        before, after = ([x.narrow(axis, k, n) for x in (here, power, quiet)] for k in (0, 1))
        # Of neighbours that are both quiet: their product, and the mean of their squares.
        both = (before[0] * after[0]).sum((2, 3, 4))
        squares = torch.addcmul(before[1] * after[2], before[2], after[1]).sum((2, 3, 4))
        along.append(2 * both / squares.clamp_min(1e-12))
    # All channels come from one scanner.
    correlation = torch.stack(along, -1).mean(1).clamp(max=_MOST_CORRELATED)
    return ScanNoise(_sd(power, quiet), correlation)


def noise_level(signal: Tensor, tissue: Tensor) -> Tensor:
    """The level alone, as `measure_noise` gives it, shape `(B, C)`."""
    fine = fine_part(signal)
    quiet = _quiet(fine, tissue)
    return _sd(fine * (fine * quiet), quiet)


def _sd(power: Tensor, quiet: Tensor) -> Tensor:
    """Of squares in the quiet voxels, 0 elsewhere, and these voxels, shape `(B, C)`."""
    return (power.flatten(2).sum(-1) / quiet.flatten(2).sum(-1).clamp_min(1)).sqrt()


def coloured(white: Tensor, scan: ScanNoise) -> Tensor:
    """White noise made like the scan's.

    Args:
        white: Standard normal, shape `(B, C, d, h, w)`.
        scan: As `measure_noise` gives it.

    Returns:
        Same shape, in the units of the signal that was measured.
    """
    correlation, blurs = _blur_table(white.device)
    after = torch.searchsorted(correlation, scan.correlation.contiguous())
    after = after.clamp(1, len(correlation) - 1)
    low, high = correlation[after - 1], correlation[after]
    part = ((scan.correlation - low) / (high - low)).clamp(0, 1)
    sigma = blurs[after - 1] + part * (blurs[after] - blurs[after - 1])  # (B, 3)
    taps = torch.arange(-_TAPS, _TAPS + 1, dtype=white.dtype, device=white.device)
    kernels = torch.exp(-0.5 * (taps / sigma[..., None]).square())
    noise = (_blurred_by_shifts if white.device.type == "cpu" else _blurred)(white, kernels)
    own = fine_part(noise).flatten(2).std(-1, unbiased=False).clamp_min(1e-6)
    return noise * (scan.sd / own)[..., None, None, None]


def _blurred(white: Tensor, kernels: Tensor) -> Tensor:
    """Each row `(B, C, d, h, w)` blurred by its own kernels, `(B, 3, 2 taps + 1)`."""
    rows, channels = white.shape[:2]
    noise = white.reshape(1, rows * channels, *white.shape[2:])
    for axis in range(3):
        view, padding = [rows, 1, 1, 1, 1], [0, 0, 0]
        view[axis + 2], padding[axis] = 2 * _TAPS + 1, _TAPS
        kernel = kernels[:, axis].view(view).repeat_interleave(channels, 0)
        noise = F.conv3d(noise, kernel, padding=padding, groups=rows * channels)
    return noise.view_as(white)


def _blurred_by_shifts(white: Tensor, kernels: Tensor) -> Tensor:
    """The same, for a CPU, whose convolutions of single channels take four times as long."""
    for axis in (2, 3, 4):
        weights = kernels[:, axis - 2].view(len(kernels), -1, 1, 1, 1, 1).unbind(1)
        blurred = white * weights[_TAPS]
        for k in range(1, min(_TAPS, white.shape[axis] - 1) + 1):
            n = white.shape[axis] - k
            blurred.narrow(axis, k, n).addcmul_(white.narrow(axis, 0, n), weights[_TAPS - k])
            blurred.narrow(axis, 0, n).addcmul_(white.narrow(axis, k, n), weights[_TAPS + k])
        white = blurred
    return white


def _quiet(fine: Tensor, tissue: Tensor) -> Tensor:
    """Weights of the quietest tissue in each channel, 0 or 1, shape `(B, C, d, h, w)`."""
    weight = tissue.unsqueeze(1).to(fine.dtype)
    count = gaussian(weight, _NEAR_SIGMA)
    variance = gaussian(fine.square() * weight, _NEAR_SIGMA) / count.clamp_min(1e-3)
    # At the border of tissue the variance is that of the border.
    whole = weight * (count > 0.9)
    none = ~whole.flatten(1).any(1)
    whole = torch.where(none[:, None, None, None, None], weight, whole)
    among = torch.where(whole > 0, variance, torch.inf).flatten(2)
    # An odd step does not lock to a row length that is a power of two.
    among = among[..., :: max(1, among.shape[-1] // _SAMPLE) | 1]
    number = among.isfinite().sum(-1, keepdim=True)
    at = (_QUIET * (number - 1)).clamp_min(0).long()
    limit = ranked_value(among, at)[..., None, None]
    return whole * (variance <= limit)


@lru_cache(maxsize=4)
def _blur_table(device: torch.device) -> tuple[Tensor, Tensor]:
    """Correlation of neighbours in the fine part of blurred white noise, and the blur's sigma.

    From power spectra: that of the blur along one axis, and of taking the smooth part away.
    """
    n = 32
    index = torch.arange(n, dtype=torch.float64)
    offset = torch.minimum(index, n - index)

    def response(sigma: Tensor, reach: int) -> Tensor:
        kernel = torch.exp(-0.5 * (offset / sigma).square()) * (offset <= reach)
        return torch.fft.fft(kernel / kernel.sum()).real

    smooth = response(torch.tensor(FINE_SIGMA, dtype=torch.float64), 4)
    kept = 1 - smooth[:, None, None] * smooth[None, :, None] * smooth[None, None, :]
    # The other two axes, summed up: what is left of each frequency along the first.
    power = kept.square().sum((1, 2))
    turn = torch.cos(2 * torch.pi * index / n)
    found = []
    for sigma in _BLURS:
        spectrum = response(sigma, _TAPS).square() * power
        found.append((spectrum * turn).sum() / spectrum.sum())
    correlation = torch.stack(found).to(torch.float32)
    return sent(correlation, device), sent(_BLURS.to(torch.float32), device)
