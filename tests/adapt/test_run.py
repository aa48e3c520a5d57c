from __future__ import annotations

from pathlib import Path

import pytest

from mama_mia_folder import TEST, TRAIN, make_folder
from synbt_aug.adapt.run import AdaptSettings, files_of
from synbt_aug.errors import SynBTError


def test_the_official_test_cases_of_mama_mia_are_not_learned_from(tmp_path: Path) -> None:
    files = files_of(AdaptSettings(make_folder(tmp_path / "mm"), None, "shipped", 60.0))
    found = {case.name.lower() for case in files.cases}
    assert found >= {name.strip().lower() for name in TRAIN}
    # Nor is a case that the split does not name.
    assert found.isdisjoint({"duke_999", *(name.lower() for name in TEST)})


def test_a_fold_of_mama_mia_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="is a MAMA-MIA folder. Leave it out.*synbt prepare"):
        files_of(AdaptSettings(make_folder(tmp_path / "mm"), 0, "shipped", 60.0))
