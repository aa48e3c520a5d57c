"""Samples for a segmenter: a crop with the field of view, painted or not, averaged down, augmented.

A sample is a function of seed, step and its index in the batch of all devices together, and of
nothing else: one process and many draw the same, and so does a resumed run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.loop.training_loop import seeded_generator
from synbt_aug.train.crops import Crop, TrainingCase, below, cut, uniform
from synbt_aug.train.segmentation_preset import SegmentationPreset
from synbt_aug.train.segmentation_synthetic import Painter, SyntheticPlan, linear
from synbt_aug.train.segmentation_views import View, augmented, average_down

# Tumor voxels remembered of a case: enough to centre crops all over them.
_SITES = 400
# A crop "on a tumor" has the tumor off its middle by at most this share of its side.
_JITTER = 1 / 3
# The streams of random numbers of a sample.
_ORDER, _CROP, _PAINT, _VIEW = range(4)


class Draft(NamedTuple):
    """A sample before augmentation, at the network's spacing.

    Args:
        view: Linear intensities and label.
        synthetic: Whether something was painted into it.
    """

    view: View
    synthetic: bool


class SampleSource:
    """Draws samples from training cases.

    Args:
        cases: At 1 mm; at least one.
        preset: With the augmentation.
        field_of_view: "volume" or "patch".
        plan: Which samples are painted into.
        painter: Paints, where the plan does; None where nothing is.
        supplement: Where candidates for painting are cut from; None: from the training cases.
            Further real cases there tell what a perfect painter would be worth.
        seed: Of everything drawn.
        device: Of the samples.
    """

    def __init__(
        self,
        cases: Sequence[TrainingCase],
        preset: SegmentationPreset,
        field_of_view: str,
        plan: SyntheticPlan,
        painter: Painter | None = None,
        *,
        supplement: Sequence[TrainingCase] | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if not len(cases):
            raise SynBTError("Training needs at least one case, got none. Give --data a dataset.")
        self.cases, self.preset, self.plan = cases, preset, plan
        self.painter = painter if plan.paints else None
        self.sides, self.seed, self.device = preset.sides_mm(field_of_view), seed, device
        self.supplement = cases if supplement is None else supplement
        self._kept: OrderedDict[tuple[int, int], Draft] = OrderedDict()

    def __len__(self) -> int:
        """Samples of a step, over all devices together."""
        return self.plan.samples(self.preset.batch)

    def batch(self, step: int, indices: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Some samples of a step.

        Args:
            step: Number of the step.
            indices: Which of its samples, each below `len(self)`.

        Returns:
            Images `(B, 2, D, H, W)`, labels `(B, 1, D, H, W)` and which were painted into, `(B,)`.
        """
        drafts = [self.draft(step, index) for index in indices]
        views = [
            augmented(
                draft.view,
                self.preset,
                generator=seeded_generator(self.seed, _VIEW, index, step),
            )
            for draft, index in zip(drafts, indices, strict=True)
        ]
        painted = torch.tensor([float(draft.synthetic) for draft in drafts])
        images = torch.stack([view.image for view in views])
        return images, torch.stack([view.label for view in views]), painted

    def draft(self, step: int, index: int) -> Draft:
        """A sample before augmentation; candidates for painting are used several times."""
        candidate = self.plan.is_candidate(index, self.preset.batch)
        if not candidate or self.preset.repeats == 1:
            return self._make(index, step, candidate)
        number = self._number(step, index)
        key = (index, number)
        if key not in self._kept:
            self._kept[key] = self._make(index, number, candidate)
            owned = sum(kept == index for kept, _ in self._kept)
            if owned > self.preset.pool:
                self._kept.pop(next(kept for kept in self._kept if kept[0] == index))
        return self._kept[key]

    def _number(self, step: int, index: int) -> int:
        """Which draft a step uses: blocks of `pool` drafts, each `repeats` times, shuffled."""
        pool, length = self.preset.pool, self.preset.pool * self.preset.repeats
        block, place = divmod(step, length)
        generator = seeded_generator(self.seed, _ORDER, index, block)
        return block * pool + int(torch.randperm(length, generator=generator)[place]) % pool

    def _make(self, index: int, number: int, candidate: bool) -> Draft:
        cases = self.supplement if candidate else self.cases
        crop = linear(self._crop(cases, index, number))
        synthetic = False
        if candidate and self.painter is not None:
            generator = seeded_generator(self.seed, _PAINT, index, number)
            crop, synthetic = self.painter(crop, generator=generator)
        factor = self.preset.spacing_mm
        label = average_down((crop.tumor > 0).float()[None], factor) >= 0.5
        return Draft(View(average_down(crop.q, factor), label.float()), synthetic)

    def _crop(self, cases: Sequence[TrainingCase], index: int, number: int) -> Crop:
        """Each case once, in random order, and again in another; somewhere in it."""
        # The real samples of a step go through the cases together, and so do the added ones.
        together = self.preset.batch
        first = index - index % together
        lap, place = divmod(number * together + index - first, len(cases))
        order = torch.randperm(
            len(cases), generator=seeded_generator(self.seed, _ORDER, first, lap, 1)
        )
        case = cases[int(order[place])]
        sites = _some_sites(case.tumor)
        generator = seeded_generator(self.seed, _CROP, index, number)
        on_tumor = uniform(generator) < self.preset.on_tumor and len(sites) > 0
        places = sites if on_tumor else case.body
        volume = case.q.shape[1:]
        if len(places):
            centre = places[below(len(places), generator)].tolist()
        else:
            centre = [n // 2 for n in volume]
        corner = []
        for middle, side, n in zip(centre, self.sides, volume, strict=True):
            reach = round(side * _JITTER)
            low = int(middle) - side // 2 + below(2 * reach + 1, generator) - reach
            # A case smaller than the crop lies in its middle, between repeated voxels.
            corner.append(min(max(low, 0), n - side) if n > side else -((side - n) // 2))
        crop = cut(case, corner, self.sides)
        return Crop(*(part.to(self.device) for part in crop))


def _some_sites(tumor: Tensor) -> Tensor:
    sites = tumor.nonzero()
    keep = torch.randperm(len(sites), generator=torch.Generator().manual_seed(0))[:_SITES]
    return sites[keep.to(sites.device)].cpu()
