"""The pages of a probe: probe.html to look at, probe.json for programs, implants.csv for tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from synbt_aug.evaluate.probe.figures import Figure, Requirement
from synbt_aug.evaluate.probe.grid import TUMOR, ProbeSettings
from synbt_aug.evaluate.probe.judging import SPECK_MM3
from synbt_aug.evaluate.probe.rows import ProbeRow, write_rows
from synbt_aug.report.interval_chart import IntervalChart, Point
from synbt_aug.report.page import Facts, Gallery, Grid, Paragraph, Section, text, write_page
from synbt_aug.support.files import write_json

# Pictures of either kind on the page; all are in the folder.
_PICTURES = 6

_OTHERS = {
    "found-before": "places that it marked before anything was implanted",
    "distractors-marked": "benign things that it marked",
    "null-paints-marked": "repainted healthy places that it marked",
    "false-positives": "false positives an image, mean over cases",
    "real-dice": "Dice of the real tumors, cases as they are",
}


def write_probe(
    folder: Path,
    rows: Sequence[ProbeRow],
    figures: Mapping[str, Figure],
    requirements: Sequence[Requirement],
    settings: ProbeSettings,
    facts: Mapping[str, Any],
    warnings: Sequence[str] = (),
) -> Path:
    """Write all three files.

    Args:
        folder: Where to; pictures lie in its `pictures`.
        rows: Of all images.
        figures: Of these rows.
        requirements: What was asked of them.
        settings: Grid and rules.
        facts: How it was made, name -> value.
        warnings: Sentences to be seen first.

    Returns:
        The page.
    """
    write_rows(folder / "implants.csv", rows)
    judged = [
        {"requirement": one.text, "met": one.met_by(figures), **figures[one.name].to_dict()}
        for one in requirements
    ]
    content = {
        "figures": {name: figure.to_dict() for name, figure in figures.items()},
        "requirements": judged,
        "all_met": all(one["met"] for one in judged),
        "settings": settings.to_dict(),
        "facts": dict(facts),
        "not_painted": _reasons(rows),
    }
    write_json(folder / "probe.json", content)
    sections = [
        _requirements_section(requirements, figures),
        _sensitivity_section(figures, settings),
        _others_section(figures),
        *_pictures_sections(folder, rows),
        _reasons_section(rows),
        Section("Rules", [Paragraph(line) for line in _rules(settings)]),
        Section("Made with", [Facts(facts)]),
    ]
    head = "<header><h1>What the segmenter finds of implanted tumors</h1>"
    head += "".join(f'<p class="warning">{text(line)}</p>' for line in warnings) + "</header>"
    body = [head, *(section.html() for section in sections if section is not None)]
    return write_page(folder / "probe.html", "Probe of a segmenter", body)


def sensitivity_rows(
    figures: Mapping[str, Figure], settings: ProbeSettings, name: str = "sensitivity"
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of sizes x contrasts, margins included."""
    contrasts = [f"{value:g}" for value in settings.enhancements]
    head = ["size", *(f"contrast {value}" for value in contrasts), "all contrasts"]
    rows = []
    for size in [f"/{value:g}mm" for value in settings.sizes_mm] + [""]:
        cells = [f"{name}{size}/{value}" for value in contrasts] + [f"{name}{size}"]
        shown = size.removeprefix("/").replace("mm", " mm") or "all sizes"
        rows.append([shown, *(figures[cell].shown() for cell in cells)])
    return head, rows


