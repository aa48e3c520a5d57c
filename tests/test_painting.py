"""Steps of painting: what a wish becomes, and what `finish` makes of an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import MM, FlatTexture, breast, ellipsoid, find_tissue, seeded, small_bank
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.intensity import from_linear, to_linear
from synbt_aug.mask import blend_weight
from synbt_aug.painting import (
    ATTEMPTS,
    RETRY_ENHANCEMENT,
    Prepared,
    Wish,
    from_recipe,
    prepare,
)
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.recipe import pack_mask
from synbt_aug.volume import BreastVolume
from synbt_aug.window import cut
from synbt_aug.writing import finish, measure, visibility

MARGIN = 2.0
OF_12_MM = Wish(diameter_mm=12.0)


def box(*sides: tuple[int, int]) -> Tensor:
    mask = torch.zeros(breast().shape, dtype=torch.bool)
    mask[tuple(slice(*s) for s in sides)] = True
    return mask


def lump() -> Tensor:
    """A mask on the breast's grid, about 12 mm wide, in its gland."""
    return ellipsoid(breast().shape, (34, 35, 37), (5, 6, 8))


def prepared(wish: Wish = OF_12_MM, seed: int = 0) -> Prepared:
    result = prepare(Host.of(breast()), wish, small_bank(), MARGIN, seeded(seed), find_tissue)
    assert isinstance(result, Prepared)
    return result


# --- wishes ---


@pytest.mark.parametrize("diameter", [5.9, 90.1, -1.0, float("nan")])
def test_sizes_that_cannot_be_painted_are_refused(diameter: float) -> None:
    with pytest.raises(SynBTError, match=r"from 6 to 90, got .*4 mm latent cell.*128 mm window"):
        Wish(diameter_mm=diameter)


def test_a_removal_needs_to_know_of_what() -> None:
    with pytest.raises(SynBTError, match="needs the mask of what to remove: pass mask="):
        Wish("removal")


def test_kinds_that_there_are_not_are_refused() -> None:
    with pytest.raises(SynBTError, match="kind needs one of .*'distractor', got 'cyst'"):
        Wish("cyst")


# --- hosts ---


def test_occupied_and_blocked_voxels_add_up() -> None:
    tumor, forbidden, valid = box((30, 34)), box((0, 9), (0, 9)), ~box((50, 56))
    assert Host.of(breast()).occupied is None and Host.of(breast()).blocked is None
    both = Host.of(replace(breast(), tumor=tumor, forbidden=forbidden))
    assert both.occupied is not None and both.blocked is not None
    assert torch.equal(both.occupied, tumor | forbidden)
    assert torch.equal(both.blocked, tumor | forbidden)
    everything = Host.of(replace(breast(), tumor=tumor, forbidden=forbidden, valid=valid)).blocked
    assert everything is not None and torch.equal(everything, tumor | forbidden | ~valid)
    hidden = Host.of(replace(breast(), valid=valid)).blocked
    assert hidden is not None and torch.equal(hidden, ~valid)


def test_sites_are_found_once_and_only_when_asked_for() -> None:
    host = Host.of(breast())
    assert not host._sites
    assert host.sites_by(find_tissue) is host.sites_by(find_tissue)


def test_given_references_are_taken() -> None:
    reference = Host.of(breast()).reference
    wider = replace(reference, high=(500.0, 600.0))
    assert Host.of(breast(), wider).reference is wider


def test_after_painting_the_support_is_taken_and_the_references_stay() -> None:
    host = Host.of(replace(breast(), tumor=box((30, 34), (10, 14), (10, 14))))
    painting = from_recipe(host, prepared(Wish(mask=lump())).recipe, small_bank(), MARGIN)
    result = finish(painting, painting.linear + 1)
    after = host.after(result)
    assert after.volume.image is result.image
    assert after.volume.tumor is not None and host.volume.tumor is not None
    assert torch.equal(after.volume.tumor, host.volume.tumor | result.support)
    assert after.reference is host.reference


# --- prepare ---


