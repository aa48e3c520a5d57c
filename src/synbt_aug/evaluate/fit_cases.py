"""Cases of a dataset as a fit is measured on them: as they are stored, with their own tumors."""

from __future__ import annotations

from dataclasses import replace

from synbt_aug.data.layout import CaseFiles
from synbt_aug.data.nifti import read_mask, read_pair
from synbt_aug.evaluate.case_fit import FitCase


def read_fit_case(case: CaseFiles) -> FitCase:
    """Read pre, the first post-contrast scan and the tumor mask, where there is one.

    Raises:
        SynBTError: If a file cannot be used.
    """
    pair = read_pair(case.pre, case.posts[0])
    tumor = None
    if case.label is not None:
        tumor = read_mask(case.label, pair.pre, "The tumor mask", label=case.tumor_label)
    return FitCase(case.name, replace(pair.volume, tumor=tumor))
