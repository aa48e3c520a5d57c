"""What a wish becomes in one host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from analytic import breast, ellipsoid, ground_of, seeded, small_bank
from synbt_aug.decide.decide import LARGEST_PRE_SHARE, decide, plan_of_recipe
from synbt_aug.decide.plan import Plan
from synbt_aug.errors import SynBTError
from synbt_aug.grid.window import cut
from synbt_aug.host import Host
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.tumor.appearance import RIM_RATIO, Appearance
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.brightness import (
    BRIGHTER_PRE,
    DIMMER,
    FAINTEST_PRE,
    LARGEST_FACTOR,
    LEAST_OVER_NOISE,
    SMALLEST_FACTOR,
)
from synbt_aug.tumor.looks import Looks
from synbt_aug.tumor.recipe import pack_mask
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume

MARGIN = 2.0
OF_12_MM = Wish(diameter_mm=12.0)


def box(*sides: tuple[int, int]) -> Tensor:
    mask = torch.zeros(breast().shape, dtype=torch.bool)
    mask[tuple(slice(*s) for s in sides)] = True
    return mask


def lump() -> Tensor:
    """A mask on the breast's grid, about 12 mm wide, in its gland."""
    return ellipsoid(breast().shape, (34, 35, 37), (5, 6, 8))


def planned(wish: Wish = OF_12_MM, seed: int = 0, bank: TumorBank | None = None) -> Plan:
    bank = bank or small_bank()
    plan = decide(ground_of(Host.of(breast())), wish, bank, MARGIN, seeded(seed))
    assert isinstance(plan, Plan)
    return plan


def test_nothing_asked_of_the_appearance_gives_one_about_the_template_s() -> None:
    results = [planned(seed=seed) for seed in range(6)]
    assert len({one.recipe.appearance.enhancement for one in results}) == 6
    for one in results:
        assert one.recipe.pose is not None
        template = small_bank().templates[one.recipe.pose.template]
        assert one.recipe.appearance.category == template.appearance.category
        assert not one.contrast_was_asked


def test_sixty_tumors_have_as_many_looks_and_are_as_bright_as_the_bank_s() -> None:
    # Five templates, whose surroundings are not known: their brightness is what carries over.
    bright = (0.6, 0.9, 1.2, 1.5, 1.8)
    one = small_bank().templates[0]._replace(surroundings=None)
    bank = TumorBank(
        tuple(one._replace(appearance=replace(one.appearance, enhancement=e)) for e in bright)
    )
    ground = ground_of(Host.of(breast()))
    plans = [decide(ground, OF_12_MM, bank, MARGIN, seeded(seed)) for seed in range(60)]
    looks = [plan.recipe.appearance for plan in plans if isinstance(plan, Plan)]
    assert len({tuple(look.to_dict().values()) for look in looks}) == 60
    drawn = sorted(look.enhancement or 0.0 for look in looks)
    assert drawn[30] == pytest.approx(1.2 * DIMMER, rel=0.2)
    # Spread as the bank's are, and not all about one.
    assert drawn[7] < 0.98 * DIMMER and drawn[-10] > 1.63 * DIMMER
    assert not {look.enhancement for look in looks} & set(bright)


def test_a_tumor_is_as_much_brighter_than_its_surroundings_as_its_template_was() -> None:
    templates = [t._replace(surroundings=None) for t in small_bank().templates]
    dark = TumorBank(tuple(t._replace(surroundings=(0.05, 0.05)) for t in templates))
    bright = TumorBank(tuple(t._replace(surroundings=(2.0, 2.0)) for t in templates))
    looks = []
    for bank in (TumorBank(tuple(templates)), dark, bright):
        plan = decide(ground_of(Host.of(breast())), OF_12_MM, bank, MARGIN, seeded())
        assert isinstance(plan, Plan)
        looks.append(plan.recipe.appearance)
    # The analytic breast's level is about .5: beyond the limits of what is carried over.
    fourth = [(one.enhancement or 0.0) ** 4 - least_enhancement() ** 4 for one in looks]
    own, brighter, fainter = (one**0.25 for one in fourth)
    assert (brighter, fainter) == pytest.approx((own * LARGEST_FACTOR, own * SMALLEST_FACTOR))
    assert looks[0].rim == looks[1].rim == looks[2].rim


