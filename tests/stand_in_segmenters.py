"""Segmenters that cost nothing: `python stand_in_segmenters.py KIND INPUT OUTPUT`.

`perfect` copies the labels that lie beside the images, `empty` finds nothing, `brighter` marks what
takes up contrast, and `large` what of that is large.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

#: Enhancement that counts, and least volume of a part.
RISE, LARGE_MM3 = 60.0, 700.0


def main(kind: str, images: str, output: str) -> None:
    for pre in sorted(Path(images).glob("*_0000.nii.gz")):
        name = pre.name.removesuffix("_0000.nii.gz")
        before = nib.load(pre)
        if kind == "perfect":
            mask = np.asarray(nib.load(Path(images).parent / "labels" / f"{name}.nii.gz").dataobj)
        elif kind == "empty":
            mask = np.zeros(before.shape, np.uint8)
        else:
            after = nib.load(pre.with_name(f"{name}_0001.nii.gz"))
            rise = np.asarray(after.dataobj, np.float32) - np.asarray(before.dataobj, np.float32)
            parts, count = ndimage.label(ndimage.gaussian_filter(rise, 1.0) > RISE)
            voxel_mm3 = abs(float(np.linalg.det(before.affine[:3, :3])))
            volumes = np.bincount(parts.ravel(), minlength=count + 1) * voxel_mm3
            large = volumes >= (LARGE_MM3 if kind == "large" else 0.0)
            large[0] = False
            mask = large[parts].astype(np.uint8)
        nib.save(
            nib.Nifti1Image(mask.astype(np.uint8), before.affine),
            Path(output) / f"{name}.nii.gz",
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
