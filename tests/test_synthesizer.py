"""The whole path: one tumor or several, given masks, removal, replay, and attempts that fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from analytic import (
    FlatTexture,
    breast,
    diffusion_painter,
    ellipsoid,
    paint_each,
    painter,
    small_bank,
    tiny_weights,
)
from geometric_tissue import geometric_tissue as find_tissue
from synbt_aug.decide.plan import RETRY_HETEROGENEITY
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.support.graphs import Graphs, launch_by_launch
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import PaintingJob, TumorInpainter
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.recipe import RECIPE_FORMAT
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import Synthesis


def same(a: Synthesis, b: Synthesis) -> bool:
    return (
        torch.equal(a.image, b.image)
        and torch.equal(a.tumor, b.tumor)
        and torch.equal(a.support, b.support)
    )


def lump(centre: tuple[float, float, float] = (34, 35, 37)) -> Tensor:
    return ellipsoid(breast().shape, centre, (5, 6, 7))


class Failing(FlatTexture):
    """Answers wrongly so many times, then well."""

    def __init__(self, times: int, wrong: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.times, self.wrong = times, wrong

    def __call__(self, job: PaintingJob) -> Tensor:
        painted = super().__call__(job)
        return self.wrong(painted) if len(self.batches) <= self.times else painted


def nan(painted: Tensor) -> Tensor:
    return painted * float("nan")


# --- painting ---


def test_the_weights_bank_and_diffusion_model_are_the_default() -> None:
    synthesizer = TumorSynthesizer(tiny_weights(), steps=7, guidance=2.0)
    assert synthesizer.bank is small_bank()
    assert isinstance(synthesizer.texture, TumorInpainter)
    assert synthesizer.texture.steps == 7 and synthesizer.texture.guidance == 2.0
    assert synthesizer.texture.hole_margin_mm == tiny_weights().contract.hole_margin_mm


def test_a_bank_can_be_given_as_a_file(tmp_path: Path) -> None:
    path = TumorBank(small_bank().templates[:2]).save(tmp_path / "mine.npz")
    assert len(TumorSynthesizer(tiny_weights(), bank=path).bank) == 2


def test_a_seed_paints_the_same_twice_and_another_seed_another_tumor() -> None:
    first, again, other = (painter()(breast(), seed=k, diameter_mm=10.0) for k in (1, 1, 2))
    assert first.painted and same(first, again) and first.recipe == again.recipe
    assert not torch.equal(first.tumor, other.tumor)


def test_a_drawn_size_is_a_size_of_the_cohort_that_fits_the_breast() -> None:
    sizes = set()
    for seed in range(3):
        result = painter()(breast(), seed=seed)
        (measured,) = result.measured["tumors"]
        (recipe,) = (result.recipe or {})["tumors"]
        assert 6 <= measured["diameter_mm"] < 45
        assert measured["diameter_mm"] == pytest.approx(recipe["diameter_mm"], abs=0.1)
        sizes.add(recipe["diameter_mm"])
    assert len(sizes) == 3


def test_two_tumors_are_two_and_do_not_touch() -> None:
    result = painter()(breast(), seed=3, tumors=2, diameter_mm=8.0)
    recipes = (result.recipe or {})["tumors"]
    assert len(recipes) == 2
    sizes = [round(k["diameter_mm"]) for k in result.measured["tumors"]]
    assert sizes == [8, 8]
    alone = painter()(breast(), seed=3, diameter_mm=8.0)
    # The first is the one that the seed gives alone, to the bit.
    assert bool(result.tumor[alone.tumor].all())
    assert torch.equal(result.image[:, alone.support], alone.image[:, alone.support])
    assert int(result.tumor.sum()) == 2 * int(alone.tumor.sum())


def test_tumors_that_find_no_room_are_left_out_and_the_record_says_so() -> None:
    result = painter()(breast(), seed=0, tumors=4, diameter_mm=26.0)
    assert result.painted
    painted, left_out = len(result.measured["tumors"]), len(result.measured["left_out"])
    assert painted + left_out == 4 and painted >= 1
    assert all("no room" in reason or "no site" in reason for reason in result.measured["left_out"])


def test_no_tumor_asked_for_is_none_painted() -> None:
    result = painter()(breast(), seed=0, tumors=0)
    assert result.reason == "nothing was asked for" and result.image is breast().image


@pytest.mark.parametrize(
    "name, values",
    {
        "seed": (-1, 2**64, 0.5, "0", None),
        "tumors": (2.5, -1, 10**9, "2", None),
        "multifocal": (2, -0.1, float("nan"), "1", None),
        "distractors": (float("nan"), float("inf"), 9, "1", None),
        "diameter_mm": (float("nan"), 5.9, 1e9, "9"),
    }.items(),
)
def test_a_number_out_of_range_is_refused_by_its_name(name: str, values: tuple[Any, ...]) -> None:
    for value in values:
        with pytest.raises(SynBTError, match=rf"^{name} needs a (whole )?number"):
            painter()(breast(), **{"seed": 0, name: value})


@pytest.mark.parametrize("texture", ["diffusion", "syntumor"])
@pytest.mark.parametrize(
    "name, values",
    {
        "guidance": (float("nan"), float("inf"), 1e9, -1, "1", None),
        "steps": (2.5, 0, 1001, float("nan"), "4", None),
    }.items(),
)
def test_a_sampler_s_number_out_of_range_is_refused_by_its_name(
    name: str, values: tuple[Any, ...], texture: str
) -> None:
    for value in values:
        with pytest.raises(SynBTError, match=rf"^{name} needs a (whole )?number"):
            TumorSynthesizer(tiny_weights(), texture=texture, tissue=find_tissue, **{name: value})


def test_a_scan_that_asks_for_gradients_is_painted_all_the_same() -> None:
    asking = replace(breast(), image=breast().image.clone().requires_grad_())
    plain = painter()(breast(), seed=1, diameter_mm=8.0)
    assert same(painter()(asking, seed=1, diameter_mm=8.0), plain)


def test_a_given_mask_is_painted_in_its_place() -> None:
    result = painter()(breast(), seed=0, tumor_mask=lump())
    assert bool((result.tumor & lump()).sum() > 0.9 * lump().sum())
    assert (result.recipe or {})["tumors"][0]["pose"] is None


def test_lesions_too_far_apart_for_one_window_are_painted_one_by_one() -> None:
    volume = replace(breast(), spacing=(1.0, 2.0, 1.0))
    far = lump((40, 14, 37)) | lump((40, 60, 37))
    result = painter()(volume, seed=0, tumor_mask=far)
    assert len((result.recipe or {})["tumors"]) == 2
    assert int((result.tumor & far).sum()) > 0.85 * int(far.sum())


def test_given_references_are_used_and_recorded() -> None:
    reference = Host.of(breast()).reference
    wide = replace(reference, high=(2 * reference.high[0], 2 * reference.high[1]))
    plain, twice = (
        painter()(breast(), seed=1, tumor_mask=lump(), reference=r) for r in (None, wide)
    )
    assert (twice.recipe or {})["reference"] == wide.to_dict()
    core = ellipsoid(breast().shape, (34, 35, 37), (2, 2, 2))
    change = [(r.image - breast().image)[1][core].mean() for r in (plain, twice)]
    assert change[1].item() == pytest.approx(2 * change[0].item(), rel=0.02)


def test_a_null_paint_leaves_no_label() -> None:
    result = painter()(breast(), seed=1, kind="null", diameter_mm=12.0)
    assert result.painted and not result.tumor.any() and bool(result.support.any())
    assert result.measured == {"tumors": []}
    assert (result.recipe or {})["tumors"][0]["kind"] == "null"


def test_a_removal_paints_on_the_tumor_and_nowhere_else() -> None:
    volume = replace(breast(), tumor=lump())
    texture = FlatTexture()
    result = painter(texture).remove(volume, lump(), seed=1)
    assert result.painted and not result.tumor.any()
    assert bool(result.support[lump()].all())
    changed = (result.image != volume.image).any(0)
    assert not bool((changed & ~result.support).any())
    assert (result.recipe or {})["tumors"][0]["kind"] == "removal"


def test_a_removal_spares_other_tumors() -> None:
    neighbour = lump((34, 35, 52))
    volume = replace(breast(), tumor=lump() | neighbour)
    result = painter().remove(volume, lump(), seed=1)
    assert result.painted
    assert torch.equal(result.image[:, neighbour], volume.image[:, neighbour])


# --- attempts ---


@pytest.mark.parametrize("failures", [1, 2])
def test_a_tumor_that_came_out_wrong_is_painted_again_with_other_noise(failures: int) -> None:
    texture = Failing(failures, nan)
    result = painter(texture)(breast(), seed=1, diameter_mm=10.0)
    first = painter()(breast(), seed=1, diameter_mm=10.0)
    assert result.painted and len(texture.batches) == failures + 1
    (kept,), (plain,) = (result.recipe or {})["tumors"], (first.recipe or {})["tumors"]
    assert kept["noise_seed"] != plain["noise_seed"]
    # And brighter and more even, since it may have drowned in what lies around.
    assert kept["appearance"]["enhancement"] > plain["appearance"]["enhancement"]
    for recipe in (kept, plain):
        recipe["noise_seed"] = recipe["appearance"]["enhancement"] = 0
    even, uneven = (recipe["appearance"].pop("heterogeneity") for recipe in (kept, plain))
    assert even == pytest.approx(uneven * RETRY_HETEROGENEITY**failures)
    assert kept == plain
    assert torch.equal(result.tumor, first.tumor)


def test_after_three_attempts_the_case_stays_as_it_is() -> None:
    texture = Failing(99, nan)
    result = painter(texture)(breast(), seed=1, diameter_mm=10.0)
    assert len(texture.batches) == 3
    assert result.reason == "the networks returned NaN or infinite numbers"
    assert result.image is breast().image and not result.tumor.any()


def test_a_tumor_that_does_not_show_is_dropped_with_its_label() -> None:
    texture = FlatTexture((0.0, 0.0))
    result = painter(texture)(breast(), seed=1, diameter_mm=10.0)
    assert len(texture.batches) == 3
    assert not result.painted and not result.tumor.any() and not result.support.any()
    assert "not visible enough" in str(result.reason) and "at least 90%" in str(result.reason)


def test_a_faint_tumor_stays_where_a_faint_one_was_asked_for() -> None:
    texture = FlatTexture((0.0, 0.0))
    wish = Appearance(enhancement=0.0)
    result = painter(texture)(breast(), seed=3, diameter_mm=10.0, appearance=wish)
    assert result.painted and bool(result.tumor.any())
    assert abs(result.measured["tumors"][0]["contrast_to_noise"]) < 6


def test_a_tumor_wholly_on_other_tumors_is_dropped() -> None:
    volume = replace(breast(), tumor=ellipsoid(breast().shape, (34, 35, 37), (12, 12, 12)))
    result = painter()(volume, seed=1, tumor_mask=lump())
    assert result.reason == "no free voxel is left under the tumor"


# --- many at once ---


def test_windows_of_one_shape_go_through_in_one_batch() -> None:
    texture = FlatTexture()
    hosts = [Host.of(breast(seed=k)) for k in range(3)]
    long = ellipsoid(breast().shape, (40, 36, 36), (6, 24, 6))
    wishes = [Wish(diameter_mm=10.0), Wish(mask=long), Wish(diameter_mm=9.0)]
    results = paint_each(painter(texture), hosts, wishes, range(3))
    assert [r.painted for r in results] == [True] * 3
    assert texture.batches == [(2, (48, 48, 48)), (1, (48, 80, 48))]


def test_one_case_without_room_does_not_keep_the_others() -> None:
    full = replace(breast(), forbidden=torch.ones(breast().shape, dtype=torch.bool))
    hosts = [Host.of(breast()), Host.of(full), Host.of(breast(seed=1))]
    results = paint_each(painter(), hosts, [Wish(diameter_mm=10.0)] * 3, range(3))
    assert [r.painted for r in results] == [True, False, True]
    assert str(results[1].reason).startswith("no site")


# --- replay ---


CASES: dict[str, dict[str, object]] = {
    "a drawn tumor": {},
    "two tumors": {"tumors": 2, "diameter_mm": 8.0},
    "a null paint": {"kind": "null", "diameter_mm": 12.0},
    "a wish": {"diameter_mm": 9.0, "appearance": Appearance(enhancement=0.6, category="rim")},
}


@pytest.mark.parametrize("case", CASES)
def test_a_recipe_read_from_json_paints_the_same_voxels(case: str) -> None:
    result = painter()(breast(), seed=4, **CASES[case])  # type: ignore[arg-type]
    assert result.recipe is not None
    recipe = json.loads(json.dumps(result.recipe))
    again = painter().replay(breast(), recipe)
    assert same(result, again)
    assert again.recipe == result.recipe and again.measured == result.measured


def test_a_given_mask_is_in_its_recipe() -> None:
    result = painter()(breast(), seed=0, tumor_mask=lump())
    again = painter().replay(breast(), json.loads(json.dumps(result.recipe)))
    assert same(result, again)


def test_a_removal_can_be_replayed_on_the_case_with_its_tumors() -> None:
    volume = replace(breast(), tumor=lump() | lump((34, 35, 50)))
    result = painter().remove(volume, lump(), seed=1)
    assert same(result, painter().replay(volume, json.loads(json.dumps(result.recipe))))


def test_an_attempt_that_was_kept_is_the_one_that_is_replayed() -> None:
    result = painter(Failing(2, nan))(breast(), seed=1, diameter_mm=10.0)
    assert same(result, painter().replay(breast(), result.recipe or {}))


def test_a_replay_with_the_diffusion_model_is_bitwise() -> None:
    wish = Appearance(enhancement=0.3)
    results = (
        diffusion_painter()(breast(), seed=k, diameter_mm=10.0, appearance=wish) for k in range(9)
    )
    result = next(r for r in results if r.painted)
    assert same(result, diffusion_painter().replay(breast(), result.recipe or {}))


def painted_recipe() -> dict[str, Any]:
    result = painter()(breast(), seed=1, diameter_mm=8.0)
    assert result.recipe is not None
    return json.loads(json.dumps(result.recipe))


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"format": 99},
            rf"is of format 99, this version reads format {RECIPE_FORMAT}. Use synbt-aug 0",
        ),
        ({"weights": "abc"}, r"other weights \(SHA-256 abc.*Pass those with weights="),
        ({"bank": "abc"}, r"another tumor bank \(SHA-256 abc.*Pass that one with bank="),
        (
            {"texture": {"name": "x"}},
            r"settings \{'name': 'x'\}, these are .* Pass the same",
        ),
        ({"shape": [1, 2, 3]}, r"shape \[1, 2, 3\].*same scan in the same axis order"),
        ({"spacing": [1.0, 1.0, 2.0]}, r"spacing \[1.0, 1.0, 2.0\] mm, this one is"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_with_what_to_pass(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(SynBTError, match=message):
        painter().replay(breast(), {**painted_recipe(), **change})


@pytest.mark.parametrize("name", ["seed", "weights", "tumors", "reference"])
def test_a_recipe_that_lacks_something_is_refused_by_its_name(name: str) -> None:
    recipe = painted_recipe()
    del recipe[name]
    with pytest.raises(SynBTError, match=f"this one lacks {name}"):
        painter().replay(breast(), recipe)


def test_a_recipe_names_everything_the_voxels_depend_on() -> None:
    recipe = painted_recipe()
    promised = {
        "format", "synbt_aug", "seed", "weights", "bank", "texture", "reference", "shape",
        "spacing", "tumors",
    }  # fmt: skip
    assert set(recipe) == promised
    (tumor,) = recipe["tumors"]
    assert {"kind", "site", "window_mm", "noise_seed", "appearance", "pose"} <= set(tumor)
    diffusion = diffusion_painter().texture.recipe()
    promised = {"name", "sampler", "steps", "guidance", "precision", "hole_margin_mm", "correction"}
    assert set(diffusion) == promised


def test_the_callers_autocast_does_not_reach_the_painting() -> None:
    plain = painter()(breast(), seed=1, diameter_mm=12.0)
    with torch.autocast("cpu", torch.bfloat16):
        inside = painter()(breast(), seed=1, diameter_mm=12.0)
    assert plain.painted and torch.equal(plain.image, inside.image)
    assert torch.equal(plain.tumor, inside.tumor)


def test_a_mask_on_another_grid_is_refused_before_it_is_split() -> None:
    mask = torch.zeros(8, 8, dtype=torch.bool)
    for paint in (painter().remove, lambda v, m, seed: painter()(v, seed=seed, tumor_mask=m)):
        with pytest.raises(
            SynBTError, match=r"A tumor mask needs the image's shape .* got \(8, 8\)"
        ):
            paint(breast(), mask, seed=0)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"texture": 3, "spacing": None}, "texture, spacing of this one cannot be read"),
        ({"reference": {}}, "IntensityReference needs"),
        ({"tumors": [3]}, "this one cannot be read"),
    ],
)
def test_a_recipe_with_fields_of_another_kind_is_refused(change: dict, said: str) -> None:
    result = painter()(breast(), seed=1, diameter_mm=12.0)
    with pytest.raises(SynBTError, match=said):
        painter().replay(breast(), {**(result.recipe or {}), **change})


def test_the_callers_default_device_does_not_reach_the_painting() -> None:
    plain = painter()(breast(), seed=1, diameter_mm=12.0)
    volume = breast()
    with torch.device("meta"):
        inside = painter()(volume, seed=1, diameter_mm=12.0)
    assert plain.painted and torch.equal(plain.image, inside.image)


def test_painting_and_writing_share_their_graphs_and_are_launched_unless_they_are_asked_for() -> (
    None
):
    plain, graphed = (TumorSynthesizer(tiny_weights(), graphs=asked) for asked in (False, True))
    for synthesizer, kind in ((plain, type(launch_by_launch)), (graphed, Graphs)):
        assert isinstance(synthesizer.texture, TumorInpainter)
        assert isinstance(synthesizer.runs, kind)
        assert synthesizer.texture.runs is synthesizer.runs is synthesizer.painter.runs
