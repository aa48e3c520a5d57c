"""Decide what wishes become in one host: template or mask, size, pose, place and shape.

Everything random is drawn here, from a generator on the CPU, and for all wishes of a host before
anything is painted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from synbt_aug.decide.footing import settled
from synbt_aug.decide.given_mask import shape_of_mask
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import ATTEMPTS, LeftOut, Plan
from synbt_aug.errors import FAILURES, SynBTError, failure_reason
from synbt_aug.grid.mask import bounding_box
from synbt_aug.grid.window import Window, shape_for_mask, window_around
from synbt_aug.support.ranges import Range
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.tumor.appearance import LIMITS, Appearance
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.brightness import BRIGHTER_PRE, carried_over, darkest, lifted
from synbt_aug.tumor.choosing_place import draw_place
from synbt_aug.tumor.curve import draw_curve, kind_of
from synbt_aug.tumor.distractor import distractor_distance, draw_distractor
from synbt_aug.tumor.fringe import draw_fringe, fringe_of_mask
from synbt_aug.tumor.fringe_courses import courses_of, within
from synbt_aug.tumor.fringe_shape import joined
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.lesions import Lesion
from synbt_aug.tumor.multifocal import (
    largest_of_groups,
    place_satellite,
    satellites_of,
)
from synbt_aug.tumor.placement import (
    Placement,
    draw_seed,
    place_tumor,
)
from synbt_aug.tumor.recipe import TumorRecipe, pack_mask, unpack_mask
from synbt_aug.tumor.room import room_of
from synbt_aug.tumor.shape import rasterized
from synbt_aug.tumor.sizes import SMALLEST_MM
from synbt_aug.tumor.wish import Wish

#: Of the enhancement, what a tumor whose pre-contrast level is drawn shows before contrast at most:
#: it shows in a subtraction. In slices of 101 patients it is .30 in the median and above .44 in one
#: of twenty. Measured likewise, in slices and with their edges, which are darker before contrast,
#: tumors drawn with this and `BRIGHTER_PRE` have about .30; with .5, and without that, .25.
LARGEST_PRE_SHARE = 0.6

#: Where less than this share of where tumor may lie is fibroglandular tissue, fewer non-mass
#: lesions are drawn, by the square of it: they spread along ducts and lobules, and in fat alone
#: look torn.
_GLAND_FOR_NON_MASS = 0.12

#: What follows a kinetic curve in further phases; the rest is ordinary tissue.
FOLLOWS_CURVE = ("tumor", "distractor")


def decide_all(
    ground: Ground,
    wishes: Sequence[Wish],
    bank: TumorBank,
    hole_margin_mm: float,
    generator: torch.Generator,
    *,
    fringe: bool,
) -> tuple[Plan | LeftOut, ...]:
    """Decide what several wishes become in one host, together.

    A group's further lesions follow their largest. Distractors come beside something else, never
    in its place, unless nothing else was asked for. An error costs the wish that it comes from.

    Args:
        ground: Where.
        wishes: What, in order.
        bank: Templates.
        hole_margin_mm: Of the texture.
        generator: On the CPU.
        fringe: Whether tumors have more than a body: what leaves it where they are posed, and the
            teeth and strands of a given mask. For textures that take the host's place.

    Returns:
        Plans, and what is left out, in the order in which they are to be painted.
    """
    decided: list[Plan | LeftOut] = []
    only_distractors = all(wish.kind == "distractor" for wish in wishes)
    left = list(wishes)
    while left:
        wish = left.pop(0)
        alone = not any(isinstance(one, Plan) for one in decided)
        if wish.kind == "distractor" and alone and not only_distractors:
            continue
        satellite = wish.satellite is not None
        try:
            plan = decide(ground, wish, bank, hole_margin_mm, generator, fringe=fringe)
        except FAILURES as error:
            decided.append(LeftOut(failure_reason(error), wish.kind, satellite, error))
            continue
        if isinstance(plan, str):
            decided.append(LeftOut(plan, wish.kind, satellite))
            continue
        decided.append(plan)
        if wish.group:
            left = satellite_wishes(plan, wish, bank, generator) + left
        if left:
            ground = ground.holding(plan)
    return tuple(decided)


def decide(
    ground: Ground,
    wish: Wish,
    bank: TumorBank,
    hole_margin_mm: float,
    generator: torch.Generator,
    *,
    fringe: bool = False,
) -> Plan | str:
    """Decide what a wish becomes in this host.

    Args:
        ground: Where.
        wish: What.
        bank: Templates.
        hole_margin_mm: Of the texture.
        generator: On the CPU.
        fringe: As for `decide_all`.

    Returns:
        A plan, or the reason why nothing can be painted.
    """
    seeds = tuple(draw_seed(generator) for _ in range(ATTEMPTS))
    if wish.mask is not None:
        recipe = _recipe_of_mask(ground, wish, hole_margin_mm, seeds[0])
        if isinstance(recipe, str):
            return recipe
        if fringe and wish.kind == "tumor":
            recipe = replace(recipe, fringe=fringe_of_mask(generator))
        recipe = _with_curve(ground, recipe, wish, bank)
        plan = plan_of_recipe(ground, recipe, bank, hole_margin_mm)
    else:
        sites = ground.sites(wish.only_free_side)
        if wish.kind == "distractor":
            found = _recipe_of_distractor(ground, sites, seeds[0], generator)
        else:
            found = _recipe_of_template(
                ground, sites, wish, bank, hole_margin_mm, seeds[0], generator, fringe
            )
        if isinstance(found, str):
            return found
        recipe, shape = found
        plan = settled(Plan(_with_curve(ground, recipe, wish, bank), shape), ground)
    return replace(
        plan,
        spare_seeds=seeds[1:] if wish.kind == "tumor" else (),
        contrast_was_asked=wish.appearance.enhancement is not None,
        unevenness_was_asked=wish.appearance.heterogeneity is not None,
        satellite=wish.satellite is not None,
    )


def _with_curve(ground: Ground, recipe: TumorRecipe, wish: Wish, bank: TumorBank) -> TumorRecipe:
    """The recipe with the curve of further phases; the same where it follows none."""
    if not ground.further or recipe.kind not in FOLLOWS_CURVE:
        return recipe
    courses = [t.course for t in bank.templates if t.course] if recipe.kind == "tumor" else []
    if recipe.kind == "tumor" and recipe.pose is not None:
        # Shape and course belong together, unless another type is asked for.
        own = bank.templates[recipe.pose.template].course
        if own and wish.curve in (None, kind_of(own)):
            courses = [own]
    # Of the seed, not of the generator: what a pair shows does not depend on further phases.
    curve = draw_curve(
        recipe.noise_seed,
        ground.further,
        ground.earlier,
        kind=wish.curve if recipe.kind == "tumor" else None,
        benign=recipe.kind == "distractor",
        courses=courses,
    )
    return replace(recipe, curve=curve)


def _recipe_of_mask(ground: Ground, wish: Wish, margin_mm: float, seed: int) -> TumorRecipe | str:
    assert wish.mask is not None
    mask = wish.mask.mask() if isinstance(wish.mask, Lesion) else wish.mask
    if mask.shape != ground.shape:
        raise SynBTError(
            f"A tumor mask needs the image's shape {ground.shape}, got {tuple(mask.shape)}. "
            f"Resample it to the image first."
        )
    if not bool(mask.any()):
        return "the given mask is empty"
    box = bounding_box(mask)
    spacing = ground.spacing
    extents = [(end - start) * mm for (start, end), mm in zip(box, spacing, strict=True)]
    shape = shape_for_mask(extents, margin_mm)
    if shape is None:
        return f"the given mask is {max(extents):.0f} mm long, more than a 128 mm window holds"
    d, h, w = ((start + end - 1) / 2 for start, end in box)
    window = window_around((d, h, w), shape, spacing)
    return TumorRecipe(wish.kind, window, seed, wish.appearance, mask=pack_mask(mask))


def _recipe_of_template(
    ground: Ground,
    sites: SiteMap,
    wish: Wish,
    bank: TumorBank,
    margin_mm: float,
    seed: int,
    generator: torch.Generator,
    fringed: bool,
) -> tuple[TumorRecipe, LabelShape] | str:
    """A recipe, and the shape that it gives."""
    if sites.reason is not None:
        return sites.reason
    shape, category = ground.shape, wish.appearance.category
    if wish.satellite is not None:
        found = place_satellite(sites, shape, bank, margin_mm, wish.satellite)
    else:
        among = _among(bank, wish, sites, generator)
        found = place_tumor(
            sites, shape, bank, margin_mm, generator, wish.diameter_mm, category, among
        )
    if found is None:
        return _no_room(wish.diameter_mm)
    appearance = Appearance()
    if wish.kind == "tumor":
        # Shape and appearance belong together: what is not asked for is about the template's own.
        appearance = _like_template(bank, found, sites, shape, wish.appearance, generator)
        if wish.appearance.pre_contrast is None:
            appearance = _taking_up(appearance)
    recipe = TumorRecipe(wish.kind, found.window, seed, appearance, found.diameter_mm, found.pose)
    if not fringed or wish.kind != "tumor":
        return recipe, LabelShape.of(found.distance)
    fringe = draw_fringe(found.diameter_mm, appearance.category, generator)
    courses = courses_of(fringe, found.outline)
    fringe = within(fringe, courses, found.outline, partial(_may_lie, sites, found.window))
    outline = joined(found.outline, fringe, courses)
    return replace(recipe, fringe=fringe), LabelShape.of(found.distance, outline)


def _among(
    bank: TumorBank, wish: Wish, sites: SiteMap, generator: torch.Generator
) -> Sequence[int]:
    """Templates that a wish may take in this breast; empty: all of the category."""
    category = wish.appearance.category
    among: Sequence[int] = largest_of_groups(bank, category) if wish.group else []
    if not among and wish.appearance.rim not in (None, 1.0):
        # A rim needs a core.
        among = bank.with_core(category)
    drawn = float(torch.rand((), generator=generator, dtype=torch.float64))
    if category is not None or drawn <= _non_mass_share(sites):
        return among
    others = [k for k in among or range(len(bank)) if not bank.is_non_mass(k)]
    return others or among


def _non_mass_share(sites: SiteMap) -> float:
    """Share of the non-mass lesions of other breasts that this one gets, 0 to 1."""
    gland = sites.gland_share
    return 1.0 if gland is None else min(gland / _GLAND_FOR_NON_MASS, 1.0) ** 2


def _may_lie(sites: SiteMap, window: Window, place: np.ndarray) -> np.ndarray:
    """Whether tumor may lie at positions in a window, in voxels of 1 mm, shape `(n, 3)`."""
    return sites.may_lie(np.array(window.origin) + place / np.array(window.spacing))


def _like_template(
    bank: TumorBank,
    found: Placement,
    sites: SiteMap,
    shape: tuple[int, int, int],
    asked: Appearance,
    generator: torch.Generator,
) -> Appearance:
    """What is asked, the rest about the placed template, as bright as it would be here."""
    rims = asked.category is None and asked.rim is None and asked.heterogeneity is None
    drawn = bank.looks.draw(found.pose.template, found.diameter_mm, generator, rims=rims)
    if drawn.enhancement is None:
        return drawn.updated(asked)
    template = bank.templates[found.pose.template]
    factor = carried_over(template, sites, shape, found.window, found.distance <= 0)
    high = LIMITS["enhancement"][1]
    pre = drawn.pre_contrast
    return replace(
        drawn,
        enhancement=min(lifted(drawn.enhancement * factor, sites), high),
        pre_contrast=None
        if pre is None
        else max(pre, BRIGHTER_PRE * pre, darkest(template, sites)),
    ).updated(asked)


def _taking_up(drawn: Appearance) -> Appearance:
    """The same, no brighter before contrast than a tumor that takes it up."""
    if drawn.enhancement is None or drawn.pre_contrast is None:
        return drawn
    most = LARGEST_PRE_SHARE * max(drawn.enhancement, 0.0)
    return replace(drawn, pre_contrast=min(drawn.pre_contrast, most))


def _recipe_of_distractor(
    ground: Ground, sites: SiteMap, seed: int, generator: torch.Generator
) -> tuple[TumorRecipe, LabelShape] | str:
    """A recipe, and the shape that it gives."""
    what = draw_distractor(generator)
    if sites.reason is not None:
        return sites.reason
    distance = distractor_distance(what)
    place = draw_place(room_of(sites, ground.shape), distance <= 0, generator)
    if place is None:
        return f"no room for a distractor: a {what.shape} fits nowhere in the tissue found"
    recipe = TumorRecipe("distractor", place.window, seed, what.appearance, distractor=what)
    return recipe, LabelShape.of(distance)


def satellite_wishes(
    plan: Plan, wish: Wish, bank: TumorBank, generator: torch.Generator
) -> list[Wish]:
    """What remains of a multifocal group once its largest lesion has its place.

    Args:
        plan: Of the largest lesion.
        wish: What it came from.
        bank: Templates.
        generator: On the CPU.
    """
    thing = plan.recipe
    if thing.pose is None or thing.diameter_mm is None:
        return []
    found = satellites_of(bank, thing.pose, thing.diameter_mm, thing.window, generator)
    return [replace(wish, group=False, satellite=one, diameter_mm=one.diameter_mm) for one in found]


def _no_room(diameter_mm: float | Range | None) -> str:
    if diameter_mm is None or isinstance(diameter_mm, tuple):
        smallest = SMALLEST_MM if diameter_mm is None else diameter_mm[0]
        return f"no room: even a tumor of {smallest:.0f} mm fits nowhere in the tissue found"
    return f"no room: a tumor of {diameter_mm:.0f} mm fits nowhere in the tissue found"


def plan_of_recipe(
    ground: Ground, recipe: TumorRecipe, bank: TumorBank, hole_margin_mm: float
) -> Plan:
    """The plan that a recipe holds.

    Raises:
        SynBTError: If the recipe does not belong to this host or bank.
    """
    window, curve = recipe.window, recipe.curve
    follows = ground.further if recipe.kind in FOLLOWS_CURVE else 0
    if len(curve.fractions if curve else ()) != follows:
        raise SynBTError(
            f"The recipe's curve is of {len(curve.fractions) if curve else 0} further phases, the "
            f"scan has {follows}. Pass an unchanged recipe.json with the same series."
        )
    if any(part.start >= part.stop for part in window.host_box(ground.shape)):
        raise SynBTError(
            f"The recipe's site {list(window.origin)} lies outside the scan, which has the shape "
            f"{list(ground.shape)}. Pass an unchanged recipe.json."
        )
    if recipe.pose is not None and recipe.diameter_mm is not None:
        if not 0 <= recipe.pose.template < len(bank):
            raise SynBTError(
                f"The recipe needs template {recipe.pose.template}, the bank has {len(bank)}. "
                f"Pass the bank that the recipe was made with."
            )
        # On the CPU wherever the image is: a GPU rounds otherwise, and the mask is to be the same.
        raster = rasterized(bank, recipe.pose, recipe.diameter_mm, hole_margin_mm)
        if raster is None or tuple(raster.distance.shape) != window.shape:
            raise SynBTError(
                "The recipe's tumor does not fit its window: it was made with another bank or "
                "another version. Pass the bank that the recipe was made with."
            )
        distance, outline = raster.distance, None
        if recipe.fringe is not None:
            courses = courses_of(recipe.fringe, raster.outline)
            outline = joined(raster.outline, recipe.fringe, courses)
        return settled(Plan(recipe, LabelShape.of(distance, outline)), ground)
    if recipe.distractor is not None:
        shape = LabelShape.of(distractor_distance(recipe.distractor, window.shape))
    elif recipe.mask is not None:
        shape = shape_of_mask(unpack_mask(recipe.mask, ground.shape), recipe)
    else:
        raise SynBTError("A recipe needs a pose with a diameter, or a mask; this one has neither.")
    return settled(Plan(recipe, shape), ground)
