from __future__ import annotations

import pytest

from synbt_aug.adapt.cases import hold_back
from synbt_aug.errors import SynBTError


def names(count: int) -> list[str]:
    return [f"case_{k:03d}" for k in range(count)]


@pytest.mark.parametrize(("count", "held"), [(5, 2), (10, 2), (15, 3), (20, 4), (30, 6), (100, 6)])
def test_a_fifth_is_held_back_at_least_two_and_at_most_six(count: int, held: int) -> None:
    learned, apart = hold_back(names(count))
    assert len(apart) == held and sorted(learned + apart) == names(count)


def test_the_same_names_are_parted_the_same_way_in_any_order() -> None:
    assert hold_back(names(12)) == hold_back(names(12)[::-1])


def test_two_phases_of_a_patient_stay_on_one_side() -> None:
    phases = [f"{name}_phase{k}" for name in names(6) for k in (1, 2)]
    learned, apart = hold_back(phases)
    assert len(apart) == 4
    assert not {name[:8] for name in learned} & {name[:8] for name in apart}


def test_too_few_patients_are_told_how_many_are_needed() -> None:
    with pytest.raises(SynBTError, match="needs 5 patients with a tumor of 6 mm .*There are 4"):
        hold_back([*names(4), "case_000_phase2"])
