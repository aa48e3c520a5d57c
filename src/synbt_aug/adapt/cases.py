"""Which cases are learned from, and which are held back to see whether that made it better."""

from __future__ import annotations

from collections.abc import Iterable

from synbt_aug.data.cohort import TrainingCase
from synbt_aug.errors import SynBTError
from synbt_aug.support.case_ids import patient_of
from synbt_aug.train.held_out import drawn_apart

#: Smallest tumor that counts, as for a bank, in mm.
_SMALLEST_MM = 6.0

#: Held back: one case in five, but no fewer and no more than these.
ONE_IN, MIN_HELD_BACK, MAX_HELD_BACK = 5, 2, 6

#: Cases with a tumor: two are held back, and a bank of fewer than three shapes is none.
MIN_CASES = MIN_HELD_BACK + 3


def refuse_too_few(count: int, what: str) -> None:
    """See that there are enough cases.

    Args:
        count: How many.
        what: They are, for the message.

    Raises:
        SynBTError: If there are not.
    """
    if count < MIN_CASES:
        raise SynBTError(
            f"synbt adapt needs {MIN_CASES} {what}: {MIN_HELD_BACK} are held back to measure on. "
            f"There are {count}. Add cases, or use the shipped weights with a bank of your own: "
            f"synbt bank build."
        )


def with_tumor(cases: Iterable[TrainingCase]) -> list[str]:
    """Names of the cases with a tumor of 6 mm or more."""
    return [
        case.name
        for case in cases
        if any(tumor.diameter_mm >= _SMALLEST_MM for tumor in case.instances)
    ]


def hold_back(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part cases by patients; always the same way for the same names.

    Args:
        names: Of cases with tumors.

    Returns:
        Those to learn from and those held back, each sorted.

    Raises:
        SynBTError: If there are fewer than `MIN_CASES` patients.
    """
    of_patient: dict[str, list[str]] = {}
    for name in names:
        of_patient.setdefault(patient_of(name), []).append(name)
    refuse_too_few(len(of_patient), f"patients with a tumor of {_SMALLEST_MM:.0f} mm or more")
    count = min(max(len(of_patient) // ONE_IN, MIN_HELD_BACK), MAX_HELD_BACK)
    held, learned = drawn_apart(list(of_patient), count)
    return (
        sorted(name for patient in learned for name in of_patient[patient]),
        sorted(name for patient in held for name in of_patient[patient]),
    )
