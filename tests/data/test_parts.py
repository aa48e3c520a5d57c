from __future__ import annotations

from collections import Counter

import pytest

from synbt_aug.data.parts import centre_of, draw, grouped_folds, parts_of
from synbt_aug.errors import SynBTError


def _splits(train: int = 4, **test: int) -> dict[str, str]:
    names = {f"{centre.lower()}_{i:03d}": "test" for centre, n in test.items() for i in range(n)}
    return names | {f"duke_{900 + i}": "train" for i in range(train)}


def _by_centre(parts: dict[str, str], part: str) -> dict[str, int]:
    return dict(Counter(centre_of(name) for name, its in parts.items() if its == part))


def test_validation_is_shared_among_centres_as_the_test_cases_are() -> None:
    splits = _splits(train=1200, DUKE=58, ISPY1=34, ISPY2=200, NACT=14)
    parts = parts_of(splits, validation=100, seed=0)
    # 100/306 of each: 18.95, 11.11, 65.36 and 4.58 cases; the two largest rests are rounded up.
    assert _by_centre(parts, "validation") == {"DUKE": 19, "ISPY1": 11, "ISPY2": 65, "NACT": 5}
    assert Counter(parts.values()) == {"training": 1200, "validation": 100, "test": 206}


def test_the_draw_depends_on_seed_and_names_alone() -> None:
    splits = _splits(DUKE=20, NACT=20)
    parts = parts_of(splits, validation=10, seed=0)
    turned = dict(reversed(splits.items()))
    assert parts_of(turned, validation=10, seed=0) == parts
    assert parts_of(splits, validation=10, seed=1) != parts
    # printf '0 DUKE_001' | sha256sum, its first 16 digits: the draw of every machine and version.
    assert draw(0, "DUKE_001") == 0x1879F1A38C04BBC4


def test_the_training_column_trains() -> None:
    parts = parts_of(_splits(DUKE=3), validation=1, seed=0)
    assert {name for name, part in parts.items() if part == "training"} == {
        f"duke_{n}" for n in (900, 901, 902, 903)
    }


def test_a_validation_that_leaves_no_test_is_refused() -> None:
    with pytest.raises(SynBTError, match="is 6 of 6. Type --validation 2"):
        parts_of(_splits(DUKE=6), validation=6, seed=0)
    with pytest.raises(SynBTError, match="is 100 of 0. Add test cases"):
        parts_of(_splits(), validation=100, seed=0)
    with pytest.raises(SynBTError, match="train column names none"):
        parts_of(_splits(train=0, DUKE=6), validation=2, seed=0)


def test_folds_hold_each_patient_out_once_and_spread_the_centres() -> None:
    patients = [f"DUKE_{i}" for i in range(10)] + [f"NACT_{i}" for i in range(5)]
    # A patient with several phases is named several times.
    fold_of = grouped_folds(patients * 3, 5, seed=0)
    assert set(fold_of) == set(patients)
    for fold in range(5):
        held_out = [name for name, its in fold_of.items() if its == fold]
        assert Counter(centre_of(name) for name in held_out) == {"DUKE": 2, "NACT": 1}
