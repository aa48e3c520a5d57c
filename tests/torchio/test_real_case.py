"""The real scan through TorchIO, as stored, and in another orientation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchio as tio

from analytic import FlatTexture
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.torchio import RecordIntensity, SynBTTumor
from torchio_subjects import pair_of

pytestmark = pytest.mark.usefixtures("flat")


@pytest.fixture(scope="module")
def subject(real_case: Path) -> tio.Subject:
    (folder,) = (real_case / "images").iterdir()
    pre, post = (folder / f"{folder.name.lower()}_000{k}.nii.gz" for k in (0, 1))
    (mask,) = (real_case / "segmentations").rglob("*.nii.gz")
    return tio.Subject(
        pre=tio.ScalarImage(pre), post=tio.ScalarImage(post), tumor=tio.LabelMap(mask)
    )


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAL"])
def test_a_tumor_of_20_mm_is_added_and_nothing_else(
    subject: tio.Subject, orientation: str, flat: TumorSynthesizer
) -> None:
    # Bright enough to show beside real vessels.
    flat.texture = FlatTexture((0.5, 4.0))
    before = tio.ToOrientation(orientation)(subject)
    torch.manual_seed(0)
    after = SynBTTumor(p=1, diameter_mm=20.0)(before)
    assert after.synbt_outcome["painted"], after.synbt_outcome["reason"]
    (measured,) = after.synbt_outcome["measured"]["tumors"]
    assert measured["diameter_mm"] == pytest.approx(20, abs=0.5)
    real, now = before["tumor"].data[0].bool(), after["tumor"].data[0].bool()
    assert bool(now[real].all())
    assert int(now.sum()) - int(real.sum()) == pytest.approx(4189, rel=0.05)  # pi / 6 * 20^3
    old, new = pair_of(before), pair_of(after)
    assert new.dtype == old.dtype == torch.int16
    assert torch.equal(new[:, real], old[:, real])
    near = torch.nn.functional.max_pool3d((now & ~real)[None].float(), 5, 1, 2)[0].bool()
    assert torch.equal(new[:, ~near], old[:, ~near])


def test_after_a_crop_it_is_painted_with_the_whole_case_s_references_and_replayed(
    subject: tio.Subject, flat: TumorSynthesizer
) -> None:
    flat.texture = FlatTexture((0.5, 4.0))
    chain = tio.Compose(
        [RecordIntensity(), tio.CropOrPad((96, 96, 96)), SynBTTumor(p=1, diameter_mm=12.0)]
    )
    torch.manual_seed(1)
    after = chain(subject)
    assert after.synbt_outcome["painted"], after.synbt_outcome
    again = after.get_composed_history()(subject)
    assert torch.equal(pair_of(again), pair_of(after))
    assert torch.equal(again["tumor"].data, after["tumor"].data)