def _sensitivity_section(figures: Mapping[str, Figure], settings: ProbeSettings) -> Section:
    parts: list[Any] = [
        Paragraph(
            "The share of implanted tumors that the segmenter found, with its interval, and of how "
            "many. Rows: diameter asked for; columns: contrast asked for, in reference ranges."
        ),
        Grid(*sensitivity_rows(figures, settings)),
    ]
    series = {
        f"contrast {contrast:g}": [
            _point(figures[f"sensitivity/{size:g}mm/{contrast:g}"]) for size in settings.sizes_mm
        ]
        for contrast in settings.enhancements
    }
    if any(point is not None for points in series.values() for point in points):
        sizes = [f"{size:g}" for size in settings.sizes_mm]
        words = "Sensitivity by size, one series a contrast, with intervals"
        parts.append(IntervalChart(sizes, series, "diameter, mm", words, (0.0, 1.0)))
    dice = sensitivity_rows(figures, settings, "dice")
    parts += [Paragraph("Mean Dice of the same implants, missed ones counting 0."), Grid(*dice)]
    return Section("Sensitivity by size and contrast", parts)


def _point(figure: Figure) -> Point:
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return figure.value, figure.low, figure.high


def _others_section(figures: Mapping[str, Figure]) -> Section:
    rows = {words: figures[name].shown() for name, words in _OTHERS.items()}
    return Section("What it marks besides", [Facts(rows)])


def _requirements_section(
    requirements: Sequence[Requirement], figures: Mapping[str, Figure]
) -> Section | None:
    if not requirements:
        return None
    rows = [
        [one.text, "met" if one.met_by(figures) else "NOT met", figures[one.name].shown()]
        for one in requirements
    ]
    return Section("What was required", [Grid(("requirement", "", "figure"), rows)])


def _pictures_sections(folder: Path, rows: Sequence[ProbeRow]) -> list[Section]:
    tumors = [row for row in rows if row.kind == TUMOR and row.found is not None]
    # The most telling: the largest and brightest that it missed, the smallest and faintest found.
    tumors.sort(key=lambda row: (row.size_mm or 0, row.enhancement or 0))
    kinds = {
        "Missed, the largest first": [row for row in tumors[::-1] if not row.found],
        "Found, the smallest first": [row for row in tumors if row.found],
    }
    legend = Paragraph(
        "Subtraction, then outlined in three planes: the implant green, the prediction orange."
    )
    sections = []
    for title, chosen in kinds.items():
        pictures = []
        for row in chosen[:_PICTURES]:
            path = folder / "pictures" / f"{row.image}.png"
            if path.is_file():
                with Image.open(path) as picture:
                    caption = (
                        f"{row.image}: {row.diameter_mm:.0f} mm, contrast "
                        f"{row.measured_enhancement:.2f}, Dice {row.dice:.2f}"
                    )
                    pictures.append((caption, picture.copy(), f"Implant {row.image} in four views"))
        if pictures:
            sections.append(Section(title, [legend, Gallery(pictures, columns=2)]))
    return sections


def _reasons(rows: Sequence[ProbeRow]) -> dict[str, int]:
    return dict(Counter(f"{row.kind}: {row.reason}" for row in rows if not row.painted))


def _reasons_section(rows: Sequence[ProbeRow]) -> Section | None:
    found = _reasons(rows)
    if not found:
        return None
    words = "These were asked for and could not be implanted; they count nowhere."
    return Section("Not implanted", [Paragraph(words), Facts(found)])


def _rules(settings: ProbeSettings) -> list[str]:
    return [
        "An implant counts as found where the connected parts of the prediction that touch it have "
        f"together an intersection over union of at least {settings.min_iou:g} with it; what of "
        "them lies on a real tumor is left out. Distractors and null paints count as marked by the "
        "same rule.",
        f"A false positive is a part of at least {SPECK_MM3:g} mm3 that touches neither an "
        "implant nor a real tumor. Cases without a mask have none counted: what is real in "
        "them is not known.",
        f"Intervals of {settings.confidence:.0%}: Wilson's for shares, bootstrap for means. "
        "Implants of one case share its anatomy, and the contrasts of one size mostly share place "
        "and shape: with few cases the intervals are somewhat too narrow.",
        "One implant an image; implants.csv lists them all, recipes/ paints them again.",
    ]
