from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from small_scans import save
from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.evaluate.segmentation import (
    KINDS,
    CaseScore,
    bootstrap_mean,
    score_case,
    score_folders,
    summarize,
)

SHAPE = (20, 20, 20)


def _box(start: tuple[int, int, int], size: tuple[int, int, int] = (4, 6, 8)) -> np.ndarray:
    mask = np.zeros(SHAPE, np.uint8)
    mask[tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))] = 1
    return mask


def _score(name: str, dice: float, distance: float | None, kind: str = KINDS[0]) -> CaseScore:
    return CaseScore(name, dice, distance, distance, distance, kind, 1.0, 1.0)


def test_a_mask_equals_itself() -> None:
    score = score_case(_box((3, 4, 5)), _box((3, 4, 5)), (1.0, 2.0, 3.0), "a")
    assert (score.dice, score.hd95_mm, score.asd_mm, score.assd_mm) == (1.0, 0.0, 0.0, 0.0)
    assert score.kind == "both masks" and score.predicted_ml == pytest.approx(1.152)


def test_two_sheets_are_as_far_apart_as_their_planes_in_mm() -> None:
    # One voxel thick, 3 voxels apart along D: every voxel is surface, each 3 x 2.5 mm away.
    sheet, other = _box((2, 4, 4), (1, 8, 8)), _box((5, 4, 4), (1, 8, 8))
    score = score_case(sheet, other, (2.5, 1.0, 1.0))
    assert (score.dice, score.hd95_mm, score.asd_mm, score.assd_mm) == (0.0, 7.5, 7.5, 7.5)


def test_two_voxels_2_mm_apart_are_2_mm_apart_in_every_metric() -> None:
    voxel = (1, 1, 1)
    for other, spacing in (((5, 5, 7), (1.0, 1.0, 1.0)), ((6, 5, 5), (2.0, 1.0, 1.0))):
        score = score_case(_box((5, 5, 5), voxel), _box(other, voxel), spacing)
        assert (score.dice, score.hd95_mm, score.asd_mm, score.assd_mm) == (0.0, 2.0, 2.0, 2.0)


def test_each_axis_counts_by_its_own_spacing() -> None:
    # 1, 2 and 3 voxels along D, H and W: sqrt(3^2 + (2 x 2)^2 + (3 x 4)^2) = 13 mm.
    voxel, spacing = (1, 1, 1), (3.0, 2.0, 4.0)
    score = score_case(_box((5, 5, 5), voxel), _box((6, 7, 8), voxel), spacing)
    assert score.hd95_mm == score.asd_mm == score.assd_mm == pytest.approx(13.0)


def test_a_box_shifted_by_a_voxel_overlaps_by_what_is_left() -> None:
    # 6 wide, shifted by one voxel of 2 mm along H: 5 of 6 columns are shared, and nothing is
    # farther away than that voxel.
    score = score_case(_box((3, 4, 5)), _box((3, 5, 5)), (1.0, 2.0, 1.0))
    assert score.dice == pytest.approx(5 / 6)
    assert score.hd95_mm == 2.0
    assert score.assd_mm is not None and 0 < score.assd_mm < 2.0
    # A shift is symmetric: one direction says what both say.
    assert score.asd_mm == pytest.approx(score.assd_mm)


def test_asd_looks_from_the_prediction_and_assd_from_both() -> None:
    # Sheets of 8 and 4 voxels in one line. From the short one every voxel lies on the other: 0.
    # From the long one 4 voxels lie on it and 4 are 1, 2, 3 and 4 voxels of 2 mm away: 20 mm.
    short, long = _box((5, 5, 4), (1, 1, 4)), _box((5, 5, 4), (1, 1, 8))
    spacing = (1.0, 1.0, 2.0)
    inside, around = score_case(short, long, spacing), score_case(long, short, spacing)
    assert inside.asd_mm == 0.0 and around.asd_mm == pytest.approx(20 / 8)
    assert inside.assd_mm == around.assd_mm == pytest.approx(20 / 12)
    # 12 distances, 8 of them 0, then 2, 4, 6, 8: percentile 95 lies at .45 between 6 and 8.
    assert inside.hd95_mm == around.hd95_mm == pytest.approx(6 + 0.45 * 2)


@pytest.mark.parametrize(
    ("predicted", "reference", "kind", "dice", "distance"),
    [
        (False, True, "missed", 0.0, None),
        (True, False, "false alarm", 0.0, None),
        (False, False, "correctly empty", 1.0, 0.0),
    ],
)
def test_empty_masks_follow_the_stated_policy(
    predicted: bool, reference: bool, kind: str, dice: float, distance: float | None
) -> None:
    masks = [_box((3, 4, 5)) * np.uint8(there) for there in (predicted, reference)]
    score = score_case(*masks, (1.0, 1.0, 1.0))
    assert (score.kind, score.dice) == (kind, dice)
    assert score.hd95_mm == score.asd_mm == score.assd_mm == distance


