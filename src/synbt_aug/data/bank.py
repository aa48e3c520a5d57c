"""A tumor bank from a cohort's own masks."""

from __future__ import annotations

from collections.abc import Iterable

from synbt_aug.data.cohort import TrainingCase
from synbt_aug.errors import SynBTError
from synbt_aug.hole import tissue
from synbt_aug.intensity import inverse_knee
from synbt_aug.tumor.bank import Template, TumorBank, build_bank, cut_template


def bank_of(cases: Iterable[TrainingCase]) -> TumorBank:
    """Cut a template of every tumor.

    Give it the training cases of a fold alone: a bank that holds validation tumors leaks them.

    Raises:
        SynBTError: If there is no tumor of 6 mm or more.
    """
    templates: list[Template | None] = []
    for case in cases:
        if not case.instances:
            continue
        q = case.q.float()
        linear = inverse_knee(q)
        around = tissue(q[None])[0] & case.valid & (case.tumor == 0)
        templates += [
            cut_template(case.tumor == tumor.number, linear, around, case.name)
            for tumor in case.instances
        ]
    if not any(templates):
        raise SynBTError(
            "A tumor bank needs tumors of at least 6 mm; these cases hold none. Are there masks?"
        )
    return build_bank(templates)