def test_where_fat_is_suppressed_a_tumor_is_a_hole_before_contrast_only_if_it_was_asked_for() -> (
    None
):
    dark = [
        t._replace(appearance=replace(t.appearance, pre_contrast=-0.3))
        for t in small_bank().templates
    ]
    bank = TumorBank(tuple(dark))
    marks = ground_of(Host.of(breast())).sites().landmarks
    assert marks is not None and marks.dark_fat
    looks = [planned(seed=seed, bank=bank).recipe.appearance for seed in range(8)]
    for one in looks:
        assert one.enhancement is not None
        most = LARGEST_PRE_SHARE * one.enhancement
        assert one.pre_contrast == pytest.approx(min(FAINTEST_PRE, most))
    assert sum(one.pre_contrast == FAINTEST_PRE for one in looks) >= 4
    wish = Wish(diameter_mm=12.0, appearance=Appearance(pre_contrast=-0.2))
    assert planned(wish, bank=bank).recipe.appearance.pre_contrast == -0.2


def test_what_is_asked_of_the_appearance_replaces_the_template_s() -> None:
    result = planned(Wish(diameter_mm=12.0, appearance=Appearance(enhancement=0.05)))
    assert result.recipe.appearance.enhancement == 0.05
    assert result.recipe.appearance.rim is not None
    assert result.contrast_was_asked


def test_an_asked_category_brings_templates_of_it() -> None:
    wish = Wish(diameter_mm=14.0, appearance=Appearance(category="rim"))
    for seed in range(3):
        pose = planned(wish, seed).recipe.pose
        assert pose is not None and small_bank().templates[pose.template].source == "rim"


def test_a_tumor_too_large_for_the_breast_is_a_reason() -> None:
    wish = Wish(diameter_mm=80.0)
    reason = decide(ground_of(Host.of(breast())), wish, small_bank(), MARGIN, seeded())
    assert reason == "no room: a tumor of 80 mm fits nowhere in the tissue found"


def test_a_body_without_a_breast_is_a_reason() -> None:
    slab = breast().image.clone()
    slab[:, :48] = slab[:, :1]
    host = Host.of(BreastVolume(slab))
    reason = decide(ground_of(host), Wish(), small_bank(), MARGIN, seeded())
    assert isinstance(reason, str) and reason == "no site: no breast is in view"


def test_an_empty_mask_is_a_reason() -> None:
    wish = Wish(mask=torch.zeros(breast().shape, dtype=torch.bool))
    reason = decide(ground_of(Host.of(breast())), wish, small_bank(), MARGIN, seeded())
    assert reason == "the given mask is empty"


def test_a_mask_longer_than_any_window_is_a_reason() -> None:
    volume = BreastVolume(breast().image[:, ::2, :, :], (2.0, 1.0, 2.0))
    mask = torch.zeros(volume.shape, dtype=torch.bool)
    mask[10:14, 30:34, :60] = True
    reason = decide(ground_of(Host.of(volume)), Wish(mask=mask), small_bank(), MARGIN, seeded())
    assert reason == "the given mask is 120 mm long, more than a 128 mm window holds"


def test_a_mask_on_another_grid_is_refused() -> None:
    wish = Wish(mask=torch.ones(4, 4, 4, dtype=torch.bool))
    with pytest.raises(SynBTError, match=r"needs the image's shape .*got \(4, 4, 4\). Resample"):
        decide(ground_of(Host.of(breast())), wish, small_bank(), MARGIN, seeded())


def test_a_recipe_of_another_bank_is_refused() -> None:
    recipe = planned().recipe
    assert recipe.pose is not None
    far = replace(recipe, pose=replace(recipe.pose, template=99))
    with pytest.raises(SynBTError, match="needs template 99, the bank has 6. Pass the bank"):
        plan_of_recipe(ground_of(Host.of(breast())), far, small_bank(), MARGIN)
    wide = replace(recipe, window=replace(recipe.window, shape=(96, 96, 96)))
    with pytest.raises(SynBTError, match="does not fit its window.*Pass the bank"):
        plan_of_recipe(ground_of(Host.of(breast())), wide, small_bank(), MARGIN)


