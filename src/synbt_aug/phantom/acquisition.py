"""From signal to scan: coil, resolution, motion, ghosts, noise and integers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synbt_aug.phantom.anatomy import Anatomy
from synbt_aug.phantom.artifacts import catmull_rom, displaced, noise_map, ripples, smeared
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

# Mean breast signal before contrast over the SD of the noise there.
SNR = (6.0, 19.0)

# Ghosts of what moves between lines of k-space, along the phase encoding: of the heart, as a share
# of its signal smeared out, and of everything, as a share of the signal repeated elsewhere.
HEART_GHOSTS, COPIES = (0.0, 0.035), (0.0, 0.012)

# Ripples beside edges, from motion and a cut k-space: share of the scanners, strength (the faintest
# and the strongest), distance between crests in mm, and how far they reach in crests.
RIPPLE_SHARE = 0.5
RIPPLE_STRENGTH, RIPPLE_MM, RIPPLE_REACH = (0.015, 0.09), (2.4, 5.0), (0.7, 1.8)


@dataclass(frozen=True)
class Scan:
    """One volume as stored (int16) and without noise and ghosts (float32, same scale)."""

    stored: np.ndarray
    clean: np.ndarray


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
        drawn_snr = math.exp(rnd.uniform(*(math.log(v) for v in SNR)))
        self.snr = settings.snr or drawn_snr
        self._mean = math.exp(rnd.uniform(math.log(45), math.log(450)))
        self._gain = self._noise_sd = 0.0
        self._healthy = torch.zeros(())
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
        self._noise_map = noise_map(anatomy, rnd)

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
        self._heart_ghosts = rnd.uniform(*HEART_GHOSTS) if rnd.chance(0.7) else 0.0
        self._copies = rnd.uniform(*COPIES) if rnd.chance(0.7) else 0.0
        strength = math.exp(rnd.uniform(*(math.log(v) for v in RIPPLE_STRENGTH)))
        self._ripple = strength if rnd.chance(RIPPLE_SHARE) else 0.0
        self._ripple_mm, self._ripple_reach = rnd.uniform(*RIPPLE_MM), rnd.uniform(*RIPPLE_REACH)
        # Along the phase encoding, which lies in the slices.
        self._phase_axis = 1 if rnd.chance(0.5) else 2 - self.slice_axis

    def calibrate(self, signal: Tensor) -> None:
        """Set noise and gain by the mean signal of the breast under this coil.

        Args:
            signal: Before contrast and without lesions, shape of the grid; what ghosts repeat.
        """
        where = self._breast
        level = float((signal.numpy()[where] * self._coil.numpy()[where]).sum(dtype=np.float64))
        level = level / max(1, int(where.sum())) or 1.0
        self._noise_sd, self._gain = level / self.snr, self._mean / level
        self._healthy = signal * self._coil

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
            crest = self._ripple_mm / self._grid.spacing[self._phase_axis]
            waves = ripples(
                clean, dim=self._phase_axis, crest_voxels=crest, reach_crests=self._ripple_reach
            )
            # What moved when is another matter in each scan.
            noisy += rnd.normal() * self._ripple * waves
        real, imaginary = (self._noise(clean.shape) for _ in range(2))
        noisy = torch.hypot(noisy + real, imaginary) * self._gain
        stored = noisy.clamp_(0, 32767).round_().to(torch.int16)
        return Scan(stored.numpy(), (clean * self._gain).numpy())

    def _noise(self, shape: torch.Size) -> Tensor:
        """Noise of the scanner's level; scans are interpolated, so neighbours share some."""
        noise = torch.randn(shape, generator=self._rnd.fields)
        sigma = [0.0 if dim == self.slice_axis else self._noise_blur for dim in range(3)]
        noise = blur(noise, tuple(sigma)).mul_(self._noise_map)  # type: ignore[arg-type]
        return noise.mul_(self._noise_sd / self._noise_left)

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
        """The beating heart smeared along the phase encoding, and faint copies of everything."""
        rnd, dim = self._rnd, self._phase_axis
        spacing = self._grid.spacing[dim]
        cells = [2.5, 2.5, 2.5]
        cells[dim] = 3.5
        pattern = self._grid.smooth_noise(tuple(cells), generator=rnd.fields)  # type: ignore[arg-type]
        shifts = [round(rnd.uniform(9, 60) / spacing) for _ in range(2)]
        ghosts = smeared(image * self._heart, dim, pattern) * (self._heart_ghosts * spacing / 60)
        for shift in shifts:
            # Of the healthy patient, who is the same elsewhere with and without a tumor.
            ghosts.add_(torch.roll(self._healthy, shift, dim), alpha=rnd.normal() * self._copies)
        return ghosts
