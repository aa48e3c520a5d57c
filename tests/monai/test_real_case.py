"""The real scan through MONAI, as stored and in other orientations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.transforms import CastToTyped, Compose, LoadImaged, Orientationd, SpatialCropd

from analytic import FlatTexture
from synbt_aug.monai import PaintTumord, RecordIntensityd, SynBTTumord
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.synthesizer import TumorSynthesizer

pytestmark = pytest.mark.usefixtures("flat")

SCANS = ["pre", "post"]
ALL = [*SCANS, "label"]


@pytest.fixture(scope="module")
def case(real_case: Path) -> dict[str, Any]:
    (folder,) = (real_case / "images").iterdir()
    pre, post = (folder / f"{folder.name.lower()}_000{k}.nii.gz" for k in (0, 1))
    (mask,) = (real_case / "segmentations").rglob("*.nii.gz")
    load = Compose(
        [
            LoadImaged(ALL, ensure_channel_first=True),
            CastToTyped(ALL, (torch.int16, torch.int16, torch.uint8)),
        ]
    )
    found: dict[str, Any] = load({"pre": pre, "post": post, "label": mask})
    return found


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAL"])
def test_a_tumor_of_20_mm_is_added_and_nothing_else(
    case: dict[str, Any], orientation: str, flat: TumorSynthesizer
) -> None:
    # Bright enough to show beside real vessels.
    flat.texture = FlatTexture((0.5, 4.0))
    axes = (("L", "R"), ("P", "A"), ("I", "S"))
    before = Orientationd(ALL, orientation, labels=axes)(case)
    transform = SynBTTumord(SCANS, prob=1.0, diameter_mm=20.0).set_random_state(0)
    after = transform(before)
    assert after["synbt_outcome"] == "painted"
    (measured,) = transform.outcome["measured"]["tumors"]
    assert measured["diameter_mm"] == pytest.approx(20, abs=0.5)
    real, now = (d["label"].as_tensor()[0].bool() for d in (before, after))
    assert bool(real.any()) and bool(now[real].all())
    assert int(now.sum()) - int(real.sum()) == pytest.approx(4189, rel=0.05)  # pi / 6 * 20^3
    near = torch.nn.functional.max_pool3d((now & ~real)[None].float(), 5, 1, 2)[0].bool()
    for key in SCANS:
        old, new = before[key].as_tensor()[0], after[key].as_tensor()[0]
        assert new.dtype == old.dtype == torch.int16
        assert torch.equal(new[real], old[real])
        assert torch.equal(new[~near], old[~near])
        assert torch.equal(after[key].affine, before[key].affine)


def test_after_a_crop_it_is_painted_with_the_whole_case_s_references_and_replayed(
    case: dict[str, Any],
) -> None:
    middle = [n // 2 for n in case["pre"].shape[1:]]
    crop = SpatialCropd(ALL, roi_center=middle, roi_size=(96, 96, 96))
    before = Compose([RecordIntensityd(SCANS), crop])(case)
    after = SynBTTumord(SCANS, prob=1.0, diameter_mm=12.0).set_random_state(1)(before)
    assert after["synbt_outcome"] == "painted"
    whole = torch.cat([case[key].as_tensor() for key in SCANS])
    assert json.loads(after["synbt_recipe"])["reference"] == measure_reference(whole).to_dict()
    again = PaintTumord(SCANS)(before | {"synbt_recipe": after["synbt_recipe"]})
    for key in ALL:
        assert torch.equal(again[key], after[key])