def test_a_tumor_lies_on_tissue_inside_its_host() -> None:
    for seed in range(4):
        result = prepared(seed=seed)
        mask = result.distance <= 0
        known = result.known[mask].float().mean()
        assert known > 0.95


def test_nothing_asked_of_the_appearance_gives_the_template_s_own() -> None:
    result = prepared()
    assert result.recipe.pose is not None
    assert (
        result.recipe.appearance == small_bank().templates[result.recipe.pose.template].appearance
    )
    assert not result.contrast_was_asked


def test_what_is_asked_of_the_appearance_replaces_the_template_s() -> None:
    result = prepared(Wish(diameter_mm=12.0, appearance=Appearance(enhancement=0.05)))
    assert result.recipe.appearance.enhancement == 0.05
    assert result.recipe.appearance.rim is not None
    assert result.contrast_was_asked


def test_an_asked_category_brings_templates_of_it() -> None:
    wish = Wish(diameter_mm=14.0, appearance=Appearance(category="rim"))
    for seed in range(3):
        pose = prepared(wish, seed).recipe.pose
        assert pose is not None and small_bank().templates[pose.template].source == "rim"


@pytest.mark.parametrize("kind", ["null", "removal"])
def test_where_no_tumor_is_painted_the_mask_is_empty_and_the_hole_is_not(kind: str) -> None:
    wish = Wish(kind, mask=lump())
    job = prepared(wish).job(MARGIN)
    assert not job.mask.any()
    assert bool(job.hole.any())
    values, known = job.appearance_inputs()
    assert not known.any() and not values.any()


def test_the_hole_is_the_tumor_and_its_margin() -> None:
    result = prepared()
    job = result.job(3.0)
    # What is painted is a millimetre larger than the label: the blend is its edge.
    assert torch.equal(job.mask[0], result.distance <= 1.0)
    assert torch.equal(job.hole[0], result.distance <= 3)
    assert int(job.hole.sum()) > int(job.mask.sum())


def test_a_tumor_is_tried_three_times_with_other_noise_each_time() -> None:
    result: Prepared | None = prepared()
    seeds = []
    while result is not None:
        seeds.append(result.recipe.noise_seed)
        result = result.retry()
    assert len(seeds) == len(set(seeds)) == ATTEMPTS == 3


def test_a_retry_asks_for_more_contrast_with_other_noise_at_the_same_place() -> None:
    first = prepared()
    second = first.retry()
    assert second is not None and second.distance is first.distance
    before, after = first.recipe.appearance, second.recipe.appearance
    assert before.enhancement is not None
    assert after == replace(before, enhancement=before.enhancement + RETRY_ENHANCEMENT)
    again = replace(second.recipe, appearance=before)
    assert again == first.recipe.with_noise(second.recipe.noise_seed)


def test_a_contrast_that_was_asked_for_is_kept_in_a_retry() -> None:
    wish = Wish(diameter_mm=12.0, appearance=Appearance(enhancement=0.3))
    second = prepared(wish).retry()
    assert second is not None and second.recipe.appearance.enhancement == 0.3


@pytest.mark.parametrize("own, retried", [(19.9, 20.0), (20.0, 20.0)])
def test_a_retry_asks_for_no_contrast_that_no_tumor_has(own: float, retried: float) -> None:
    first = prepared()
    bright = replace(first.recipe, appearance=Appearance(enhancement=own))
    second = replace(first, recipe=bright).retry()
    assert second is not None and second.recipe.appearance.enhancement == retried


def test_a_null_paint_is_tried_once() -> None:
    assert prepared(Wish("null", diameter_mm=12.0)).retry() is None


def test_a_tumor_too_large_for_the_breast_is_a_reason() -> None:
    wish = Wish(diameter_mm=80.0)
    reason = prepare(Host.of(breast()), wish, small_bank(), MARGIN, seeded(), find_tissue)
    assert reason == "no room: a tumor of 80 mm fits nowhere in the tissue found"


def test_a_body_without_a_breast_is_a_reason() -> None:
    slab = breast().image.clone()
    slab[:, :48] = slab[:, :1]
    host = Host.of(BreastVolume(slab))
    reason = prepare(host, Wish(), small_bank(), MARGIN, seeded(), find_tissue)
    assert isinstance(reason, str) and reason == "no site: no breast is in view"


