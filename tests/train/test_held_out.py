from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.train.held_out import CasesOnDisk, case_names, drawn_apart, names_of


def test_validation_cases_are_always_the_same_and_never_tested() -> None:
    names = [f"case_{k}" for k in range(306)]
    validation, test = drawn_apart(names, 100)
    assert len(validation) == 100 and len(test) == 206
    assert not set(validation) & set(test)
    assert drawn_apart(names[::-1], 100) == (validation, test)


def test_more_cases_than_there_are_cannot_be_drawn() -> None:
    with pytest.raises(SynBTError, match="draws from 2 cases: give a number from 1 to 2, got 3"):
        drawn_apart(["a", "b"], 3)


def test_cases_come_in_order_of_their_names_and_only_those_asked_for(
    phantom_folder: Path,
) -> None:
    names = case_names(phantom_folder)
    assert len(names) == 3
    cases = CasesOnDisk(phantom_folder, [names[2], names[0]])
    assert [case.name for case in cases] == [names[0], names[2]] and len(cases) == 2
    assert [case.name for case in CasesOnDisk(phantom_folder)[1:]] == names[1:]
    with pytest.raises(SynBTError, match="nobody"):
        CasesOnDisk(phantom_folder, ["nobody"])


def test_a_case_without_a_mask_is_no_test(phantom_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(phantom_folder, tmp_path / "bare")
    names = case_names(folder)
    (folder / f"labelsTr/{names[1]}.nii.gz").unlink()
    with pytest.raises(SynBTError, match=rf"1 cases have no tumor mask \({names[1]}\)"):
        CasesOnDisk(folder)
    assert names_of(CasesOnDisk(folder, [names[2], names[0]])) == [names[0], names[2]]


@pytest.fixture(scope="module")
def phantom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from synbt_aug.data import write_phantom_cohort
    from synbt_aug.phantom import PhantomSettings

    settings = PhantomSettings(shape=(24, 24, 24), spacing=(2.0, 2.0, 2.0))
    return write_phantom_cohort(
        tmp_path_factory.mktemp("cohort"), range(3), settings=settings, workers=1
    )