def test_cases_without_a_distance_are_counted_and_not_averaged() -> None:
    cases = [_score("b", 0.5, 4.0), _score("a", 0.0, None, "missed"), _score("c", 1.0, 0.0)]
    scores = summarize(cases)
    dice, hd95 = scores.means["dice"], scores.means["hd95_mm"]
    assert dice is not None and (dice.mean, dice.count) == (0.5, 3)
    assert hd95 is not None and (hd95.mean, hd95.count) == (2.0, 2)
    assert scores.counts == {
        "both masks": 2, "missed": 1, "false alarm": 0, "correctly empty": 0,
    }  # fmt: skip
    assert [case.name for case in scores.cases] == ["a", "b", "c"]
    assert summarize([_score("a", 0.0, None, "missed")]).means["assd_mm"] is None


def test_scores_are_json_ready() -> None:
    written = json.loads(json.dumps(summarize([_score("a", 0.5, 4.0)]).to_dict()))
    assert written["means"]["dice"] == {"mean": 0.5, "low": 0.5, "high": 0.5, "count": 1}
    assert written["cases"][0]["hd95_mm"] == 4.0 and written["counts"]["missed"] == 0


def test_the_interval_of_equal_values_has_no_width() -> None:
    assert bootstrap_mean([3.0] * 7).low == bootstrap_mean([3.0] * 7).high == 3.0


def test_the_bootstrap_interval_is_that_of_the_normal_limit() -> None:
    # 400 values of mean 0 and SD 1: the mean's SD is 1/20, and 95 % lie within 1.96 of it.
    values = np.random.default_rng(1).normal(size=400)
    values = (values - values.mean()) / values.std()
    found = bootstrap_mean(list(values), resamples=4000)
    assert found.mean == pytest.approx(0, abs=1e-12)
    assert found.low == pytest.approx(-1.96 / 20, rel=0.06)
    assert found.high == pytest.approx(1.96 / 20, rel=0.06)


def test_the_bootstrap_repeats_and_leaves_the_global_generator_alone() -> None:
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    values = [0.1 * k * k for k in range(30)]
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_folders_are_compared_in_mm_by_their_own_spacing(tmp_path: Path) -> None:
    affine = np.diag([-3.0, -2.0, 1.0, 1.0])  # x, y, z; arrays on disk are x, y, z as well
    for name, shift in (("a", 0), ("b", 1)):
        save(tmp_path / "ref" / f"{name}.nii.gz", _box((4, 4, 4)), affine)
        save(tmp_path / "pred" / f"{name}.nii.gz", _box((4 + shift, 4, 4)), affine)
    (tmp_path / "pred" / "plans.json").write_text("{}")
    told: list[tuple[int, int]] = []
    scores = score_folders(
        tmp_path / "pred", tmp_path / "ref", on_case=lambda *done: told.append(done)
    )
    assert told == [(1, 2), (2, 2)]
    assert [case.hd95_mm for case in scores.cases] == [0.0, 3.0]
    assert scores.cases[0].reference_ml == pytest.approx(4 * 6 * 8 * 6.0 / 1000)


def test_one_label_of_several_may_be_asked_for(tmp_path: Path) -> None:
    save(tmp_path / "pred" / "a.nii.gz", 2 * _box((4, 4, 4)) + _box((12, 12, 12)))
    save(tmp_path / "ref" / "a.nii", 2 * _box((4, 4, 4)))
    alone = score_folders(tmp_path / "pred", tmp_path / "ref", label=2).cases[0]
    every = score_folders(tmp_path / "pred", tmp_path / "ref").cases[0]
    assert alone.dice == 1.0 and every.dice == pytest.approx(2 / 3)


def test_cases_that_are_missing_are_named(tmp_path: Path) -> None:
    save(tmp_path / "pred" / "a.nii.gz", _box((4, 4, 4)))
    for name in ("a", "b"):
        save(tmp_path / "ref" / f"{name}.nii.gz", _box((4, 4, 4)))
    with pytest.raises(SynBTError, match=r"pred lacks 1 of 2 cases: b\. Both folders need"):
        score_folders(tmp_path / "pred", tmp_path / "ref")
    with pytest.raises(SynBTError, match="pred lacks 1 of 2 cases: b"):
        score_folders(tmp_path / "ref", tmp_path / "pred")


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    save(tmp_path / "pred" / "a.nii.gz", _box((4, 4, 4)))
    save(tmp_path / "ref" / "a.nii.gz", _box((4, 4, 4)), np.diag([2.0, 1.0, 1.0, 1.0]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(SynBTError, match=r"The prediction of a must lie on the grid of a\.nii\.gz"):
        score_folders(tmp_path / "pred", tmp_path / "ref")
    with pytest.raises(SynBTError, match="holds no masks"):
        score_folders(tmp_path / "empty", tmp_path / "ref")
    with pytest.raises(SynBTError, match="is none"):
        score_folders(tmp_path / "nowhere", tmp_path / "ref")
    with pytest.raises(SynBTError, match="two masks of one shape"):
        score_case(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), (1.0, 1.0, 1.0))
    with pytest.raises(SynBTError, match="at least one case"):
        summarize([])
    with pytest.raises(SynBTError, match="got 0 values"):
        bootstrap_mean([])


def test_without_medpy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "medpy.metric", None)
    with pytest.raises(ExtraMissingError, match=r"medpy is not installed.*synbt-aug\[eval\]"):
        score_folders(tmp_path, tmp_path)