def test_a_recipe_without_a_shape_is_refused() -> None:
    shapeless = replace(planned().recipe, pose=None, mask=None)
    with pytest.raises(SynBTError, match="needs a pose with a diameter, or a mask"):
        plan_of_recipe(ground_of(Host.of(breast())), shapeless, small_bank(), MARGIN)


def test_a_mask_of_which_nothing_is_left_in_the_window_is_refused() -> None:
    recipe = planned(Wish(mask=lump())).recipe
    elsewhere = replace(recipe, mask=pack_mask(box((0, 1), (0, 1), (0, 1))))
    with pytest.raises(SynBTError, match="thinner than a millimetre"):
        plan_of_recipe(ground_of(Host.of(breast())), elsewhere, small_bank(), MARGIN)


def test_a_recipe_gives_the_same_plan() -> None:
    first = planned()
    again = plan_of_recipe(ground_of(Host.of(breast())), first.recipe, small_bank(), MARGIN)
    assert torch.equal(again.distance, first.distance)
    assert again.recipe == first.recipe and again.label.radius_mm == first.label.radius_mm


def test_a_removal_reaches_a_millimetre_beyond_the_label() -> None:
    removal, tumor = planned(Wish("removal", mask=lump())), planned(Wish(mask=lump()))
    assert int((removal.distance <= 0).sum()) > 1.2 * int((tumor.distance <= 0).sum())
    whole = cut(lump().float(), removal.recipe.window) >= 0.5
    assert bool((removal.distance[whole] <= -1).all())


def drawn_enhancement(of_templates: float) -> list[float]:
    templates = [
        t._replace(appearance=replace(t.appearance, enhancement=of_templates))
        for t in small_bank().templates
    ]
    plans = [planned(seed=seed, bank=TumorBank(tuple(templates))) for seed in range(8)]
    return [plan.recipe.appearance.enhancement or 0.0 for plan in plans]


def least_enhancement() -> float:
    marks = ground_of(Host.of(breast())).sites(False).landmarks
    assert marks is not None and marks.noise is not None
    return LEAST_OVER_NOISE * marks.noise


def test_no_drawn_tumor_is_too_faint_to_show_and_faint_ones_differ() -> None:
    least = least_enhancement()
    assert min(drawn_enhancement(-0.3)) == pytest.approx(least)
    faint = drawn_enhancement(0.2)
    assert min(faint) >= least and len({round(value, 3) for value in faint}) > 4


def test_a_drawn_tumor_takes_up_contrast_whatever_its_template_showed_before() -> None:
    templates = [
        t._replace(appearance=replace(t.appearance, enhancement=0.5, pre_contrast=0.9))
        for t in small_bank().templates
    ]
    bank = TumorBank(tuple(templates))
    for seed in range(6):
        look = planned(seed=seed, bank=bank).recipe.appearance
        assert look.enhancement is not None and look.pre_contrast is not None
        assert look.pre_contrast <= LARGEST_PRE_SHARE * look.enhancement
    asked = Wish(diameter_mm=12.0, appearance=Appearance(pre_contrast=0.9))
    assert planned(asked, bank=bank).recipe.appearance.pre_contrast == 0.9


def test_what_is_drawn_before_contrast_is_raised_up_to_a_share_of_the_enhancement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drawn(pre_contrast: float) -> tuple[float, float]:
        like = Appearance(
            enhancement=1.5, heterogeneity=0.15, rim=1.1, pre_contrast=pre_contrast, category="mass"
        )
        monkeypatch.setattr(Looks, "draw", lambda *_args, **_more: like)
        look = planned(seed=3).recipe.appearance
        assert look.enhancement is not None and look.pre_contrast is not None
        return look.enhancement, look.pre_contrast

    assert BRIGHTER_PRE > 1.1
    assert drawn(0.2)[1] == pytest.approx(BRIGHTER_PRE * 0.2)
    enhancement, pre_contrast = drawn(1.4)
    assert pre_contrast == pytest.approx(0.6 * enhancement)
    # What is darker than its surroundings is not made darker still.
    monkeypatch.setattr("synbt_aug.decide.decide.darkest", lambda *_: -1.0)
    assert drawn(-0.2)[1] == -0.2


