"""Write what was painted into the host, and judge it there.

What counts is what the host holds afterwards, in its own type: a tumor that rounding or a type's
largest value took away is dropped with its label.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from synbt_aug.intensity import to_linear
from synbt_aug.mask import equivalent_diameter_mm, longest_mm
from synbt_aug.painting import Prepared
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.tumor.visibility import Visibility, measure_visibility
from synbt_aug.volume import Synthesis, unchanged
from synbt_aug.window import cut, cut_mask, inside_host, write_change

#: Changes smaller than this, over the reference range, are none: the knee and its inverse give a
#: window back to about a millionth.
MIN_CHANGE = 1e-4


def judge(prepared: Prepared, painted: Tensor) -> tuple[Synthesis, Prepared | None]:
    """Write what was painted, or say why it does not stand.

    Args:
        prepared: What was asked.
        painted: The texture's answer.

    Returns:
        The result, and the next attempt where it is refused and one is left: a tumor that cannot
        be seen goes with its label.
    """
    image = prepared.host.volume.image
    if not bool(torch.isfinite(painted).all()):
        return unchanged(image, "the networks returned NaN or infinite numbers"), prepared.retry()
    result = finish(prepared, painted)
    kind = prepared.recipe.kind
    if kind != "tumor" and not bool(_changed(prepared, result, result.support).any()):
        return unchanged(image, f"nothing changed: this texture leaves a {kind} as it was"), None
    seen = visibility(prepared, result)
    if kind == "tumor":
        if seen is None:
            return unchanged(image, "no free voxel is left under the tumor"), None
        if (complaint := seen.complaint(prepared.contrast_was_asked)) is not None:
            return unchanged(image, complaint), prepared.retry()
    recipe = {"tumors": [prepared.recipe.to_dict()]}
    return replace(result, recipe=recipe, measured=measure(prepared, result, seen)), None


def finish(prepared: Prepared, painted: Tensor) -> Synthesis:
    """Blend what was painted into the host.

    Args:
        prepared: What was asked.
        painted: The texture's answer: the window before the knee, shape `(2, n, n, n)`.

    Returns:
        The painted host, without recipe and measurements: those are the caller's.
    """
    host, recipe = prepared.host, prepared.recipe
    change = (painted - prepared.linear) / 2 * host.reference.range(painted)
    written = write_change(
        host.volume.image,
        change,
        prepared.distance,
        recipe.window,
        prepared.blocked,
        host.floor,
        drop_islets=recipe.kind == "tumor",
    )
    label = written.label if recipe.kind == "tumor" else torch.zeros_like(written.label)
    return Synthesis(written.image, label, written.support)


def visibility(prepared: Prepared, result: Synthesis) -> Visibility | None:
    """How well a painted tumor shows as the host holds it: rounded, cut off at its type's ends.

    Args:
        prepared: What was asked.
        result: As `finish` gives it.

    Returns:
        None where the label is empty.
    """
    tumor = _free_tumor(prepared)
    if not bool(result.tumor.any()) or not bool(tumor.any()):
        return None
    changed = float(_changed(prepared, result, result.tumor).to(torch.float32).mean())
    return measure_visibility(_as_written(prepared, result), tumor, prepared.known, changed)


def measure(prepared: Prepared, result: Synthesis, seen: Visibility | None) -> dict[str, Any]:
    """A tumor's sizes and looks in what was written, JSON-ready; arguments as for `visibility`."""
    if seen is None:
        return {}
    spacing, tumor = prepared.host.volume.spacing, _free_tumor(prepared)
    around = prepared.known & (prepared.distance > 0)
    found = measure_appearance(_as_written(prepared, result), tumor, around=around)
    return {
        "diameter_mm": equivalent_diameter_mm(int(result.tumor.sum()), spacing),
        "longest_mm": longest_mm(result.tumor, spacing),
        "appearance": found.to_dict(),
        "visible_share": seen.share,
        "contrast_to_noise": seen.contrast_to_noise,
    }


def _changed(prepared: Prepared, result: Synthesis, where: Tensor) -> Tensor:
    """Which voxels of a mask hold another value than before in either channel, shape `(n,)`."""
    host = prepared.host
    before, after = (image[:, where].double() for image in (host.volume.image, result.image))
    range_of_channels = host.reference.range(before).view(2, 1)
    return ((after - before).abs() > MIN_CHANGE * range_of_channels).any(0)


def _as_written(prepared: Prepared, result: Synthesis) -> Tensor:
    """The window of the painted host before the knee, shape `(2, n, n, n)`."""
    return to_linear(cut(result.image, prepared.recipe.window), prepared.host.reference)


def _free_tumor(prepared: Prepared) -> Tensor:
    """The part of the window's tumor that was written, boolean, shape `(n, n, n)`."""
    window, blocked = prepared.recipe.window, prepared.blocked
    free = inside_host(window, prepared.host.volume.shape, prepared.distance.device)
    if blocked is not None:
        free &= ~cut_mask(blocked, window)
    return (prepared.distance <= 0) & free
