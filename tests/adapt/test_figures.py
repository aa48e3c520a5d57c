from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from analytic import breast, ellipsoid, find_tissue, painter, tiny_weights
from synbt_aug.adapt import figures
from synbt_aug.adapt.figures import Figures, measure_generator, painted_slices, real_slices
from synbt_aug.adapt.keeping import MEASURES
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate import FitCase
from synbt_aug.synthesizer import TumorSynthesizer

pytest.importorskip("skimage")
pytest.importorskip("sklearn")


def case(name: str = "a", *, tumors: int = 1) -> FitCase:
    """The analytic breast with balls of 12 mm that enhance."""
    volume = breast()
    mask, image = torch.zeros(volume.shape, dtype=torch.bool), volume.image.clone()
    for k in range(tumors):
        mask |= ellipsoid(volume.shape, (34, 26 + 20 * k, 36), (6, 6, 6))
    image[1][mask] += 200
    return FitCase(name, replace(volume, image=image, tumor=mask))


def test_each_real_tumor_gives_a_slice_in_each_plane() -> None:
    assert len(real_slices(case())) == 3
    assert len(real_slices(case(tumors=2))) == 6
    assert real_slices(FitCase("none", replace(breast(), tumor=None))) == []


def test_painted_tumors_give_the_same_slices_for_the_same_case() -> None:
    one, again = (painted_slices(case(), painter()) for _ in range(2))
    assert 1 <= len(one) <= figures.PAINTED_A_CASE
    assert [len(slices) for slices in one] == [len(slices) for slices in again]
    for a, b in zip(one[0], again[0], strict=True):
        assert (a.image == b.image).all()


def test_a_generator_is_measured_by_every_figure_and_says_when_slices_are_too_few() -> None:
    synthesizer = TumorSynthesizer(tiny_weights(), tissue=find_tissue)
    told: list[tuple[int, int]] = []
    found = measure_generator(
        lambda: iter([case("a"), case("b")]), 2, synthesizer, lambda *done: told.append(done)
    )
    assert set(found.values) == set(MEASURES)
    assert found.real == 6 and found.too_few and math.isnan(found.values["auc"])
    assert told[-1] == (4, 4)
    again = Figures.from_dict(found.to_dict())
    assert again.to_dict() == found.to_dict() and again.real == found.real


def test_cases_without_a_tumor_that_a_window_holds_leave_its_figures_open() -> None:
    synthesizer = TumorSynthesizer(tiny_weights(), tissue=find_tissue)
    bare = FitCase("bare", replace(breast(), tumor=None))
    found = measure_generator(lambda: iter([bare]), 1, synthesizer)
    assert math.isnan(found.values["off"]) and math.isnan(found.values["ks_lesion"])
    assert math.isfinite(found.values["tissue_db"]) and found.real == 0
    with pytest.raises(SynBTError, match="needs at least one case"):
        measure_generator(lambda: iter([]), 1, synthesizer)