def test_where_there_is_little_gland_few_non_mass_lesions_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def non_mass(gland: float | None, **asked: str) -> int:
        monkeypatch.setattr(SiteMap, "gland_share", gland)
        wish = Wish(diameter_mm=12.0, appearance=Appearance(**asked))
        looks = [planned(wish, seed).recipe.appearance for seed in range(40)]
        return sum(look.category == "non-mass" for look in looks)

    usual, few, none = non_mass(0.12), non_mass(0.06), non_mass(0.0)
    assert 0 == none < few < usual == non_mass(0.5) == non_mass(None)
    # Who asks for one gets it.
    assert non_mass(0.0, category="non-mass") == 40


def test_in_fat_no_group_is_of_non_mass_lesions_where_there_are_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, *_, other = small_bank().templates
    lesions = [(one, "a"), (one, "a"), (other, "b"), (other, "b")]
    bank = TumorBank(tuple(t._replace(group=group, source=group) for t, group in lesions))
    monkeypatch.setattr(SiteMap, "gland_share", 0.0)
    wish = replace(OF_12_MM, group=True)
    found = {planned(wish, seed, bank).recipe.appearance.category for seed in range(12)}
    assert found == {"mass"}
    alone = TumorBank(bank.templates[2:])
    assert planned(wish, 0, alone).recipe.appearance.category == "non-mass"


@pytest.mark.parametrize(
    ("asked", "rims"),
    [
        ({}, True),
        ({"category": "mass"}, False),
        ({"rim": 1.0}, False),
        ({"enhancement": 1.0}, True),
    ],
)
def test_no_mass_is_given_another_s_rim_where_looks_are_asked_for(
    asked: dict[str, Any], rims: bool
) -> None:
    rimmed = [
        t._replace(appearance=replace(t.appearance, rim=1.6 if k == 4 else 1.1, heterogeneity=0.2))
        for k, t in enumerate(small_bank().templates)
    ]
    bank = TumorBank(tuple(rimmed[k] for k in (1, 2, 4)))
    wish = Wish(diameter_mm=18.5, appearance=Appearance(**asked))
    masses = 0
    for seed in range(40):
        recipe = planned(wish, seed, bank).recipe
        look = recipe.appearance
        assert recipe.pose is not None and look.rim is not None
        if recipe.pose.template < 2 and (look.category == "rim" or look.rim >= RIM_RATIO):
            masses += 1
    assert (masses > 0) == rims


def test_who_asks_for_a_rim_gets_a_shape_that_can_have_one() -> None:
    rims = (1.0, None, 1.2, 1.0, 1.4, 1.0)
    templates = zip(small_bank().templates, rims, strict=True)
    bank = TumorBank(
        tuple(t._replace(appearance=replace(t.appearance, rim=rim)) for t, rim in templates)
    )
    with_core = {2, 4}
    assert set(bank.with_core()) == with_core
    assert bank.with_core("non-mass") == []

    def templates_of(**asked: float) -> set[int]:
        wish = Wish(diameter_mm=12.0, appearance=Appearance(**asked))
        poses = [planned(wish, seed, bank).recipe.pose for seed in range(12)]
        return {pose.template for pose in poses if pose is not None}

    assert templates_of(rim=1.3) == with_core
    assert not templates_of(rim=1.0) <= with_core
    assert not templates_of(heterogeneity=0.2) <= with_core


def test_where_no_shape_can_have_a_rim_any_is_taken() -> None:
    flat = [t._replace(appearance=replace(t.appearance, rim=1.0)) for t in small_bank().templates]
    wish = Wish(diameter_mm=12.0, appearance=Appearance(rim=1.3))
    assert planned(wish, bank=TumorBank(tuple(flat))).recipe.appearance.rim == 1.3
