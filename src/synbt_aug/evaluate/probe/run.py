"""A probe from end to end: implant, segment, judge, case by case; what is done is kept.

Each finished case leaves `cases/CASE.json`, so that a run that was stopped goes on with the next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synbt_aug import __version__
from synbt_aug.data.layout import CaseFiles
from synbt_aug.data.nifti import read_mask
from synbt_aug.data.raw_dataset import PaintedPlaces, RawCase, RawDataset, read_raw_case
from synbt_aug.evaluate.predictors import Segmenter, predicted_file
from synbt_aug.evaluate.probe.grid import UNTOUCHED, ProbeSettings, implants_of
from synbt_aug.evaluate.probe.implanting import CloseUp, Implanted, implant
from synbt_aug.evaluate.probe.judging import (
    Parts,
    dice_of,
    false_positives,
    overlap_of,
    parts_of,
)
from synbt_aug.evaluate.probe.rows import ProbeRow
from synbt_aug.host import Host
from synbt_aug.report.drawing import ReadersAxes
from synbt_aug.report.overlays import outlined_slices
from synbt_aug.support.files import (
    check_output_folder,
    read_json,
    remove_unfinished,
    scratch_folder,
    write_json,
    written_whole,
)
from synbt_aug.support.run_settings import keep_settings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.recipe import unpack_mask

SETTINGS_FILE, LOG_FILE = "probe_settings.json", "segmenter.log"


@dataclass(frozen=True)
class ProbeRun:
    """What is probed, and with what.

    Args:
        dataset: Where the cases come from.
        places: What of them is painted.
        segmenter: What is probed.
        tumor_label: Value of tumors in its predictions; None counts every value above 0.
        synthesizer: What paints.
        settings: Grid and rules.
        folder: Where everything goes.
        keep_images: Whether images, labels and predictions stay there.
    """

    dataset: RawDataset
    places: PaintedPlaces
    segmenter: Segmenter
    tumor_label: int | None
    synthesizer: TumorSynthesizer
    settings: ProbeSettings
    folder: Path
    keep_images: bool = False

    def part(self, name: str) -> Path:
        """A folder inside the run's, made if it is missing."""
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path


def run_probe(
    run: ProbeRun, cases: Sequence[CaseFiles], on_image: Callable[[int, int], None] | None = None
) -> list[ProbeRow]:
    """Probe all cases.

    Args:
        run: What, and with what.
        cases: Of its dataset; those that are done already are not done again.
        on_image: Called with (images done, all images).

    Returns:
        One row an image, of all cases, in order.

    Raises:
        SynBTError: If the folder holds a probe of other settings, a case cannot be read, or the
            segmenter fails.
    """
    check_output_folder(run.folder)
    keep_settings(run.folder / SETTINGS_FILE, _identity(run), "a probe")
    remove_unfinished(run.folder)
    images = {case.name: len(implants_of(case.name, run.settings)) for case in cases}
    total, done = sum(images.values()), 0
    rows: list[ProbeRow] = []
    tell = on_image or (lambda done, total: None)
    tell(0, total)
    for case in cases:
        kept = run.part("cases") / f"{case.name}.json"
        if not kept.is_file():
            _probe_case(run, case, kept, partial(_tell_within, tell, done, total))
        rows += [ProbeRow(**row) for row in read_json(kept, "rows of a probe")["rows"]]
        done += images[case.name]
        tell(done, total)
    return rows


def _tell_within(tell: Callable[[int, int], None], before: int, total: int, images: int) -> None:
    tell(before + images, total)


def _identity(run: ProbeRun) -> dict[str, Any]:
    return {
        **run.settings.to_dict(),
        "segmenter": run.segmenter.identity(),
        "dataset": run.dataset.files.folder.resolve().name,
        "weights": run.synthesizer.weights.digest,
        "bank": run.synthesizer.bank.digest,
        "texture": run.synthesizer.texture.recipe(),
        "tumor_label": run.tumor_label,
        "version": __version__,
    }


def _probe_case(run: ProbeRun, files: CaseFiles, kept: Path, tell: Callable[[int], None]) -> None:
    case = read_raw_case(run.dataset, files, run.places)
    host = Host.of(case.volume)
    with scratch_folder(run.folder) as scratch:
        images, labels, predictions = (scratch / n for n in ("images", "labels", "predictions"))
        for part in (images, labels, predictions):
            part.mkdir()
        made = []
        for number, what in enumerate(implants_of(case.name, run.settings)):
            name = f"{case.name}-{number:03d}-{what.kind}"
            made.append(
                implant(
                    case, host, what, name, run.synthesizer, images, labels, run.part("recipes")
                )
            )
            tell(number)
        run.segmenter.predict(images, predictions, run.folder / LOG_FILE)
        rows = _judged(run, case, made, predictions)
        if run.keep_images:
            for part in (images, labels, predictions):
                for path in part.iterdir():
                    os.replace(path, run.part(part.name) / path.name)
    write_json(kept, {"rows": [row.to_dict() for row in rows]})


def _judged(
    run: ProbeRun, case: RawCase, made: Sequence[Implanted], predictions: Path
) -> list[ProbeRow]:
    """The rows with what the segmenter made of each image."""
    real = case.real_tumor
    before: Parts | None = None
    rows = []
    for one in made:
        row = one.row
        if not row.painted:
            rows.append(row)
            continue
        what = f"The prediction of {row.image}"
        path = predicted_file(predictions, row.image)
        predicted = read_mask(path, case.pre, what, run.tumor_label).numpy()
        parts = parts_of(predicted, case.pre.spacing)
        if row.kind == UNTOUCHED:
            before = parts
            row = replace(row, dice=dice_of(predicted, real) if real.any() else None)
            masks = [real]
        else:
            assert one.mask is not None and before is not None
            mask = unpack_mask(one.mask, case.pre.shape).numpy()
            now, then = (overlap_of(p, mask, real) for p in (parts, before))
            limit = run.settings.min_iou
            row = replace(
                row,
                found=now.iou >= limit,
                found_before=then.iou >= limit,
                iou=now.iou,
                dice=now.dice,
            )
            masks = [real, mask]
        if case.labelled:
            row = replace(row, false_positives=false_positives(parts, *masks))
        if one.close_up is not None:
            shown = _picture(one.close_up, predicted, case)
            with written_whole(run.part("pictures") / f"{row.image}.png") as unfinished:
                shown.save(unfinished)
        rows.append(row)
    return rows


def _picture(close_up: CloseUp, predicted: np.ndarray, case: RawCase) -> Image.Image:
    """Four views of an implant side by side, its outline green, the prediction's orange."""
    turn = ReadersAxes(case.pre.spacing, case.pre.affine)
    pre, post, implanted, found = (
        turn(array)
        for array in (close_up.pre, close_up.post, close_up.implant, predicted[close_up.box])
    )
    outlined = outlined_slices(pre, post, implanted, found, turn.spacing)
    views = [view for _, view in outlined]
    sheet = Image.new("RGB", (sum(view.width for view in views), max(v.height for v in views)))
    left = 0
    for view in views:
        sheet.paste(view, (left, 0))
        left += view.width
    return sheet
