"""Banks with voxels, with known places, and with the lesions of a case together."""

from __future__ import annotations

import torch

from analytic import seeded, small_bank
from synbt_aug.support.case_ids import case_key
from synbt_aug.tumor.bank import Template, TumorBank
from synbt_aug.tumor.places import ELSEWHERE, STATISTICS
from synbt_aug.tumor.template import SIGNAL_MARGIN_MM

CASE, OTHER = case_key("case"), case_key("other")


def with_signal(template: Template, seed: int = 0) -> Template:
    """The template with noise for its signal."""
    shape = (2, *(n + 2 * SIGNAL_MARGIN_MM for n in template.mask.shape))
    return template._replace(signal=torch.randn(shape, generator=seeded(seed)).half())


def bank_with_signals() -> TumorBank:
    return TumorBank(tuple(with_signal(t, k) for k, t in enumerate(small_bank().templates)))


def as_group(templates: tuple[Template, ...], name: str = CASE) -> tuple[Template, ...]:
    """Lesions 20 mm apart along the first axis."""
    return tuple(
        t._replace(group=name, offset_mm=(20.0 * k, 0.5, -3.0)) for k, t in enumerate(templates)
    )


def with_places(template: Template, seed: int = 0) -> Template:
    """The template with places of no meaning; the nipple is not in view."""
    places = 50 * torch.rand(1 + ELSEWHERE, len(STATISTICS), generator=seeded(seed))
    places[:, STATISTICS.index("nipple_mm")] = torch.nan
    return template._replace(places=places.half())
