"""Sets of 2D slices held against each other, such as painted tumors against patients'."""

from synbt_aug.evaluate.slices.comparison import SetComparison, compare_tables, control
from synbt_aug.evaluate.slices.dataset import SliceSet, read_slice_set
from synbt_aug.evaluate.slices.features import GROUPS, FeatureTable, measure_slices
from synbt_aug.evaluate.slices.png_folder import read_png_folder
from synbt_aug.evaluate.slices.tumor_slice import TumorSlice, slice_through

__all__ = [
    "FeatureTable",
    "GROUPS",
    "SetComparison",
    "SliceSet",
    "TumorSlice",
    "compare_tables",
    "control",
    "measure_slices",
    "read_png_folder",
    "read_slice_set",
    "slice_through",
]
