"""Measuring what comes out: whether weights fit data."""

from synbt_aug.evaluate.case_fit import FitCase
from synbt_aug.evaluate.fit import FIT_CASES, measure_fit, spread_first
from synbt_aug.evaluate.fit_cases import read_fit_case
from synbt_aug.evaluate.fit_verdict import Fit

__all__ = ["FIT_CASES", "Fit", "FitCase", "measure_fit", "read_fit_case", "spread_first"]
