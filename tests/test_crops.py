from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from analytic import breast_image, painter
from synbt_aug.crops import decide_crop, paint_crop
from synbt_aug.host import Host
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.request import Request
from synbt_aug.volume import BreastVolume


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.parametrize("seed", [1, 2, 5])
def test_a_crop_holds_the_voxels_that_are_painted_into_the_whole_scan(
    phases: int, seed: int
) -> None:
    image = breast_image(seed=seed)
    # Smaller than any value in the crops: nothing may be painted below the whole scan's floor.
    image[:, -1, -1, -1] = -50.0
    volume = BreastVolume(image[[0, 1, 1][:phases]])
    synthesizer, host = painter(), Host.of(volume)
    look = Appearance(enhancement=1.0)
    whole = synthesizer(host, seed=seed, diameter_mm=9.0, appearance=look)
    crop = decide_crop(synthesizer, host, Request(diameter_mm=9.0, appearance=look), seed=seed)
    assert not isinstance(crop, str)
    part = paint_crop(synthesizer, crop)
    assert whole.painted and part.painted
    assert torch.equal(part.image, whole.image[(slice(None), *crop.box)])
    for name in ("tumor", "support"):
        there = getattr(whole, name)
        assert torch.equal(getattr(part, name), there[crop.box])
        assert int(there.sum()) == int(there[crop.box].sum())
    assert part.measured["tumors"] == whole.measured["tumors"]


def test_a_crop_is_a_copy_and_smaller_than_its_scan() -> None:
    volume = BreastVolume(breast_image(extent_mm=(56, 150, 150)))
    crop = decide_crop(painter(), Host.of(volume), Request(diameter_mm=8.0), seed=3)
    assert not isinstance(crop, str)
    image = crop.host.volume.image
    assert image.untyped_storage().nbytes() == image.numel() * 4 < volume.image.numel() * 4


def test_where_nothing_fits_the_reason_is_given() -> None:
    volume = BreastVolume(breast_image())
    found = decide_crop(painter(), Host.of(volume), Request(diameter_mm=80.0), seed=3)
    assert isinstance(found, str) and "no room" in found


def test_tissues_are_found_without_the_networks_libraries() -> None:
    # MONAI takes 300 MB and seconds to import.
    code = "import sys, synbt_aug.tissue.segmenter; sys.exit('monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
