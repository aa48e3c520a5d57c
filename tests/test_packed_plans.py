"""Plans on their way from a worker: what comes out is what went in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import breast, ground_of, seeded, small_bank
from synbt_aug.decide.decide import decide_all, plan_of_recipe
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import LeftOut, Plan
from synbt_aug.host import Host
from synbt_aug.packed_plans import pack, unpack
from synbt_aug.sample_plans import NOT_DRAWN, SamplePlans
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Spacing


def ground(blocked: Tensor | None = None, spacing: Spacing = (1.0, 1.0, 1.0)) -> Ground:
    volume = breast(spacing)
    return ground_of(Host.of(BreastVolume(volume.image, spacing, forbidden=blocked)))


def planned(where: Ground, *wishes: Wish, fringe: bool = False) -> SamplePlans:
    things = decide_all(where, wishes, small_bank(), 2.0, seeded(1), fringe=fringe)
    return SamplePlans(things, seed=1)


def no_shape(recipe: TumorRecipe) -> LabelShape:
    raise AssertionError("a shape was left out")


def assert_same(one: Plan | LeftOut, other: Plan | LeftOut) -> None:
    assert isinstance(one, Plan) and isinstance(other, Plan)
    assert one.recipe == other.recipe and one.spare_seeds == other.spare_seeds
    assert (one.satellite, one.shift_mm) == (other.satellite, other.shift_mm)
    assert one.contrast_was_asked == other.contrast_was_asked
    assert one.unevenness_was_asked == other.unevenness_was_asked
    assert torch.equal(one.label.distance, other.label.distance)
    assert torch.equal(one.label.depth, other.label.depth)
    assert torch.equal(one.label.labelled, other.label.labelled)
    assert one.label.radius_mm == other.label.radius_mm
    assert (one.free is None) == (other.free is None)
    if one.free is not None and other.free is not None:
        assert torch.equal(one.free, other.free)


@pytest.mark.parametrize(
    "asked", [Appearance(enhancement=1.0), Appearance(heterogeneity=0.2), Appearance()]
)
def test_what_was_asked_for_is_known_after(asked: Appearance) -> None:
    plans = planned(ground(), Wish(diameter_mm=12.0, appearance=asked))
    (before,) = plans.things
    assert isinstance(before, Plan)
    assert before.contrast_was_asked == (asked.enhancement is not None)
    assert before.unevenness_was_asked == (asked.heterogeneity is not None)
    (after,) = unpack(pack(plans, 2**20), no_shape).things
    assert_same(before, after)


@pytest.mark.parametrize("fringe", [False, True])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.0, 2.5)])
def test_plans_come_out_as_they_went_in(spacing: Spacing, fringe: bool) -> None:
    group = Wish(diameter_mm=12.0, group=True)
    wishes = (group, Wish("distractor"), Wish(diameter_mm=80.0))
    plans = planned(ground(spacing=spacing), *wishes, fringe=fringe)
    assert len(plans.plans) >= 3 and isinstance(plans.things[-1], LeftOut)
    packed = pack(plans, 2**23)
    assert packed.shape == (2**23,) and packed.dtype == torch.uint8
    again = unpack(packed, no_shape)
    assert (again.seed, again.why_not, again.passed_on) == (1, None, False)
    for one, other in zip(plans.things, again.things, strict=True):
        if isinstance(one, LeftOut):
            assert one == other
        else:
            assert_same(one, other)


def test_voxels_that_may_not_change_come_along() -> None:
    blocked = torch.zeros(breast().shape, dtype=torch.bool)
    blocked[34:36] = True
    mask = torch.zeros_like(blocked)
    mask[30:40, 30:40, 30:40] = True
    plans = planned(ground(blocked), Wish(mask=mask))
    (plan,) = plans.plans
    assert plan.free is not None and not bool(plan.free.all())
    assert_same(plan, unpack(pack(plans, 2**20), no_shape).things[0])


def test_a_shape_for_which_there_is_no_room_is_drawn_again_from_its_recipe() -> None:
    where = ground()
    plans = planned(where, Wish(diameter_mm=20.0), Wish(diameter_mm=8.0))
    assert len(plans.plans) == 2
    whole = len(pack(plans, 2**22).numpy().tobytes().rstrip(b"\0"))
    drawn = []

    def again(recipe: TumorRecipe) -> LabelShape:
        drawn.append(recipe)
        return plan_of_recipe(where, recipe, small_bank(), 2.0).label

    found = unpack(pack(plans, whole - 50_000), again)
    assert drawn == [plans.plans[0].recipe]
    for one, other in zip(plans.things, found.things, strict=True):
        assert_same(one, other)


def test_what_cannot_be_drawn_again_is_left_out_with_its_reason() -> None:
    plans = planned(ground(), Wish(diameter_mm=20.0))

    def fails(recipe: TumorRecipe) -> LabelShape:
        raise ValueError("another bank")

    (thing,) = unpack(pack(plans, 20_000), fails).things
    assert isinstance(thing, LeftOut) and thing.reason == "error: another bank"


def test_why_nothing_is_tried_comes_along_and_too_few_bytes_are_refused() -> None:
    packed = pack(SamplePlans(why_not=NOT_DRAWN), 1000)
    assert unpack(packed, no_shape) == SamplePlans(why_not=NOT_DRAWN)
    with pytest.raises(ValueError, match="do not fit into 100"):
        pack(planned(ground(), Wish(diameter_mm=8.0)), 100)
