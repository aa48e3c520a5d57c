"""Which held-out cases a generator has seen: in its weights, or in its tumor bank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synbt_aug.support.case_ids import case_key, case_keys
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.weights import Weights, WithoutNetworks


def cases_of(weights: Weights) -> set[str]:
    """Keys of the cases that weights were made of: of both networks, and of their own bank."""
    parts = (weights.card, *(weights.card.get(name) for name in ("autoencoder", "denoiser")))
    learned = {key for part in parts for key in _listed(part)}
    return learned | {case_key(template.source) for template in weights.bank.templates}


def leaks(
    weights: Weights | WithoutNetworks, bank: TumorBank, held_out: Iterable[str]
) -> list[tuple[str, list[str]]]:
    """The held-out cases that a generator has seen.

    Args:
        weights: Without their networks nothing of those paints, and only the bank counts.
        bank: What shapes are drawn from.
        held_out: Names of validation and test cases.

    Returns:
        For each part of the generator that saw some: the beginning of a sentence, and the names
        of the held-out cases, sorted.
    """
    names: dict[str, set[str]] = {}
    for name in held_out:
        names.setdefault(case_key(name), set()).add(name)
    parts = {
        f"The weights {weights.name!r} were trained on": (
            cases_of(weights) if isinstance(weights, Weights) else set()
        ),
        "The tumor bank holds tumors of": {case_key(t.source) for t in bank.templates},
    }
    found = {
        what: sorted(name for key in names.keys() & seen for name in names[key])
        for what, seen in parts.items()
    }
    return [(what, leaked) for what, leaked in found.items() if leaked]


def _listed(card: Any) -> list[str]:
    """Keys of the cases that a card lists; older cards name them in clear."""
    listed = card.get("cases") if isinstance(card, Mapping) else None
    return case_keys(map(str, listed)) if isinstance(listed, list | tuple) else []
