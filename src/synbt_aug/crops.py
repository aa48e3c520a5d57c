"""Tumors decided in a whole scan and painted in crops of it, for pictures of many tumors.

Deciding needs the scan's tissues and no signal, painting the window's voxels and no tissues. So
that many tumors of one scan, or one of each of many scans, need no copy of a whole scan each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import LeftOut, Plan
from synbt_aug.host import Host
from synbt_aug.runner import Series, run
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.support.number import check_seed
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.request import Request
from synbt_aug.volume import Synthesis

#: Kept around the windows, in mm: they hold 12 mm around each tumor themselves.
MARGIN_MM = 8.0

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class DecidedCrop:
    """What is to be painted into a crop.

    Args:
        box: The crop's voxels in its scan, along D, H and W.
        host: The crop itself, a copy.
        plans: In the crop's voxels, in order.
    """

    box: Box
    host: Host
    plans: tuple[Plan, ...]


def decide_crop(
    synthesizer: TumorSynthesizer, host: Host, request: Request, *, seed: int
) -> DecidedCrop | str:
    """Decide in a whole scan, and cut out what painting needs.

    Args:
        synthesizer: Whose bank and tissues decide.
        host: The scan; its tissues are found once for many calls.
        request: What is asked.
        seed: As for `TumorSynthesizer`: the same tumors are decided.

    Returns:
        The crop around all that was decided, or the reason why there is nothing.
    """
    generator = torch.Generator().manual_seed(check_seed(seed))
    wishes = request.draw(generator)
    margin = synthesizer.texture.hole_margin_mm
    ground = Ground.of(host, synthesizer.segmenter)
    with plain_torch((host.volume.image.device, synthesizer.device)):
        fringe = synthesizer.texture.replaces
        decided = decide_all(ground, wishes, synthesizer.bank, margin, generator, fringe=fringe)
    plans = [one for one in decided if isinstance(one, Plan)]
    if not plans:
        reasons = [one.reason for one in decided if isinstance(one, LeftOut)]
        return reasons[0] if reasons else "nothing was asked for"
    box = _box_around(plans, host)
    return DecidedCrop(box, _cut(host, box), tuple(_shifted(plan, box) for plan in plans))


def paint_crop(synthesizer: TumorSynthesizer, crop: DecidedCrop) -> Synthesis:
    """Paint into a crop.

    Args:
        synthesizer: The one that decided.
        crop: What, and where.

    Returns:
        Of the crop, without a recipe: inside it the voxels are those that `TumorSynthesizer` paints
        into the whole scan, unless one of several tumors was left out while painting.
    """
    with plain_torch((crop.host.volume.image.device, synthesizer.device)):
        series = Series(crop.host, crop.plans)
        run(synthesizer.painter, [series], attempts=True)
    return replace(synthesizer.together(crop.host, series.results(), 0), recipe=None)


def _box_around(plans: Sequence[Plan], host: Host) -> Box:
    """Everything under the windows, and `MARGIN_MM` more where the scan has it."""
    shape, spacing = host.volume.shape, host.volume.spacing
    boxes = [plan.recipe.window.host_box(shape) for plan in plans]
    sides = []
    for axis, (length, mm) in enumerate(zip(shape, spacing, strict=True)):
        more = round(MARGIN_MM / mm)
        first = min(box[axis].start for box in boxes) - more
        last = max(box[axis].stop for box in boxes) + more
        sides.append(slice(max(0, first), min(length, last)))
    return sides[0], sides[1], sides[2]


def _cut(host: Host, box: Box) -> Host:
    volume = host.volume
    masks: dict[str, Any] = {
        name: None if mask is None else mask[box].clone()
        for name in ("tumor", "forbidden", "valid")
        for mask in (getattr(volume, name),)
    }
    # Where a tumor may go is decided.
    image = volume.image[(slice(None), *box)].clone()
    return host.cropped(replace(volume, image=image, roi=None, **masks))


def _shifted(plan: Plan, box: Box) -> Plan:
    """The plan in the crop's voxels. The crop ends where its scan does, or beyond the window."""
    d, h, w = (at - side.start for at, side in zip(plan.recipe.window.origin, box, strict=True))
    window = replace(plan.recipe.window, origin=(d, h, w))
    return replace(plan, recipe=replace(plan.recipe, window=window))
