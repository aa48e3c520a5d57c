"""Draw the README's picture: a phantom before and after. `python docs/readme_picture.py [SEED]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from synbt_aug import Appearance, BreastVolume, TumorSynthesizer
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.report.pictures import BeforeAfter
from synbt_aug.report.sheets import preview

PHANTOM = 1_000_005
PICTURE = Path(__file__).parent / "images" / "phantom.png"


def main(seed: int = 2) -> None:
    """Paint and draw."""
    phantom = make_phantom(PHANTOM, PhantomSettings(with_tumor=False, density="b"))
    # Files are (z, y, x), phantoms (x, y, z).
    pair = np.stack([phantom.pre, phantom.post[0]]).transpose(0, 3, 2, 1).copy()
    volume = BreastVolume(torch.from_numpy(pair), phantom.spacing[::-1])
    result = TumorSynthesizer()(
        volume, seed=seed, diameter_mm=20, appearance=Appearance(category="mass")
    )
    if not result.painted:
        raise SystemExit(f"Nothing was painted: {result.reason}. Try another seed.")
    shown = BeforeAfter(
        title="A 20 mm tumor painted into a phantom breast",
        before=volume.image.numpy(),
        after=result.image.numpy(),
        tumor=result.tumor.numpy(),
        support=result.support.numpy(),
        spacing=volume.spacing,
        affine=phantom.affine,
    )
    PICTURE.parent.mkdir(exist_ok=True)
    preview(shown).save(PICTURE, optimize=True)
    print(PICTURE)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
