"""Decide in nnU-Net's workers: what becomes of a sample is known before it is handed over.

Two steps around the spatial transforms take the voxels' whereabouts off the segmentation, let them
be turned and zoomed as a regression target, and look up in the case's map where a tumor may go. The
plans are handed over beside the segmentation. Then the training process only paints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from torch import Tensor

from synbt_aug.decide.ground import Ground
from synbt_aug.packed_plans import pack
from synbt_aug.sample_plans import NOT_DRAWN, REAL_TUMOR, Draw, SamplePlans, ground_masks
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.tissue.site_lookup import sites_of_patch
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.volume import Spacing, channel_name
from synbt_aug_nnunet.site_maps import HeldSites, read_whereabouts

#: Bytes of a sample's plans for each tumor that it may hold: a shape of 60 mm and what is around.
_BYTES = 3 * 2**20


class TakeWhereabouts(BasicTransform):  # type: ignore[misc]
    """Moves the voxels' whereabouts from the segmentation to the regression target."""

    def apply(self, data_dict: dict[str, Any], **_: Any) -> dict[str, Any]:
        """As the class says."""
        segmentation = data_dict["segmentation"]
        data_dict["segmentation"] = segmentation[:1]
        found = read_whereabouts(segmentation[1].numpy())
        number, first = (-1, (0, 0, 0)) if found is None else found
        data_dict["synbt_case"] = number
        axes = [torch.arange(n) + f for n, f in zip(segmentation.shape[1:], first, strict=True)]
        came_from = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        data_dict["regression_target"] = came_from.to(torch.float32)
        return data_dict


class DecideSample(BasicTransform):  # type: ignore[misc]
    """Decides what is painted into a sample, and packs it beside the segmentation.

    A sample that is drawn and has no room passes its turn on to the next one of the same worker
    that was not drawn and has room.

    Args:
        settings: What is asked for.
        bank: Templates.
        hole_margin_mm: Of the texture that will paint.
        spacing: Voxel size along the patch's axes, in mm.
        sites: Of the cases.
        seed: Of the run, fold and rank; samples add numbers of nnU-Net's own generator.
        fringe: Whether that texture takes the host's place (`Texture.replaces`).
    """

    def __init__(
        self,
        settings: InjectionSettings,
        bank: TumorBank,
        hole_margin_mm: float,
        spacing: Spacing,
        sites: HeldSites,
        seed: int,
        *,
        fringe: bool,
    ) -> None:
        super().__init__()
        self.settings, self.bank, self.hole_margin_mm = settings, bank, hole_margin_mm
        self.spacing, self.sites, self.seed, self.fringe = spacing, sites, seed, fringe
        most = settings.tumors if isinstance(settings.tumors, int) else settings.tumors[1]
        self.size = _BYTES * min(max(most, 1) + int(settings.multifocal > 0), 4)
        self._turns_left = 0

    def apply(self, data_dict: dict[str, Any], **_: Any) -> dict[str, Any]:
        """As the class says; the segmentation becomes a list of labels and packed plans."""
        came_from, number = data_dict.pop("regression_target"), data_dict.pop("synbt_case")
        data_dict.pop("nchannels_regr_trg", None)
        label = data_dict["segmentation"]
        plans = self.decide(data_dict["image"], label, number, came_from)
        data_dict["segmentation"] = [label, pack(plans, self.size)]
        return data_dict

    def decide(self, image: Tensor, label: Tensor, number: int, came_from: Tensor) -> SamplePlans:
        """Decide for one sample.

        Args:
            image: Shape `(C, D, H, W)`.
            label: Shape `(1, D, H, W)`, with -1 outside the image.
            number: Of its case; negative where that is not known.
            came_from: Where in the case its voxels came from, in voxels, shape `(3, D, H, W)`.
        """
        # The loader's numbers are numpy's; nnU-Net seeds them in each worker.
        drawn_there = int(np.random.randint(2**31))  # noqa: NPY002
        drawn = Draw.of(torch.Generator().manual_seed(step_seed(self.seed, drawn_there)))
        settings = self.settings
        takes_turn = drawn.chance >= settings.probability and self._turns_left > 0
        why_not = drawn.why_not(
            settings, lambda: bool((label == settings.tumor_label).any()), always=takes_turn
        )
        if why_not is not None:
            if why_not == REAL_TUMOR and not takes_turn:
                self._turns_left += 1
            return SamplePlans(why_not=NOT_DRAWN if takes_turn else why_not)
        if (problem := _unusable(image, settings)) is not None:
            self._turns_left += not takes_turn
            return SamplePlans(why_not=NOT_DRAWN if takes_turn else problem)
        d, h, w = label.shape[1:]
        occupied, valid = ground_masks(settings, label[0])
        there = sites_of_patch(self.sites.of(number), came_from, valid, self.spacing)
        ground = Ground(
            (d, h, w),
            self.spacing,
            lambda _: there,
            occupied,
            valid,
            further=len(settings.scans) - 2,
            earlier=settings.earlier,
        )
        plans = drawn.decide(settings, ground, self.bank, self.hole_margin_mm, fringe=self.fringe)
        if takes_turn:
            if not plans.plans:
                return SamplePlans(why_not=NOT_DRAWN)
            self._turns_left -= 1
            return SamplePlans(plans.things, plans.seed, passed_on=True)
        if not plans.plans:
            self._turns_left += 1
        return plans


def step_seed(*parts: int | str) -> int:
    """A seed of 63 bits from whatever tells two steps apart: fold, rank, epoch, iteration."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _unusable(image: Tensor, settings: InjectionSettings) -> str | None:
    """Why nothing can be painted into an image; None where it can."""
    for number, channel in enumerate(settings.scans):
        name = channel_name(number)
        low, high = (float(v) for v in image[channel].aminmax())
        if not np.isfinite([low, high]).all():
            return f"unusable sample: its {name} channel holds NaN or infinite values"
        if low == high:
            return f"unusable sample: its {name} channel is constant"
    return None


def packed_plans(batch: Mapping[str, Any]) -> tuple[Any, Tensor | None]:
    """The target of a loader's batch, and the plans that came with it.

    Returns:
        The labels, `(B, 1, D, H, W)`, and the packed plans, `(B, size)`, uint8; None where the
        workers decided nothing.
    """
    target = batch["target"]
    if isinstance(target, list) and len(target) == 2 and target[1].dtype == torch.uint8:
        return target[0], target[1]
    return target, None
