"""One sample of a transform: painted by the injector, as a batch of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.clipping import CLIPPED_SHARE, clipped_advice, clipped_share
from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.signal.subtraction import LEAST_R2, fit_channel, recomputed
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.transform.arrays import calculable, largest_of
from synbt_aug.transform.label import read_label
from synbt_aug.transform.notices import Notices
from synbt_aug.transform.recorded_sites import Origin, sites_of
from synbt_aug.tumor.visibility import VISIBLE_SHARE
from synbt_aug.volume import Spacing, Synthesis, unchanged

#: The reason where chance left a sample as it is.
NOT_DRAWN = "not drawn"


@dataclass(frozen=True)
class Sample:
    """A series and its label of one sample, in the axis order of its arrays.

    Args:
        scans: Pre, post and further post-contrast scans in order of time, shape
            `(2 + P, D, H, W)`, of a type that torch calculates with.
        label: Shape `(D, H, W)`, any type.
        spacing: Voxel size along D, H and W, in mm.
        roi: Where tumors may go, shape `(D, H, W)`; None: nobody said.
        reference: Intensity references of the case; None measures what is there.
        stored: Types of the scans as the host holds them; None: that of `scans`.
        earlier: How many of the further scans come before post.
        subtractions: Channels that are differences of the scans, `(D, H, W)` each.
        origin: Where in its case it came from, with the case's site map; None: not recorded.
    """

    scans: Tensor
    label: Tensor
    spacing: Spacing
    roi: Tensor | None = None
    reference: IntensityReference | None = None
    stored: tuple[torch.dtype, ...] | None = None
    earlier: int = 0
    subtractions: tuple[Tensor, ...] = ()
    origin: Origin | None = None

    def settings(self, settings: InjectionSettings) -> InjectionSettings:
        """Settings whose channels are those of `scans`."""
        further = tuple(range(2, len(self.scans)))
        posts = (*further[: self.earlier], 1, *further[self.earlier :]) if further else ()
        return replace(
            settings, pre_channel=0, post_channel=1, post_channels=posts, subtraction_channels=()
        )


def inject(
    sample: Sample,
    settings: InjectionSettings,
    generator: torch.Generator,
    notices: Notices,
    *,
    look_for_clipping: bool = True,
) -> tuple[Synthesis, Counter[str]]:
    """Paint into a sample what the generator draws.

    Args:
        sample: It is not changed.
        settings: What. Whether is the host's to decide, and the channels are the sample's.
        generator: On the CPU; all that is random follows from it.
        notices: Are given what was found odd about the sample.
        look_for_clipping: False where the host knows of it already.

    Returns:
        What was painted, or the scans as they are with the reason; and the injector's counts.
    """
    try:
        label = read_label(sample.label, sample.scans[1], settings, notices)
    except SynBTError as error:
        return _unusable(sample, str(error), notices), Counter({"unusable sample": 1})
    if settings.only_tumor_free and bool((label == settings.tumor_label).any()):
        reason = f"{NOT_DRAWN}: it has a tumor"
        return unchanged(sample.scans, reason), Counter({NOT_DRAWN: 1})
    injector = SynBTInjector(replace(sample.settings(settings), probability=1.0))
    (result,) = injector(
        sample.scans[None],
        label[None, None],
        sample.spacing,
        generator=generator,
        references=[sample.reference],
        roi=None if sample.roi is None else sample.roi[None],
        sites=[_recorded_sites(sample, label, settings, notices)],
    ).results
    assert result is not None
    if str(result.reason).startswith("unusable sample"):
        notices.warn(f"SynBT: {result.reason} It stays as it is.")
    elif look_for_clipping:
        _tell_clipping(sample.scans[:2], label, notices)
    share = _cut_share(result, sample.stored)
    if share > 1 - VISIBLE_SHARE:
        reason = f"not visible enough: the image's type cuts {share:.0%} of the tumor"
        return unchanged(sample.scans, reason), Counter({"not visible enough": 1})
    return result, injector.counts


def replay(
    sample: Sample, settings: InjectionSettings, recipe: Mapping[str, Any], notices: Notices
) -> Synthesis:
    """Paint into a sample what a recipe says.

    Args:
        sample: It is not changed.
        settings: With weights, bank and device; the channels are the sample's.
        recipe: As `Synthesis.recipe`, or read from its JSON.
        notices: As for `inject`.

    Raises:
        SynBTError: If the recipe does not belong to the sample or the weights.
    """
    label = read_label(sample.label, sample.scans[1], settings, notices)
    injector = SynBTInjector(sample.settings(settings))
    (result,) = injector.replay(
        sample.scans[None], label[None, None], [recipe], sample.spacing
    ).results
    assert result is not None
    return result


def subtractions_after(
    sample: Sample, painted: Synthesis, settings: InjectionSettings, notices: Notices
) -> list[Tensor]:
    """The sample's subtractions after painting, `(D, H, W)` each.

    Args:
        sample: As it was.
        painted: Into it.
        settings: With `unpainted_channels`.
        notices: Are told where a channel is no subtraction and that is allowed: it stays.

    Raises:
        SynBTError: If one is none, and the setting is "refuse".
    """
    found, seen = [], calculable(sample.label) >= 0
    for channel in sample.subtractions:
        fit = fit_channel(channel, sample.scans, seen)
        if fit.holds:
            found.append(recomputed(channel, fit, sample.scans, painted.image, painted.support))
            continue
        problem = (
            f"a channel called a subtraction is none of these {len(sample.scans)} scans (they "
            f"explain {float(fit.r2):.1%} of it, {LEAST_R2:.1%} are needed)"
        )
        if settings.unpainted_channels == "refuse":
            raise SynBTError(
                f"SynBT: {problem}, and cannot be computed again. Leave it out, make it from these "
                f'scans, or keep it as it is with unpainted_channels="allow".'
            )
        notices.warn(f"SynBT: {problem}; it stays as it is and contradicts the label.")
        found.append(channel)
    return found


def _recorded_sites(
    sample: Sample, label: Tensor, settings: InjectionSettings, notices: Notices
) -> SiteMap | None:
    """Of the sample, looked up in its case's; None where it is not known, or a roi decides."""
    if sample.origin is None or sample.roi is not None:
        return None
    seen = label >= 0
    valid = None if bool(seen.all()) else seen
    return sites_of(sample.origin, sample.scans[0], valid, sample.spacing, settings, notices)


def _unusable(sample: Sample, why: str, notices: Notices) -> Synthesis:
    reason = f"unusable sample: {why}"
    notices.warn(f"SynBT: {reason} It stays as it is.")
    return unchanged(sample.scans, reason)


def _cut_share(painted: Synthesis, stored: tuple[torch.dtype, ...] | None) -> float:
    """Share of the new tumor that the types in which it will be stored cannot hold.

    The core judges what it writes in the type of the scans together, which may be wider.
    """
    if stored is None or not bool(painted.tumor.any()):
        return 0.0
    cut = torch.zeros_like(painted.tumor)
    for channel, dtype in zip(painted.image, stored, strict=True):
        if dtype != channel.dtype and not dtype.is_floating_point:
            cut |= channel > largest_of(dtype)
    return float(cut[painted.tumor].float().mean())


def _tell_clipping(pair: Tensor, label: Tensor, notices: Notices) -> None:
    seen = label >= 0
    share = clipped_share(pair, None if bool(seen.all()) else seen)
    if share >= CLIPPED_SHARE:
        notices.warn(clipped_advice(share))