def test_an_empty_mask_is_a_reason() -> None:
    wish = Wish(mask=torch.zeros(breast().shape, dtype=torch.bool))
    reason = prepare(Host.of(breast()), wish, small_bank(), MARGIN, seeded(), find_tissue)
    assert reason == "the given mask is empty"


def test_a_mask_longer_than_any_window_is_a_reason() -> None:
    volume = BreastVolume(breast().image[:, ::2, :, :], (2.0, 1.0, 2.0))
    mask = torch.zeros(volume.shape, dtype=torch.bool)
    mask[10:14, 30:34, :60] = True
    reason = prepare(Host.of(volume), Wish(mask=mask), small_bank(), MARGIN, seeded())
    assert reason == "the given mask is 120 mm long, more than a 128 mm window holds"


def test_a_mask_on_another_grid_is_refused() -> None:
    wish = Wish(mask=torch.ones(4, 4, 4, dtype=torch.bool))
    with pytest.raises(SynBTError, match=r"needs the image's shape .*got \(4, 4, 4\). Resample"):
        prepare(Host.of(breast()), wish, small_bank(), MARGIN, seeded(), find_tissue)


def test_a_given_mask_is_painted_where_it_is_and_as_large_as_it_is() -> None:
    result = prepared(Wish(mask=lump()))
    written = finish(result, result.linear + 1)
    overlap = (written.tumor & lump()).sum() / (written.tumor | lump()).sum()
    assert overlap > 0.9
    assert int(written.tumor.sum()) == int(lump().sum())


# --- recipes ---


def test_a_recipe_of_another_bank_is_refused() -> None:
    recipe = prepared().recipe
    assert recipe.pose is not None
    far = replace(recipe, pose=replace(recipe.pose, template=99))
    with pytest.raises(SynBTError, match="needs template 99, the bank has 6. Pass the bank"):
        from_recipe(Host.of(breast()), far, small_bank(), MARGIN)
    wide = replace(recipe, window=replace(recipe.window, side=96))
    with pytest.raises(SynBTError, match="does not fit its window.*Pass the bank"):
        from_recipe(Host.of(breast()), wide, small_bank(), MARGIN)


def test_a_recipe_without_a_shape_is_refused() -> None:
    shapeless = replace(prepared().recipe, pose=None, mask=None)
    with pytest.raises(SynBTError, match="needs a pose with a diameter, or a mask"):
        from_recipe(Host.of(breast()), shapeless, small_bank(), MARGIN)


def test_a_mask_of_which_nothing_is_left_in_the_window_is_refused() -> None:
    recipe = prepared(Wish(mask=lump())).recipe
    elsewhere = replace(recipe, mask=pack_mask(box((0, 1), (0, 1), (0, 1))))
    with pytest.raises(SynBTError, match="thinner than a millimetre"):
        from_recipe(Host.of(breast()), elsewhere, small_bank(), MARGIN)


def test_a_recipe_gives_the_same_preparation() -> None:
    first = prepared()
    again = from_recipe(Host.of(breast()), first.recipe, small_bank(), MARGIN)
    assert torch.equal(again.distance, first.distance)
    assert torch.equal(again.linear, first.linear)
    assert torch.equal(again.known, first.known)


# --- finish ---


def test_the_change_is_blended_and_mapped_back() -> None:
    result = prepared()
    change = torch.tensor([0.5, 2.0]).view(2, 1, 1, 1)
    written = finish(result, result.linear + change)
    window = result.recipe.window
    weight = blend_weight(result.distance)
    reference = result.host.reference
    expected = from_linear(result.linear + weight * change, reference)
    host_before, host_after = cut(breast().image, window), cut(written.image, window)
    inside = weight > 0
    assert torch.allclose(host_after[:, inside], expected[:, inside], atol=2e-3)
    assert torch.equal(host_after[:, ~inside], host_before[:, ~inside])


