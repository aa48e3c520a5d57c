"""One self-contained HTML page of painted tumors: pictures as data URIs, no script, no network."""

from __future__ import annotations

import base64
import html
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synbt_aug.files import written_whole
from synbt_aug.pictures import BeforeAfter, PlaneView, plane_views

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
    """
    parts = [f"<header><h1>{_text(title)}</h1>"]
    if introduction:
        parts.append(f"<p>{_text(introduction)}</p>")
    parts += [f'<p class="warning">{_text(warning)}</p>' for warning in warnings]
    parts.append("</header>")
    if summary:
        tiles = "".join(
            f"<div><dd>{_text(value)}</dd><dt>{_text(name)}</dt></div>"
            for name, value in summary.items()
        )
        parts.append(f'<dl class="tiles">{tiles}</dl>')
    parts.append(
        '<label class="switch"><input type="checkbox" id="outline" checked> '
        "Outline of the new tumor's label</label>"
    )
    parts += [_section(number, painting) for number, painting in enumerate(paintings, 1)]
    if timings:
        rows = {name: f"{value:.2f} s" for name, value in timings.items()}
        parts.append(f"<section><h2>Timings</h2>{_table(rows)}</section>")
    if environment:
        parts.append(f"<section><h2>Made with</h2>{_table(environment)}</section>")
    parts.append(
        "<footer>Synthetic tumors for research on training segmentation networks. "
        "Not a medical device; not for diagnosis.</footer>"
    )
    page = _PAGE.replace("{{title}}", _text(title)).replace("{{body}}", "\n".join(parts))
    path = Path(path)
    with written_whole(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return path


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
        text = html.escape(json.dumps(painting.recipe, indent=2))
        recipe = (
            f"<details><summary>Recipe: paints the same again</summary><pre>{text}</pre></details>"
        )
    return (
        f'<section id="case-{number}"><h2>{_text(painting.title)}</h2>'
        f'<div class="case"><div class="planes">{rows}</div>{_table(facts)}</div>{recipe}</section>'
    )


def _plane(title: str, view: PlaneView) -> str:
    whole = f"{title}: whole {view.plane} slice, post-contrast after painting, tumor outlined"
    figures = [_figure(f"{view.plane}, whole slice", _image(view.whole, whole), "whole")]
    for what, name in _WHAT.items():
        for time in ("before", "after"):
            alt = f"{title}: {view.plane} close-up, {name}, {time} painting"
            picture = _image(view.close[f"{what} {time}"], alt)
            if time == "after":
                picture += _image(view.outline, "", "outline")
            figures.append(_figure(f"{what} {time}", picture, time))
    return f'<div class="plane">{"".join(figures)}</div>'


def _figure(caption: str, picture: str, kind: str) -> str:
    return (
        f'<figure class="{kind}"><div class="stack">{picture}</div>'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _image(picture: Image.Image, alt: str, kind: str = "") -> str:
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" class="{kind}" '
        f'width="{picture.width}" height="{picture.height}">'
    )


def _table(rows: Mapping[str, Any]) -> str:
    body = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>'
        for name, value in rows.items()
    )
    return f"<table>{body}</table>"


def _text(value: Any) -> str:
    shown = f"{value:.3g}" if isinstance(value, float) else str(value)
    return html.escape(shown)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{title}}</title>
<style>
:root { color-scheme: light dark;
  --paper: light-dark(#fbfbfa, #14161a); --ink: light-dark(#1b1f24, #e4e7eb);
  --soft: light-dark(#5d6672, #9aa4b1); --line: light-dark(#e0e2e5, #2b3038);
  --card: light-dark(#ffffff, #1b1e24); --warn: light-dark(#8a3b12, #ffb38a); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 110rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; text-wrap: balance; }
h2 { font-size: 1.15rem; margin: 0 0 .75rem; }
header p { max-width: 48rem; color: var(--soft); margin: 0 0 .5rem; }
header p.warning { color: var(--warn); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1.1rem; margin: 1.25rem 0; }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; }
.tiles div { flex: 1 1 9rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; padding: .7rem 1rem; display: flex; flex-direction: column; }
.tiles dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.switch { display: inline-block; cursor: pointer; padding: .35rem 0; }
.case table { margin-top: .8rem; }
.plane { display: grid; grid-template-columns: repeat(7, minmax(0, 1fr)); gap: .4rem;
  margin-bottom: .6rem; align-items: start; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: .78rem; margin-top: .15rem; }
.stack { position: relative; background: #000; border-radius: .3rem; overflow: hidden;
  aspect-ratio: 1; display: grid; place-items: center; }
.stack img { display: block; width: 100%; height: 100%; object-fit: contain; }
.stack img.outline { position: absolute; inset: 0; }
body:has(#outline:not(:checked)) img.outline { display: none; }
table { border-collapse: collapse; font-size: .88rem; align-self: start; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--soft); }
td { font-variant-numeric: tabular-nums; }
details { margin-top: .6rem; }
summary { cursor: pointer; color: var(--soft); }
pre { overflow-x: auto; font-size: .8rem; background: var(--paper); padding: .75rem;
  border-radius: .4rem; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2rem; }
@media (max-width: 44rem) {
  .plane { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .plane .whole { grid-column: 1 / -1; }
}
@media print { .switch { display: none; } section { break-inside: avoid; } }
</style>
</head>
<body>
{{body}}
</body>
</html>
"""
