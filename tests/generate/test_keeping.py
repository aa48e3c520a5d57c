from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from synbt_aug.data.nifti import read_label
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.predictors import Command
from synbt_aug.generate.index import acceptance
from synbt_aug.generate.keeping import NOT_FOUND, TOO_EASY, KeepBy

SEGMENTER = Command("run {input} {output}")


def save(path: Path, mask: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(mask.astype(np.uint8).T, np.eye(4)), path)


@pytest.mark.parametrize(
    ("slices", "dice", "complaint"),
    [(0, 0.0, NOT_FOUND), (2, 2 * 32 / 96, ""), (4, 1.0, TOO_EASY)],
)
def test_a_tumor_is_kept_that_is_found_but_not_all_too_easily(
    tmp_path: Path, slices: int, dice: float, complaint: str
) -> None:
    tumor, predicted = np.zeros((2, 12, 12, 12), bool)
    tumor[4:8, 4:8, 4:8] = predicted[4 : 4 + slices, 4:8, 4:8] = True
    predicted[0, 0, 0] = True
    save(tmp_path / "a.nii.gz", predicted)
    case = SimpleNamespace(pre=read_label(tmp_path / "a.nii.gz"), real_tumor=np.zeros_like(tumor))
    keep = KeepBy(SEGMENTER, 1, (0.2, 0.9))
    found, why = keep.verdict("a", tumor, case, tmp_path)  # type: ignore[arg-type]
    assert found == pytest.approx(dice) and why == complaint


def test_a_range_that_is_none_is_refused() -> None:
    with pytest.raises(SynBTError, match=r"range within 0 and 1 such as 0.1:0.9, got 0.9:0.1"):
        KeepBy(SEGMENTER, dice=(0.9, 0.1))


def test_the_acceptance_rate_counts_what_the_segmenter_judged() -> None:
    records = [{"generate": {"keep_by_dice": 0.5}}] * 3
    rejected = Counter({NOT_FOUND: 4, TOO_EASY: 1, "no room": 7})
    assert acceptance(records, rejected) == "3 of 8 (38%)"
    assert acceptance([{"generate": {}}], Counter({"no room": 7})) is None
