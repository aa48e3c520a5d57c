"""Who trains, who validates, who tests: parts of patients, stratified by centre.

A patient's phases always stay together. What is drawn follows from the seed and the names alone
(by SHA-256), so it is the same on every machine, whatever has been downloaded so far.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from synbt_aug.errors import SynBTError

PARTS = ("training", "validation", "test")


def centre_of(patient: str) -> str:
    """The centre of a MAMA-MIA case by its id: DUKE, ISPY1, ISPY2 or NACT."""
    return patient.split("_")[0].upper()


def draw(seed: int, what: str) -> int:
    """A whole number of 64 bits that follows from the seed and a text alone."""
    return int.from_bytes(hashlib.sha256(f"{seed} {what}".encode()).digest()[:8], "big")


def parts_of(splits: dict[str, str], *, validation: int, seed: int) -> dict[str, str]:
    """Cut the official split's test cases into validation and test.

    Args:
        splits: Id -> "train" or "test".
        validation: How many of the test cases validate, shared among the centres as the test
            cases are.
        seed: Of their draw.

    Returns:
        Id -> "training", "validation" or "test".

    Raises:
        SynBTError: If the split leaves no case for training or for test.
    """
    test = [name for name, part in splits.items() if part == "test"]
    if len(test) == len(splits):
        raise SynBTError("The split needs cases for training, but its train column names none.")
    if not 0 < validation < len(test):
        raise SynBTError(
            f"--validation takes cases from the test column and must leave some, but is "
            f"{validation} of {len(test)}. "
            + (f"Type --validation {len(test) // 3 or 1}." if len(test) > 1 else "Add test cases.")
        )
    chosen: set[str] = set()
    for centre, share in _shares(test, validation).items():
        members = [name for name in test if centre_of(name) == centre]
        chosen |= set(sorted(members, key=lambda name: draw(seed, name.upper()))[:share])
    return {
        name: "training" if part == "train" else "validation" if name in chosen else "test"
        for name, part in splits.items()
    }


def grouped_folds(patients: Iterable[str], folds: int, seed: int) -> dict[str, int]:
    """Patient -> the one fold, from 0 on, that leaves him out; centres are spread evenly."""
    order = sorted(set(patients), key=lambda name: (centre_of(name), draw(seed, name.upper())))
    return {name: place % folds for place, name in enumerate(order)}


def _shares(names: list[str], wanted: int) -> dict[str, int]:
    """Largest remainders: whole shares of `wanted`, as near to the centres' own as can be."""
    counts = Counter(centre_of(name) for name in names)
    exact = {centre: wanted * count / len(names) for centre, count in sorted(counts.items())}
    shares = {centre: int(share) for centre, share in exact.items()}
    by_rest = sorted(exact, key=lambda centre: (shares[centre] - exact[centre], centre))
    for centre in by_rest[: wanted - sum(shares.values())]:
        shares[centre] += 1
    return shares