def test_the_label_is_where_the_blend_is_at_least_half() -> None:
    result = prepared()
    written = finish(result, result.linear + 1)
    assert torch.equal(cut(written.tumor, result.recipe.window) > 0, result.distance <= 0)


def test_a_null_paint_has_support_but_no_label_and_no_measurement() -> None:
    result = prepared(Wish("null", diameter_mm=12.0))
    written = finish(result, result.linear + 1)
    assert not written.tumor.any() and bool(written.support.any())
    assert written.measured == {}


def test_existing_tumors_are_not_painted_on() -> None:
    volume = replace(breast(), tumor=box((30, 36), (30, 36), (30, 56)))
    result = prepare(Host.of(volume), Wish(mask=lump()), small_bank(), MARGIN, seeded())
    assert isinstance(result, Prepared)
    written = finish(result, result.linear + 1)
    assert volume.tumor is not None
    assert not bool((written.support & volume.tumor).any())
    assert torch.equal(written.image[:, volume.tumor], volume.image[:, volume.tumor])


def test_a_removal_may_paint_on_what_it_removes_and_on_no_other_tumor() -> None:
    other = box((30, 36), (44, 52), (30, 44))
    volume = replace(breast(), tumor=lump() | other)
    result = prepare(Host.of(volume), Wish("removal", mask=lump()), small_bank(), MARGIN, seeded())
    assert isinstance(result, Prepared)
    written = finish(result, result.linear - 1)
    assert bool(written.support[lump() & ~other].all())
    assert not bool((written.support & other & ~lump()).any())
    assert not written.tumor.any()


def test_a_removal_reaches_a_millimetre_beyond_the_label() -> None:
    removal, tumor = prepared(Wish("removal", mask=lump())), prepared(Wish(mask=lump()))
    assert int((removal.distance <= 0).sum()) > 1.2 * int((tumor.distance <= 0).sum())
    whole = cut(lump().float(), removal.recipe.window) >= 0.5
    assert bool((removal.distance[whole] <= -1).all())


def test_what_came_out_is_measured() -> None:
    gland = ellipsoid(breast().shape, (38, 36, 36), (12, 10, 10))
    result = prepare(
        Host.of(replace(breast(), roi=gland)), OF_12_MM, small_bank(), MARGIN, seeded(3)
    )
    assert isinstance(result, Prepared)
    painted = FlatTexture((0.0, 1.5), grain=0.0)(result.job(MARGIN))[0]
    written = finish(result, painted)
    measured = measure(result, written, visibility(result, written))
    assert measured["diameter_mm"] == pytest.approx(12.0, abs=0.02)
    assert measured["longest_mm"] >= measured["diameter_mm"]
    # Half of 1.5, since s spans two units; the blended edge takes some, the gland gives some.
    assert measured["appearance"]["enhancement"] == pytest.approx(0.75, abs=0.12)
    assert measured["appearance"]["pre_contrast"] == pytest.approx(0.0, abs=0.1)
    assert 0.9 <= measured["visible_share"] <= 1
    assert measured["contrast_to_noise"] > 5


def test_linear_signal_is_the_window_of_the_mapped_host() -> None:
    result = prepared()
    mapped = to_linear(breast().image, result.host.reference)
    assert torch.allclose(result.linear, cut(mapped, result.recipe.window), atol=1e-5)
    assert result.recipe.window.spacing == MM


@pytest.mark.parametrize("spacing", [MM, (2.0, 0.8, 0.8), (4.0, 0.7, 0.7)])
def test_a_given_mask_at_the_edge_of_the_host_keeps_its_size(
    spacing: tuple[float, float, float],
) -> None:
    host = Host.of(breast(spacing))
    mask = ellipsoid(host.volume.shape, (56, 36, 36), (9, 9, 9), spacing)
    result = prepare(host, Wish(mask=mask), small_bank(), MARGIN, seeded())
    assert isinstance(result, Prepared)
    label = finish(result, result.linear + 1).tumor
    assert int(label.sum()) == pytest.approx(int(mask.sum()), rel=0.08)
    assert int((label & mask).sum()) > 0.85 * int(mask.sum())
