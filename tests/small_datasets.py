"""nnU-Net raw datasets of analytic breasts with a ball each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analytic import breast_image, ellipsoid
from synbt_aug.data.nifti import write_volume
from synbt_aug.data.nnunet_raw import write_dataset_json


def write_dataset(
    folder: Path, gain: float, count: int = 4, first: int = 0, radius_mm: float = 6.0
) -> Path:
    """Analytic breasts at 1.5 mm with a ball that is brighter in post by `gain`."""
    spacing = (1.5, 1.5, 1.5)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for k in range(count):
        image = breast_image(spacing, seed=first + k)
        shape = tuple(image.shape[1:])
        tumor = ellipsoid(shape, (36.0, 36.0, 30.0), (radius_mm,) * 3, spacing)
        image[1][tumor] += gain
        affine = np.diag([1.5, 1.5, 1.5, 1.0])
        for channel, volume in enumerate(image):
            path = folder / "imagesTr" / f"case{first + k}_{channel:04d}.nii.gz"
            write_volume(path, volume.numpy(), affine)
        label = tumor.numpy().astype(np.uint8)
        write_volume(folder / "labelsTr" / f"case{first + k}.nii.gz", label, affine)
    write_dataset_json(folder, cases=count, channels=["pre", "post"], description="test")
    return folder
