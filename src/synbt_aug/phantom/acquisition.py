"""From signal to scan: coil, resolution, motion, ghosts, noise and integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synbt_aug.phantom.anatomy import Anatomy
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.texture import Randomness, blur
from synbt_aug.phantom.tissue import Tissue

# A Gaussian of this many SDs matches the full width at half maximum.
FWHM = 2.355

# How far the breast settles between the scan before contrast and those after: SD in mm, as median
# and spread over patients, and the size of what moves together.
SETTLING_MM = (0.3, 0.65)
SETTLING_CELL_MM = 32.0

# Noise of neighbouring voxels within a slice is alike: SD of the blur, in voxels.
NOISE_BLUR = (0.0, 0.6)

# Ripples beside edges, from motion and a cut k-space: share of the scanners, strength (the faintest
# and the strongest), distance between crests in mm, and how far they reach in crests.
RIPPLE_SHARE = 0.5
RIPPLE_STRENGTH, RIPPLE_MM, RIPPLE_REACH = (0.015, 0.09), (2.4, 5.0), (0.7, 1.8)


@dataclass(frozen=True)
class Scan:
    """One volume as stored (int16) and without noise and ghosts (float32, same scale)."""

    stored: np.ndarray
    clean: np.ndarray


def catmull_rom(part: float) -> tuple[float, float, float, float]:
    """Weights of the four samples around a point `part` of the way from the second to the third.

    Source:
        Keys, IEEE Trans ASSP 29:1153 (1981), cubic convolution with a = -1/2.
    """
    p, p2, p3 = part, part**2, part**3
    return (
        (-p3 + 2 * p2 - p) / 2,
        (3 * p3 - 5 * p2 + 2) / 2,
        (-3 * p3 + 4 * p2 + p) / 2,
        (p3 - p2) / 2,
    )


def displaced(image: Tensor, dim: int, voxels: Tensor) -> Tensor:
    """Read an image beside each voxel, along one axis.

    Args:
        image: Shape `(X, Y, Z)`.
        dim: The axis.
        voxels: How far, same shape; read by parabolas through three neighbours, which are good up
            to 1 voxel, and in several steps beyond.
    """
    steps = max(1, math.ceil(float(voxels.abs().max())))
    part = voxels / steps
    for _ in range(steps):
        n = image.shape[dim]
        ends = (image.narrow(dim, 0, 1), image, image.narrow(dim, n - 1, 1))
        padded = torch.cat(ends, dim)
        before, after = padded.narrow(dim, 0, n), padded.narrow(dim, 2, n)
        # image + part * (slope + part * bend), twice slope and bend, in few passes of memory.
        slope = after - before
        bend = (after + before).sub_(image, alpha=2)
        image = torch.addcmul(image, part, bend.mul_(part).add_(slope), value=0.5)
    return image


def ripples(image: Tensor, *, dim: int, crest_voxels: float, reach_crests: float) -> Tensor:
    """Copies of an image's edges, a crest apart and fading, along one axis; even parts give 0.

    Args:
        image: Shape `(X, Y, Z)`.
        dim: The axis, that of the phase encoding.
        crest_voxels: From one copy to the next.
        reach_crests: After how many crests they have faded to 1 / e.
    """
    count = image.shape[dim]
    off = (torch.arange(count)[:, None] - torch.arange(count)).abs() / crest_voxels
    wave = torch.cos(2 * math.pi * off) * torch.exp(-off / reach_crests)
    wave -= torch.eye(count) * wave.sum(dim=1, keepdim=True)
    return torch.movedim(torch.tensordot(wave, image, dims=([1], [dim])), 0, dim)


class Scanner:
    """One scanner and one position; every scan of a series passes through it.

    Call `calibrate` with the pre-contrast signal first: it fixes noise level and gain.
    """

    def __init__(self, anatomy: Anatomy, settings: PhantomSettings, rnd: Randomness):
        grid = anatomy.torso.grid
        self._rnd = rnd
        self._grid = grid
        self._breast = anatomy.breast.numpy()
        self._heart = (anatomy.labels == Tissue.BLOOD).float()
        drawn_snr = math.exp(rnd.uniform(math.log(7), math.log(24)))
        self.snr = settings.snr or drawn_snr
        self._mean = math.exp(rnd.uniform(math.log(45), math.log(450)))
        self._gain = self._noise_sd = 0.0
        self._noise_blur = rnd.uniform(*NOISE_BLUR)
        # A tap of w, 1 - 2w, w leaves white noise this share of its SD; twice, for two axes.
        tap = self._noise_blur**2 / 2
        self._noise_left = (1 - 2 * tap) ** 2 + 2 * tap**2

        front = min(b.nipple[1] for b in anatomy.torso.breasts)
        _, y, _ = grid.axes()
        length = math.exp(rnd.uniform(math.log(110), math.log(500)))
        falloff = ((y - front).clamp_min(0) / length).clamp_max(2.0)
        wavy = rnd.uniform(0.02, 0.11) * grid.smooth_noise(58, generator=rnd.fields)
        self._coil = torch.exp(wavy - 0.95 * falloff)
        self._coil *= 1 + rnd.uniform(0, 0.22) * torch.exp(-anatomy.torso.skin_depth / 9)

        # In-plane resolution 0.7-1.5 mm; slices along z (axial) or x (sagittal, one breast).
        sagittal = rnd.chance(0.4) and len(anatomy.torso.breasts) == 1
        drawn_slice = rnd.uniform(1.0, 2.6)
        widths = [rnd.uniform(0.7, 1.5)] * 3
        self.slice_axis = 0 if sagittal else 2
        widths[self.slice_axis] = settings.slice_thickness_mm or drawn_slice
        # The phantom's voxels are already boxes of one voxel; blur only what is missing.
        sigma = [
            math.sqrt(max((w**2 - s**2) / FWHM**2, 0.0) + 0.03)
            for w, s in zip(widths, (s / 1.0 for s in grid.spacing))
        ]
        self._sigma = (sigma[0] / grid.spacing[0], sigma[1] / grid.spacing[1],
                       sigma[2] / grid.spacing[2])  # fmt: skip
        # Scanners sharpen, and a cut k-space rings: negative lobes around edges.
        self._sharpen = rnd.uniform(0.15, 1.1) if rnd.chance(0.8) else 0.0
        self._ghost = rnd.uniform(0, 0.018) if rnd.chance(0.7) else 0.0
        strength = math.exp(rnd.uniform(*(math.log(v) for v in RIPPLE_STRENGTH)))
        self._ripple = strength if rnd.chance(RIPPLE_SHARE) else 0.0
        self._ripple_mm, self._ripple_reach = rnd.uniform(*RIPPLE_MM), rnd.uniform(*RIPPLE_REACH)
        # Along the phase encoding, which lies in the slices.
        self._ripple_axis = 1 if rnd.chance(0.5) else 2 - self.slice_axis

    def calibrate(self, signal: Tensor) -> None:
        """Set noise and gain by the mean signal of the breast under this coil."""
        where = self._breast
        level = float((signal.numpy()[where] * self._coil.numpy()[where]).sum(dtype=np.float64))
        level = level / max(1, int(where.sum())) or 1.0
        self._noise_sd, self._gain = level / self.snr, self._mean / level

    def scan(self, signal: Tensor, *, moves: bool) -> Scan:
        """Acquire one volume.

        Args:
            signal: Of a perfect scanner, shape of the grid.
            moves: True: after contrast, shifted by a fraction of a mm. False: before contrast,
                when the breast had not yet settled to where the labels are.
        """
        if not self._gain:
            raise RuntimeError("Call Scanner.calibrate with the pre-contrast signal before scan.")
        rnd = self._rnd
        clean = blur(signal * self._coil, self._sigma)
        if self._sharpen:
            soft = blur(clean, tuple(0.7 / s for s in self._grid.spacing))  # type: ignore[arg-type]
            clean = (clean + self._sharpen * (clean - soft)).clamp_min(0)
        clean = self._moved(clean) if moves else self._unsettled(clean)
        noisy = clean + self._ghosts(clean)
        if self._ripple:
            crest = self._ripple_mm / self._grid.spacing[self._ripple_axis]
            waves = ripples(
                clean, dim=self._ripple_axis, crest_voxels=crest, reach_crests=self._ripple_reach
            )
            noisy += rnd.uniform(0.4, 1.6) * self._ripple * waves
        real, imaginary = (self._noise(clean.shape) for _ in range(2))
        noisy = torch.hypot(noisy + real, imaginary) * self._gain
        stored = noisy.clamp_(0, 32767).round_().to(torch.int16)
        return Scan(stored.numpy(), (clean * self._gain).numpy())

    def _noise(self, shape: torch.Size) -> Tensor:
        """Noise of the scanner's level; scans are interpolated, so neighbours share some."""
        noise = torch.randn(shape, generator=self._rnd.fields)
        sigma = [0.0 if dim == self.slice_axis else self._noise_blur for dim in range(3)]
        return blur(noise, tuple(sigma)) * (self._noise_sd / self._noise_left)  # type: ignore[arg-type]

    def _moved(self, image: Tensor) -> Tensor:
        """Shift by about 0.3 mm in most scans; cubic, because linear would blur all but one."""
        shift = self._rnd.numbers.normal(0, 0.3, 3) / np.array(self._grid.spacing)
        if not self._rnd.chance(0.8):
            return image
        for dim, voxels in enumerate(shift):
            n, whole = image.shape[dim], math.floor(voxels)
            moved = torch.zeros_like(image)
            for tap, weight in zip(range(-1, 3), catmull_rom(float(voxels) - whole)):
                index = (torch.arange(n) + whole + tap).clamp(0, n - 1)
                moved.add_(image.index_select(dim, index), alpha=weight)
            image = moved
        return image.clamp_min_(0)

    def _unsettled(self, image: Tensor) -> Tensor:
        """Displaced by a smooth field: what leaves bright and dark lines in a subtraction."""
        rnd, spacing = self._rnd, self._grid.spacing
        most = min(rnd.lognormal(*SETTLING_MM), 1.0)
        for dim in (0, 1):
            field = self._grid.smooth_noise(SETTLING_CELL_MM, generator=rnd.fields)
            image = displaced(image, dim, field * (most / spacing[dim]))
        return image.clamp_min_(0)

    def _ghosts(self, image: Tensor) -> Tensor:
        """The beating heart smeared along the phase-encoding axis (y here)."""
        pattern = self._grid.smooth_noise((6, 1, 3), generator=self._rnd.fields, flat=1)
        heart = (image * self._heart).sum(dim=1, keepdim=True) * self._grid.spacing[1] / 45
        return self._ghost * heart * pattern
