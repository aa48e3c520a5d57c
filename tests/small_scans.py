"""Scans of a few voxels as files, and a case before and after painting."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from synbt_aug.report.pictures import BeforeAfter

SHAPE_XYZ = (20, 18, 16)


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def signal(seed: int = 0, shape: tuple[int, ...] = SHAPE_XYZ) -> np.ndarray:
    return np.random.default_rng(seed).integers(50, 400, shape).astype(np.int16)


def block(shape: tuple[int, ...] = SHAPE_XYZ) -> np.ndarray:
    """A mask of 4 x 3 x 2 = 24 voxels."""
    mask = np.zeros(shape, np.uint8)
    mask[5:9, 6:9, 7:9] = 1
    return mask


SHOWN_SHAPE = (40, 60, 80)


def before_after(**changes: object) -> BeforeAfter:
    """A box of 6 x 8 x 8 mm that enhances by 300 over noise around 100."""
    before = np.random.default_rng(0).normal(100, 5, (2, *SHOWN_SHAPE)).astype(np.float32)
    tumor = np.zeros(SHOWN_SHAPE, bool)
    tumor[18:24, 26:34, 36:44] = True
    after = before.copy()
    after[1][tumor] += 300
    values = {"title": "a case", "before": before, "after": after, "tumor": tumor}
    values |= {"support": tumor, "spacing": (1.0, 1.0, 1.0)}
    return BeforeAfter(**(values | changes))  # type: ignore[arg-type]
