"""The report of a run: what was kept and why, figures, and the sheet of tumors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from synbt_aug.adapt.figures import Figures
from synbt_aug.adapt.keeping import MEASURES
from synbt_aug.report.page import Gallery, Grid, Paragraph, Section, text, write_page

PAGE, SHEET = "report.html", "sheet.png"


def figure_rows(figures: Mapping[str, Figures]) -> list[tuple[str, ...]]:
    """A row a figure, a column a generator; the first row holds the headings."""
    rows: list[tuple[str, ...]] = [("", *figures)]
    rows.append(("fit", *(one.verdict for one in figures.values())))
    for name, measure in MEASURES.items():
        better = "more is better" if measure.higher else "less is better"
        cells = (_shown(one.values[name]) for one in figures.values())
        rows.append((f"{measure.what} ({better})", *cells))
    counts = (f"{one.real}, {one.painted}" for one in figures.values())
    return [*rows, ("slices: real, painted", *counts)]


def write_report(
    folder: Path,
    said: Sequence[str],
    figures: Mapping[str, Figures],
    sheet: Image.Image | None,
    facts: Mapping[str, Any],
) -> Path:
    """Write the page, and the sheet beside it.

    Args:
        folder: Of the run.
        said: What was kept and why, a sentence each.
        figures: Name of a generator -> its figures, in the order in which they were made.
        sheet: Of tumors; None where none could be painted again.
        facts: Name -> value, for the end of the page.
    """
    heads, *rows = figure_rows(figures)
    sections = [
        Section("What was kept", [Paragraph(line) for line in said]),
        Section("On the cases held back", [Grid(heads, rows)]),
    ]
    if sheet is not None:
        sheet.save(folder / SHEET)
        words = "Rows of tumors: real, painted by the start, painted by the adapted weights."
        sections.insert(1, Section("Tumors", [Gallery([("", sheet, words)], columns=1)]))
    sections.append(Section("The run", [Grid(("", ""), [(k, v) for k, v in facts.items()])]))
    title = "Adapted weights"
    head = (
        f"<header><h1>{text(title)}</h1><p class='warning'>The pictures show scans of patients: "
        f"keep this page where the scans may be.</p></header>"
    )
    return write_page(folder / PAGE, title, [head, *(section.html() for section in sections)])


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
