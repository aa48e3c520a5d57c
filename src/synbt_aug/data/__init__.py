"""Reading and writing scans and cohorts: NIfTI pairs, nnU-Net raw datasets, MAMA-MIA folders."""

from synbt_aug.data.cohort import Cohort, TrainingCase, TumorInstance, load_cohort
from synbt_aug.data.detect import detect_layout, read_dataset
from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.data.nifti import Pair, Scan, read_mask, read_pair, read_scan
from synbt_aug.data.phantom_cohort import write_phantom_cohort

__all__ = [
    "CaseFiles",
    "Cohort",
    "DatasetFiles",
    "Pair",
    "Scan",
    "TrainingCase",
    "TumorInstance",
    "detect_layout",
    "load_cohort",
    "read_dataset",
    "read_mask",
    "read_pair",
    "read_scan",
    "write_phantom_cohort",
]
