"""Measuring what comes out: whether weights fit data."""

from synbt_aug.evaluate.case_fit import FitCase
from synbt_aug.evaluate.fit import Fit, measure_fit

__all__ = ["Fit", "FitCase", "measure_fit"]
