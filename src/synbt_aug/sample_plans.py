"""What is to be painted into one sample of a batch: drawn and decided, in whatever process.

A loader's worker can decide for the sample that it has just cut, turned and zoomed, and hand the
plans over with it; who trains only paints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import LeftOut, Plan
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.placement import draw_seed
from synbt_aug.volume import BreastVolume, Spacing

#: Counts of samples that nothing is tried in: by chance, and by `only_tumor_free`.
NOT_DRAWN = "not drawn"
REAL_TUMOR = "holds a real tumor"

#: Counts samples that nothing can be painted into.
UNUSABLE = "unusable sample"


@dataclass(frozen=True)
class SamplePlans:
    """What was decided for one sample. Pickles; no pixels.

    Args:
        things: Plans, and what was left out, in the order in which they are painted.
        seed: That they followed from, for the record.
        why_not: Why nothing is tried: `NOT_DRAWN`, `REAL_TUMOR` or `UNUSABLE`, with or without
            more words after a colon; None where something is.
        passed_on: Whether it takes the turn of a sample that had no room.
    """

    things: tuple[Plan | LeftOut, ...] = ()
    seed: int = 0
    why_not: str | None = None
    passed_on: bool = False

    @property
    def plans(self) -> tuple[Plan, ...]:
        """What is to be painted."""
        return tuple(one for one in self.things if isinstance(one, Plan))

    @property
    def reason(self) -> str | None:
        """Why nothing was planned where something was tried; None where something was planned."""
        if self.why_not is not None:
            return self.why_not
        left = [one.reason for one in self.things if isinstance(one, LeftOut)]
        return None if self.plans else next(iter(left), "nothing was asked for")


@dataclass(frozen=True)
class Draw:
    """The numbers that one sample draws, whatever becomes of it.

    One sample's fate does not change the next one's tumor.

    Args:
        chance: In [0, 1): decides whether anything is tried.
        null: In [0, 1): decides whether it is a null paint.
        seed: All else follows from it.
    """

    chance: float
    null: float
    seed: int

    @classmethod
    def of(cls, generator: torch.Generator) -> Draw:
        """The next sample's, from a generator on the CPU."""
        chance, null = torch.rand(2, generator=generator).tolist()
        return cls(chance, null, draw_seed(generator))

    def why_not(
        self, settings: InjectionSettings, has_tumor: Callable[[], bool], *, always: bool = False
    ) -> str | None:
        """Why nothing is tried in the sample; None where something is.

        Args:
            settings: How often.
            has_tumor: Whether the sample holds a real tumor; asked where it matters.
            always: Whatever the probability.
        """
        if self.chance >= settings.probability and not always:
            return NOT_DRAWN
        return REAL_TUMOR if settings.only_tumor_free and has_tumor() else None

    def decide(
        self,
        settings: InjectionSettings,
        ground: Ground,
        bank: TumorBank,
        hole_margin_mm: float,
        *,
        fringe: bool,
    ) -> SamplePlans:
        """Decide for the sample.

        Args:
            settings: What is asked for.
            ground: The sample as deciding sees it.
            bank: Templates.
            hole_margin_mm: Of the texture that will paint.
            fringe: Whether it takes the host's place (`Texture.replaces`).
        """
        generator = torch.Generator().manual_seed(self.seed)
        wishes = settings.wishes(self.null, generator)
        decided = decide_all(ground, wishes, bank, hole_margin_mm, generator, fringe=fringe)
        return SamplePlans(decided, self.seed)


def ground_masks(settings: InjectionSettings, label: Tensor) -> tuple[Tensor, Tensor | None]:
    """What a sample's labels keep from being painted on.

    Args:
        settings: With the labels that a tumor may replace.
        label: Shape `(D, H, W)`; negative values mark voxels without signal.

    Returns:
        Tumors and labels that stay, boolean; and voxels with signal, boolean, None where all are.
    """
    signal = label >= 0
    return _closed(settings, label), None if bool(signal.all()) else signal


def sample_volume(
    settings: InjectionSettings,
    scans: Tensor,
    label: Tensor,
    spacing: Spacing,
    *,
    valid: Tensor | None = None,
    roi: Tensor | None = None,
) -> BreastVolume:
    """A sample as the core takes it.

    Args:
        settings: With the labels that mean something.
        scans: Those of `settings.scans`, or pre and post alone, shape `(2 + P, D, H, W)`.
        label: Shape `(D, H, W)`; negative values mark voxels without signal.
        spacing: Voxel size, in mm.
        valid: Voxels with signal, boolean, shape `(D, H, W)`.
        roi: Where tumors may go, in place of `roi_labels` and tissues.

    Raises:
        SynBTError: If nothing can be painted into it.
    """
    # A mask of booleans is the label 1; torch compares it with no set of numbers.
    label = label.to(torch.uint8) if label.dtype == torch.bool else label
    if roi is None and settings.roi_labels:
        roi = torch.isin(label, torch.tensor(settings.roi_labels, device=label.device))
    seen = label >= 0
    if valid is not None:
        seen = seen & valid.to(device=seen.device, dtype=torch.bool)
    tumor = label == settings.tumor_label
    return BreastVolume(
        scans,
        spacing,
        tumor=tumor,
        forbidden=_closed(settings, label) & ~tumor,
        valid=None if bool(seen.all()) else seen,
        roi=roi,
        earlier=settings.earlier if len(scans) > 2 else 0,
    )


def _closed(settings: InjectionSettings, label: Tensor) -> Tensor:
    """Tumors, and labels that none may replace."""
    opened = torch.tensor((0, *settings.open_labels), device=label.device)
    return torch.isin(label, opened, invert=True) | (label == settings.tumor_label)
