"""Training examples of the denoiser: a window, its hole, and what was in it.

Windows are drawn as they are used: a tumor with room around it in the smallest window
that holds it, on the 1 mm grid, edge-padded where it overhangs. Some holes have the shape
of a tumor but lie in healthy tissue: there the answer is tissue, and the mask is empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from scipy import ndimage
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import bounding_box, dilate_mm
from synbt_aug.grid.window import WINDOW_MARGIN_MM
from synbt_aug.signal.hole import fill_hole, tissue
from synbt_aug.signal.intensity import inverse_knee, knee
from synbt_aug.train.crops import Crop, TrainingCase, below, cut, turn, uniform
from synbt_aug.tumor.appearance import APPEARANCE_INPUTS, SHELL_MM, measure_appearance

# Fewer voxels than this in a latent cell or two are no tumor to learn from.
_FEWEST_VOXELS = 20
_TRIES = 8


@dataclass(frozen=True)
class HoleSettings:
    """How holes are drawn (all ours).

    Args:
        healthy: Share of holes in healthy tissue, with an empty mask.
        alone: Share of tumor windows whose mask holds one lesion; the others hold all.
        max_margin_mm: The label is dilated by 0 to this.
        small: Share of windows of 64 mm that hold a lesion of at most `small_mm`: by the cohort's
            sizes alone they are one in eight, and the network hardly learns to paint them.
        small_mm: Longest extent of those.
        jitter_mm: Largest shift of the tumor from the middle of its window, along an axis.
        rescaled: Share of windows whose channels are scaled, as an error of the
            references would.
        scale: Largest such factor.
    """

    healthy: float = 0.25
    alone: float = 0.6
    max_margin_mm: float = 3.0
    small: float = 0.0
    small_mm: int = 18
    jitter_mm: int = 9
    rescaled: float = 0.5
    scale: float = 1.15


class Example(NamedTuple):
    """One window.

    Args:
        q: Mapped intensities, shape `(2, n, n, n)`, float32.
        filled: The same with the hole filled.
        mask: The tumor, bool, `(n, n, n)`; empty for a hole in healthy tissue.
        hole: What was filled, bool, `(n, n, n)`; never in padding.
        valid: False in padding and where the case had no signal, bool, `(n, n, n)`.
        appearance: The network's numbers, shape `(7,)`.
        appearance_known: Which of them count, shape `(7,)`.
    """

    q: Tensor
    filled: Tensor
    mask: Tensor
    hole: Tensor
    valid: Tensor
    appearance: Tensor
    appearance_known: Tensor


class _Lesion(NamedTuple):
    case: int
    number: int
    centre: tuple[int, int, int]
    extent: int
    shape: Tensor


class ExampleSampler:
    """Draws examples from cases.

    Args:
        cases: Some of them with tumors.
        settings: How holes are drawn.

    Raises:
        SynBTError: If no case has a tumor.
    """

    def __init__(self, cases: Sequence[TrainingCase], settings: HoleSettings) -> None:
        self.cases, self.settings = cases, settings
        self.lesions = [lesion for i, case in enumerate(cases) for lesion in _lesions(i, case)]
        if not self.lesions:
            raise SynBTError(
                f"The denoiser learns from tumors, but none of the {len(cases)} cases has one of "
                f"{_FEWEST_VOXELS} voxels. Give --data a dataset with tumor masks."
            )

    def draw(self, sides: tuple[int, int, int], *, generator: torch.Generator) -> Example:
        """Draw one example.

        Args:
            sides: Of the window, in voxels of 1 mm.
            generator: CPU generator.
        """
        lesion = self._fitting(min(sides), generator)
        if uniform(generator) < self.settings.healthy:
            crop, hole = self._healthy(lesion, sides, generator)
            mask = torch.zeros_like(hole)
        else:
            crop, hole, mask = self._tumor(lesion, sides, generator)
        q = self._rescale(crop.q, generator)
        body = tissue(q[None])[0] & crop.valid
        filled = fill_hole(q[None], hole[None], body[None])[0]
        told = _describe(q, mask, body & ~(crop.tumor > 0))
        return Example(q, filled, mask, hole, crop.valid, *told)

    def _fitting(self, side: int, generator: torch.Generator) -> _Lesion:
        """A lesion that a window of this side is used for, or else the smallest ones."""
        room = side - 2 * WINDOW_MARGIN_MM - 2 * self.settings.max_margin_mm
        fit = [lesion for lesion in self.lesions if lesion.extent <= room]
        # In use 96 and 128 mm are for what a smaller window cannot hold.
        large = [lesion for lesion in fit if lesion.extent > room - 32]
        small = [lesion for lesion in fit if lesion.extent <= self.settings.small_mm]
        if side > 64 and large and uniform(generator) < 0.8:
            fit = large
        elif side <= 64 and small and uniform(generator) < self.settings.small:
            fit = small
        if not fit:
            fit = sorted(self.lesions, key=lambda lesion: lesion.extent)[:10]
        return fit[below(len(fit), generator)]

    def _tumor(
        self, lesion: _Lesion, sides: tuple[int, int, int], generator: torch.Generator
    ) -> tuple[Crop, Tensor, Tensor]:
        case, reach = self.cases[lesion.case], self.settings.jitter_mm
        corner = []
        for middle, side in zip(lesion.centre, sides, strict=True):
            slack = max(0, min(reach, (side - lesion.extent) // 2 - 6))
            corner.append(middle - side // 2 + below(2 * slack + 1, generator) - slack)
        crop = turn(cut(case, corner, sides), generator=generator)
        alone = uniform(generator) < self.settings.alone
        mask = (crop.tumor == lesion.number) if alone else (crop.tumor > 0)
        mask = mask & crop.valid
        return crop, self._hole(mask, generator) & crop.valid, mask

    def _healthy(
        self, lesion: _Lesion, sides: tuple[int, int, int], generator: torch.Generator
    ) -> tuple[Crop, Tensor]:
        """A hole of the lesion's shape where no tumor is."""
        for _ in range(_TRIES):
            case = self.cases[below(len(self.cases), generator)]
            site = case.body[below(len(case.body), generator)].tolist()
            corner = [int(c) - side // 2 for c, side in zip(site, sides, strict=True)]
            crop = cut(case, corner, sides)
            shape = torch.zeros_like(crop.valid)
            place = []
            for side, length in zip(sides, lesion.shape.shape, strict=True):
                length = min(length, side)
                slack = max(0, min(self.settings.jitter_mm, (side - length) // 2))
                start = (side - length) // 2 + below(2 * slack + 1, generator) - slack
                start = min(max(start, 0), side - length)
                place.append(slice(start, start + length))
            part = tuple(slice(0, p.stop - p.start) for p in place)
            shape[tuple(place)] = lesion.shape[part].to(shape.device)
            hole = self._hole(shape, generator) & crop.valid
            tumor = crop.tumor > 0
            if bool((hole & tumor).any()):
                # A tumor's bright rim beside the hole is fine, its inside is not.
                hole &= ~dilate_mm(tumor, 2.0)
            if int(hole.sum()) >= _FEWEST_VOXELS:
                break
        # One turn for both: the hole travels in the place of the tumor's numbers.
        both = crop.tumor.to(torch.int16) + 256 * hole.to(torch.int16)
        turned = turn(Crop(crop.q, crop.valid, both), generator=generator)
        return turned._replace(tumor=turned.tumor % 256), turned.tumor >= 256

    def _hole(self, mask: Tensor, generator: torch.Generator) -> Tensor:
        margin_mm = self.settings.max_margin_mm * uniform(generator)
        if not bool(mask.any()):
            return mask
        # Distances are wanted near the mask alone: a tenth of a 128 mm window.
        box = _box_around(mask, int(self.settings.max_margin_mm) + 2)
        hole = mask.clone()
        hole[box] = dilate_mm(mask[box], margin_mm)
        return hole

    def _rescale(self, q: Tensor, generator: torch.Generator) -> Tensor:
        if uniform(generator) >= self.settings.rescaled:
            return q
        most = self.settings.scale
        factor = most ** (2 * torch.rand(2, 1, 1, 1, generator=generator) - 1)
        return knee((inverse_knee(q) + 1) * factor.to(q.device) - 1)


def _lesions(index: int, case: TrainingCase) -> list[_Lesion]:
    found = []
    for number, box in enumerate(ndimage.find_objects(case.tumor.cpu().numpy()), 1):
        if box is None:
            continue
        shape = (case.tumor[box] == number).cpu()
        if int(shape.sum()) < _FEWEST_VOXELS:
            continue
        d, h, w = ((part.start + part.stop) // 2 for part in box)
        found.append(_Lesion(index, number, (d, h, w), max(shape.shape), shape))
    return found


def _describe(q: Tensor, mask: Tensor, around: Tensor) -> tuple[Tensor, Tensor]:
    """The network's numbers of a tumor; nothing is known of an empty mask."""
    if int(mask.sum()) < _FEWEST_VOXELS:
        return torch.zeros(len(APPEARANCE_INPUTS)), torch.zeros(len(APPEARANCE_INPUTS))
    box = _box_around(mask, int(SHELL_MM[1]) + 2)
    linear = inverse_knee(q[(slice(None), *box)])
    return measure_appearance(linear, mask[box], around=around[box]).to_model()


def _box_around(mask: Tensor, margin: int) -> tuple[slice, ...]:
    return tuple(
        slice(max(first - margin, 0), min(stop + margin, n))
        for (first, stop), n in zip(bounding_box(mask), mask.shape, strict=True)
    )
