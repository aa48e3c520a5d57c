"""Slices of a folder of PNG files with a table: one slice a patient.

    FOLDER/cases.csv        filename,pid,bbox_x,bbox_y,bbox_w,bbox_h,mm_per_px[,tumor_area_mm2]
    FOLDER/images/*.png     red: pre, green: early post; one scale for both

The box is the tumor's, in pixels from the upper left corner. Of several slices of a patient the
one with the largest tumor counts.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from synbt_aug.errors import SynBTError, first_line
from synbt_aug.evaluate.slices.tumor_slice import SIDE, Box, TumorSlice

TABLE, IMAGES = "cases.csv", "images"

#: Columns that must be there, and the one that may be.
COLUMNS = ("filename", "pid", "bbox_x", "bbox_y", "bbox_w", "bbox_h", "mm_per_px")
_AREA = "tumor_area_mm2"

#: Smaller tumors, in mm2, are left out.
_SMALLEST_MM2 = 40.0

#: Room left around the tumor's box, in mm.
_MARGIN_MM = 3.0

Row = Mapping[str, str]


def read_png_folder(folder: str | os.PathLike[str]) -> list[TumorSlice]:
    """Read one slice a patient, in order of the patients' ids.

    Args:
        folder: With `cases.csv` and `images`.

    Returns:
        At 1 mm, at most 80 x 80 mm around the tumor.

    Raises:
        SynBTError: If the table or an image is missing or cannot be read, or no tumor reaches
            40 mm2.
    """
    folder = Path(folder)
    best: dict[str, tuple[float, Row]] = {}
    rows = _rows(folder / TABLE)
    for row in rows:
        area = _area(row, folder / TABLE)
        if area >= _SMALLEST_MM2 and area > best.get(row["pid"], (0.0, row))[0]:
            best[row["pid"]] = (area, row)
    if not best:
        raise SynBTError(
            f"{folder / TABLE} needs tumors of at least {_SMALLEST_MM2:g} mm2, and none of its "
            f"{len(rows)} rows has one."
        )
    return [_slice(name, row, folder) for name, (_, row) in sorted(best.items())]


def _rows(path: Path) -> list[Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise SynBTError(
                    f"{path} needs the columns {', '.join(COLUMNS)}, but lacks "
                    f"{', '.join(missing)}."
                )
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SynBTError(f"{path} was to be a table of slices, but {first_line(error)}.") from error


def _area(row: Row, path: Path) -> float:
    """Of the tumor in mm2, or of its box where the table does not say."""
    if row.get(_AREA):
        return _number(row, _AREA, path)
    sides = _number(row, "bbox_w", path) * _number(row, "bbox_h", path)
    return sides * _number(row, "mm_per_px", path) ** 2


def _slice(name: str, row: Row, folder: Path) -> TumorSlice:
    path, table = folder / IMAGES / row["filename"], folder / TABLE
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("RGB", "RGBA"):
                raise SynBTError(
                    f"{path} needs pre in red and post in green, but is a picture of mode "
                    f"{picture.mode}."
                )
            pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    except (OSError, UnidentifiedImageError) as error:
        raise SynBTError(f"{path} was to be a slice, but {first_line(error)}.") from error
    height, width = pixels.shape[:2]
    mm = _number(row, "mm_per_px", table)
    size = round(width * mm), round(height * mm)
    if min(size) < 2 * _MARGIN_MM:
        raise SynBTError(f"{path} needs more than {width} x {height} pixels of {mm:g} mm.")
    at_one_mm = [
        np.asarray(Image.fromarray(pixels[..., k]).resize(size, Image.Resampling.BOX))
        for k in (0, 1)
    ]
    left, top, across, down = (
        _number(row, f"bbox_{k}", table) * wanted / length
        for k, wanted, length in zip("xywh", size * 2, (width, height) * 2, strict=True)
    )
    box = (
        max(top - _MARGIN_MM, 0.0),
        min(top + down + _MARGIN_MM, float(size[1])),
        max(left - _MARGIN_MM, 0.0),
        min(left + across + _MARGIN_MM, float(size[0])),
    )
    return _cropped(name, np.stack(at_one_mm), box)


def _cropped(name: str, image: np.ndarray, box: Box) -> TumorSlice:
    """At most 80 mm a side, around the middle of the box."""
    starts = []
    for length, low, high in zip(image.shape[1:], box[::2], box[1::2], strict=True):
        middle = (low + high) / 2
        starts.append(int(min(max(round(middle - SIDE / 2), 0), max(length - SIDE, 0))))
    rows, columns = (slice(start, start + SIDE) for start in starts)
    inside = image[:, rows, columns]
    top, left = starts
    limits = inside.shape[1], inside.shape[1], inside.shape[2], inside.shape[2]
    moved = (box[0] - top, box[1] - top, box[2] - left, box[3] - left)
    cut = [float(min(max(edge, 0), limit)) for edge, limit in zip(moved, limits, strict=True)]
    return TumorSlice(name, inside, (cut[0], cut[1], cut[2], cut[3]))


def _number(row: Row, column: str, path: Path) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value) or value < 0:
        raise SynBTError(
            f"{path} needs a number of at least 0 for {column}, but {row['filename']} has "
            f"{row[column]!r}."
        )
    return value
