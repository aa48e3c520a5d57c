"""Where a tumor's shape changes between its label and what is painted, beside patients.

    SYNBT_REAL_SLICES=FOLDER python benchmarks/shape_steps.py -n 56

In phantoms (144 x 136 x 104, seeds from 1,100,000) the index lesion is painted where it lies, into
the same patient without tumors, asked for its own appearance, with more and more of what the
defaults do to a shape:

- own: the phantom's lesion, not painted
- body: its label without what a latent cell cannot paint
- label: the body with the label as its outline
- template: as a bank keeps it
- strands: with strands and nodules that are drawn
- turned: turned and bent at random besides; the defaults draw size, look and place, too

Prints Markdown as `real_patients.py` does. 6 CPU-seconds a phantom.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from real_patients import FIRST_SEED, SMALL_FIELD, pair_of
from torch import Tensor

from synbt_aug import BreastVolume, TumorSynthesizer, make_phantom
from synbt_aug.decide.decide import decide
from synbt_aug.decide.footing import settled
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import Plan
from synbt_aug.evaluate.slices import (
    TumorSlice,
    compare_tables,
    control,
    measure_slices,
    read_png_folder,
    slice_through,
)
from synbt_aug.evaluate.slices.table import feature_rows, summary_rows, to_markdown
from synbt_aug.grid.mask import bounding_box, gaussian, level_of, signed_distance_mm
from synbt_aug.grid.window import cut, inside_host, window_around
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.tumor.appearance import Appearance, measure_appearance
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.fringe import draw_fringe
from synbt_aug.tumor.fringe_courses import courses_of
from synbt_aug.tumor.fringe_shape import joined
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.placement import draw_pose
from synbt_aug.tumor.pose import Pose
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug.tumor.shape import rasterized
from synbt_aug.tumor.template import Template, cut_template
from synbt_aug.tumor.wish import Wish
from synbt_aug.write import paint_and_write

#: As `tumor/shape.py` smooths the outline of a posed template, in mm.
OUTLINE_SIGMA_MM = 0.35


class Scene(NamedTuple):
    """One phantom, and what is asked for in it.

    Args:
        seed: Of the phantom.
        lesion: The index lesion, boolean, shape `(D, H, W)`.
        appearance: As it was measured.
        over: Plan for the lesion's label in the phantom with it.
        free: The same patient without tumors.
    """

    seed: int
    lesion: Tensor
    appearance: Appearance
    over: Plan
    free: Host


def scene_of(
    seed: int, image: np.ndarray, lesion: np.ndarray, twin: np.ndarray, margin_mm: float
) -> Scene | None:
    """What is to be painted in a phantom; None where no window holds its lesion."""
    mask = torch.from_numpy(lesion)
    own = Host.of(BreastVolume(torch.from_numpy(image)))
    bank = TumorBank((_template(mask, Appearance(enhancement=0.7)),))
    plan = decide(Ground.of(own), Wish(mask=mask), bank, margin_mm, _seeded(seed))
    if isinstance(plan, str):
        return None
    window = Cut.of([own], [plan])
    inside = window.label.distance[0] <= 0
    look = measure_appearance(window.linear[0], inside, around=window.known[0] & ~inside)
    return Scene(seed, mask, look, plan, Host.of(BreastVolume(torch.from_numpy(twin))))


def plans_of(scene: Scene, margin_mm: float) -> Iterator[tuple[str, Plan]]:
    """The same lesion with more and more of what happens to a shape."""
    over = replace(scene.over, recipe=replace(scene.over.recipe, appearance=scene.appearance))
    yield "body", over
    window = over.recipe.window
    inside = cut(scene.lesion.float(), window) >= 0.5
    d, h, w = scene.lesion.shape
    inside &= inside_host(window, (d, h, w), inside.device)
    edge = gaussian(signed_distance_mm(inside).clamp(-4, 4), OUTLINE_SIGMA_MM)
    outline = edge - level_of(edge, int(inside.sum()))
    yield "label", replace(over, label=LabelShape.of(over.label.distance[0], outline))

    bank = TumorBank((_template(scene.lesion, scene.appearance),))
    size = bank.diameters_mm[0]
    still = Pose(0, (1.0, 0.0, 0.0, 0.0), False, 0.0, 1)
    turned = draw_pose(bank, size, _seeded(scene.seed))
    middle = tuple((a + b - 1) / 2 for a, b in bounding_box(scene.lesion))
    for name, pose in (("template", still), ("strands", still), ("turned", turned)):
        raster = rasterized(bank, pose, size, margin_mm)
        if raster is None:
            return
        d, h, w = raster.distance.shape
        place = window_around((middle[0], middle[1], middle[2]), (d, h, w), (1.0, 1.0, 1.0))
        seed = over.recipe.noise_seed
        recipe = TumorRecipe("tumor", place, seed, scene.appearance, size, pose)
        outline = raster.outline
        if name != "template":
            fringe = draw_fringe(size, None, _seeded(scene.seed))
            outline = joined(outline, fringe, courses_of(fringe, outline))
            recipe = replace(recipe, fringe=fringe)
        yield name, Plan(recipe, LabelShape.of(raster.distance, outline))


def _template(lesion: Tensor, appearance: Appearance) -> Template:
    """A lesion's shape as a bank keeps it, with this appearance."""
    blank = torch.rand((2, *lesion.shape), generator=_seeded(0))
    template = cut_template(lesion, blank)
    if template is None:
        raise SystemExit(f"{int(lesion.sum())} voxels of a lesion give no template.")
    return template._replace(appearance=appearance)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def steps_of(seed: int, synthesizer: TumorSynthesizer) -> dict[str, TumorSlice] | None:
    """Slices of one phantom; None where a step could not be painted or leaves nothing to see."""
    phantom = make_phantom(seed, SMALL_FIELD)
    twin = make_phantom(seed, replace(SMALL_FIELD, with_tumor=False))
    image, lesion, axis = pair_of(phantom), phantom.tumor_instances == 1, phantom.slice_axis
    margin_mm = synthesizer.texture.hole_margin_mm
    scene = scene_of(seed, image, lesion, pair_of(twin), margin_mm)
    if scene is None:
        return None
    found = {"own": slice_through(str(seed), image, lesion, axis)}
    ground = Ground.of(scene.free)
    for name, plan in plans_of(scene, margin_mm):
        windows = Cut.of([scene.free], [settled(plan, ground)])
        done = paint_and_write(windows, synthesizer.texture, synthesizer.device).result(0)
        if done is not None:
            pixels, label = done.image.numpy(), done.tumor.numpy()
            found[name] = slice_through(str(seed), pixels, label, axis)
    kept = {name: slice_ for name, slice_ in found.items() if slice_ is not None}
    return kept if len(kept) == 6 else None


def main() -> None:
    """Paint, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("SYNBT_REAL_SLICES"))
    parser.add_argument("-n", type=int, default=56, help="phantoms")
    parser.add_argument("--weights", default="shipped")
    options = parser.parse_args()
    if not options.folder:
        parser.error("name the folder of real slices, or set SYNBT_REAL_SLICES")
    torch.set_num_threads(1)
    synthesizer = TumorSynthesizer(options.weights)
    sets: dict[str, list[TumorSlice]] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + options.n):
        for name, slice_ in (steps_of(seed, synthesizer) or {}).items():
            sets.setdefault(name, []).append(slice_)
        print(f"{seed - FIRST_SEED + 1} of {options.n} phantoms", file=sys.stderr)
    patients = measure_slices(read_png_folder(options.folder))
    compared = [compare_tables(n, patients, measure_slices(made)) for n, made in sets.items()]
    compared.append(control(patients))
    print(to_markdown(summary_rows(compared)))
    print(to_markdown(feature_rows(patients, compared)))


if __name__ == "__main__":
    main()
