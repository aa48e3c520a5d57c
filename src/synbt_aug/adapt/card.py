"""What adapted weights say of themselves: where they come from, and what they may reveal."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import torch

from synbt_aug import __version__
from synbt_aug.adapt.figures import Figures
from synbt_aug.data.leaks import cases_of
from synbt_aug.weights import Weights

NO_LICENCE = "not given: ask whoever made these weights"


def reveals(learned: int, networks: bool) -> str:
    """What the files may reveal of patients.

    Args:
        learned: Cases that were learned from.
        networks: Whether a network is among what was learned.
    """
    told = (
        f"The tumor bank holds the shapes of the tumor masks of {learned} cases, their size, "
        f"appearance and place in the breast, and no voxel of a scan."
    )
    if networks:
        told += (
            " The networks have learned from the scans: they store none, but whoever holds a scan "
            "may be able to tell whether it was among them."
        )
    return told


def card_of(
    base: Weights,
    learned: list[str],
    held: list[str],
    *,
    fold: int | None,
    licence: str | None,
    kept: Mapping[str, bool],
    before: Figures,
    after: Figures,
    generator: int | None,
) -> dict[str, Any]:
    """The card of adapted weights; cases become keys when it is written.

    Args:
        base: What was started from.
        learned: Names of the cases that were learned from.
        held: Names of those held back: they chose what was kept, so they count as seen.
        fold: Of nnU-Net; None: of all training cases.
        licence: As given.
        kept: Part -> whether it was kept.
        before: Figures of the start.
        after: Of what was kept.
        generator: Version of the phantom generator, where the cases are phantoms.
    """
    networks = kept["decoder"] or kept["denoiser"]
    adapted = {
        "from": {"weights": base.name, "digest": base.digest},
        "fold": fold,
        "training_cases": "of the fold alone" if fold is not None else "all: no fold was named",
        "learned_from": len(learned),
        "held_back": len(held),
        "licence": licence or NO_LICENCE,
        "reveals": reveals(len(learned), networks),
        "kept": dict(kept),
        "before": before.to_dict(),
        "after": after.to_dict(),
        "versions": {
            "synbt-aug": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    card: dict[str, Any] = {"cases": sorted({*cases_of(base), *learned, *held}), "adapted": adapted}
    return card if generator is None else card | {"phantom_generator": generator}
