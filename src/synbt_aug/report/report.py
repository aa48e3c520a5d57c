"""The report: painted tumors in three planes, and sections on whatever else was done."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synbt_aug.report.page import Section, figure, image, table, text, write_page
from synbt_aug.report.pictures import BeforeAfter, PlaneView, plane_views

_WHAT = {
    "pre": "pre-contrast",
    "post": "post-contrast",
    "subtraction": "subtraction (post - pre)",
}


def write_report(
    path: str | os.PathLike[str],
    paintings: Sequence[BeforeAfter],
    *,
    title: str,
    introduction: str = "",
    summary: Mapping[str, Any] | None = None,
    timings: Mapping[str, float] | None = None,
    environment: Mapping[str, Any] | None = None,
    warnings: Sequence[str] = (),
    sections: Sequence[Section] = (),
) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: A new `.html` file.
        paintings: What to show, in order.
        title: Of the page.
        introduction: A paragraph under it.
        summary: The few figures that matter, name -> value.
        timings: Name -> seconds.
        environment: Name -> value, such as versions and device.
        warnings: Sentences to be seen before the pictures.
        sections: What comes after the pictures.
    """
    parts = [f"<header><h1>{text(title)}</h1>"]
    if introduction:
        parts.append(f"<p>{text(introduction)}</p>")
    parts += [f'<p class="warning">{text(warning)}</p>' for warning in warnings]
    parts.append("</header>")
    if summary:
        tiles = "".join(
            f"<div><dd>{text(value)}</dd><dt>{text(name)}</dt></div>"
            for name, value in summary.items()
        )
        parts.append(f'<dl class="tiles">{tiles}</dl>')
    parts.append(
        '<label class="switch"><input type="checkbox" id="outline" checked> '
        "Outline of the new tumor's label</label>"
    )
    parts += [_section(number, painting) for number, painting in enumerate(paintings, 1)]
    parts += [section.html() for section in sections]
    if timings:
        rows = {name: f"{value:.2f} s" for name, value in timings.items()}
        parts.append(f"<section><h2>Timings</h2>{table(rows)}</section>")
    if environment:
        parts.append(f"<section><h2>Made with</h2>{table(environment)}</section>")
    parts.append(
        "<footer>Synthetic tumors for research on training segmentation networks. "
        "Not a medical device; not for diagnosis.</footer>"
    )
    return write_page(path, title, parts)


def changed_outside(painting: BeforeAfter) -> int:
    """Voxels that differ though they lie outside the support: 0 by promise."""
    differ = (painting.before != painting.after).any(axis=0)
    return int(np.count_nonzero(differ & ~painting.support))


def _section(number: int, painting: BeforeAfter) -> str:
    views = plane_views(painting)
    rows = "".join(_plane(painting.title, view) for view in views)
    facts = {
        **painting.facts,
        "voxels that may differ": f"{int(painting.support.sum()):,}",
        "voxels changed outside these": f"{changed_outside(painting):,}",
    }
    recipe = ""
    if painting.recipe is not None:
        shown = html.escape(json.dumps(painting.recipe, indent=2))
        recipe = (
            f"<details><summary>Recipe: paints the same into the same scan</summary>"
            f"<pre>{shown}</pre></details>"
        )
    words = f"<p>{text(painting.words)}</p>" if painting.words else ""
    return (
        f'<section id="case-{number}"><h2>{text(painting.title)}</h2>{words}'
        f'<div class="case"><div class="planes">{rows}</div>{table(facts)}</div>{recipe}</section>'
    )


def _plane(title: str, view: PlaneView) -> str:
    whole = f"{title}: whole {view.plane} slice, post-contrast after painting, tumor outlined"
    figures = [figure(f"{view.plane}, whole slice", image(view.whole, whole), "whole")]
    for what, name in _WHAT.items():
        for time in ("before", "after"):
            alt = f"{title}: {view.plane} close-up, {name}, {time} painting"
            picture = image(view.close[f"{what} {time}"], alt)
            if time == "after":
                picture += image(view.outline, "", "outline")
            figures.append(figure(f"{what} {time}", picture, time))
    return f'<div class="plane">{"".join(figures)}</div>'
