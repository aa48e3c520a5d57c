"""Makes the images of one case: each implant painted into it alone, its recipe kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synbt_aug.data.raw_dataset import RawCase, write_raw_case
from synbt_aug.evaluate.probe.grid import TUMOR, UNTOUCHED, Implant
from synbt_aug.evaluate.probe.rows import ProbeRow
from synbt_aug.host import Host
from synbt_aug.report.drawing import bounds_of
from synbt_aug.support.files import write_json
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.recipe import pack_mask
from synbt_aug.volume import Synthesis

# Of a close-up around an implant, in mm from its box.
_MARGIN_MM = 16.0


@dataclass(frozen=True)
class CloseUp:
    """The surroundings of an implant, for its picture.

    Args:
        box: Of the case, along D, H and W.
        pre: Signal with the implant, shape of the box.
        post: Likewise.
        implant: Its label, boolean.
    """

    box: tuple[slice, ...]
    pre: np.ndarray
    post: np.ndarray
    implant: np.ndarray


@dataclass(frozen=True)
class Implanted:
    """An image that was made, before it is judged.

    Args:
        row: What is known of it.
        mask: The implant, as `pack_mask` packs it; None for the case as it is.
        close_up: For a picture; of tumors alone.
    """

    row: ProbeRow
    mask: dict[str, Any] | None = None
    close_up: CloseUp | None = None


def implant(
    case: RawCase,
    host: Host,
    what: Implant,
    name: str,
    synthesizer: TumorSynthesizer,
    images: Path,
    labels: Path,
    recipes: Path,
) -> Implanted:
    """Make one image.

    Args:
        case: The source.
        host: Of the case's volume; its tissues are found once for all images.
        what: What to paint.
        name: The image's id.
        synthesizer: What paints.
        images: Folder for the channels.
        labels: Folder for the label.
        recipes: Folder for the recipe.

    Returns:
        What was made; where nothing could be painted nothing is written, and the row says why.
    """
    row = ProbeRow(
        case.name, name, what.kind, what.place, what.seeds[0], what.size_mm, what.enhancement
    )
    label = labels / f"{name}.nii.gz"
    if what.kind == UNTOUCHED:
        write_raw_case(case, None, images, label, name)
        return Implanted(row)
    for seed in what.seeds:
        result = synthesizer(
            host,
            seed=seed,
            kind=what.kind,
            diameter_mm=what.size_mm,
            appearance=Appearance(enhancement=what.enhancement),
        )
        row = replace(row, seed=seed, painted=result.painted, reason=result.reason or "")
        if result.painted:
            break
    if result.recipe is None:
        return Implanted(row)
    write_raw_case(case, result, images, label, name)
    about = {"case": case.name, "kind": what.kind, "place": what.place, "size_mm": what.size_mm}
    about |= {"enhancement": what.enhancement}
    write_json(recipes / f"{name}.json", {"probe": about, **result.recipe})
    mask = result.tumor if what.kind == TUMOR else result.support
    shown = _close_up(case, result) if what.kind == TUMOR else None
    return Implanted(_measured(row, result), pack_mask(mask), shown)


def _measured(row: ProbeRow, result: Synthesis) -> ProbeRow:
    if row.kind != TUMOR:
        return row
    tumor = result.measured["tumors"][0]
    return replace(
        row,
        diameter_mm=tumor["diameter_mm"],
        measured_enhancement=tumor["appearance"]["enhancement"],
        contrast_to_noise=tumor.get("contrast_to_noise"),
    )


def _close_up(case: RawCase, result: Synthesis) -> CloseUp:
    tumor = result.tumor.numpy()
    box = tuple(
        slice(max(0, side.start - margin), side.stop + margin)
        for side, mm in zip(bounds_of(tumor), case.pre.spacing)
        for margin in (round(_MARGIN_MM / mm),)
    )
    pre, post = (result.image[c].numpy()[box].copy() for c in (0, 1))
    return CloseUp(box, pre, post, tumor[box].copy())
