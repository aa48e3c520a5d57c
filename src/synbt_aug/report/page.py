"""One self-contained HTML page, put together of pieces: pictures as data URIs, no script.

A section is a title and parts; each part knows its own HTML. What is shown in them is left to
others.
"""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from synbt_aug.support.files import written_whole


class Part(Protocol):
    """Anything that can stand in a section."""

    def html(self) -> str:
        """As HTML, escaped, asking for nothing from outside the page."""


@dataclass(frozen=True)
class Section:
    """A card on the page.

    Args:
        title: Its heading.
        parts: From top to bottom.
    """

    title: str
    parts: Sequence[Part] = ()

    def html(self) -> str:
        """As HTML."""
        inside = "".join(part.html() for part in self.parts)
        return f"<section><h2>{text(self.title)}</h2>{inside}</section>"


@dataclass(frozen=True)
class Paragraph:
    """Plain sentences; `kind` "warning" is colored."""

    words: str
    kind: str = "plain"

    def html(self) -> str:
        """As HTML."""
        return f'<p class="{self.kind}">{text(self.words)}</p>'


@dataclass(frozen=True)
class Commands:
    """What to type, or the last lines of a log, as they are."""

    lines: Sequence[str]

    def html(self) -> str:
        """As HTML."""
        return f"<pre>{html.escape(chr(10).join(self.lines))}</pre>"


@dataclass(frozen=True)
class Facts:
    """A table of two columns: name -> value."""

    rows: Mapping[str, Any]

    def html(self) -> str:
        """As HTML."""
        return table(self.rows)


@dataclass(frozen=True)
class Grid:
    """A table with a row of headings.

    Args:
        columns: Headings; the first one is of the rows' names.
        rows: As long as `columns` each.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def html(self) -> str:
        """As HTML."""
        head = "".join(f'<th scope="col">{text(name)}</th>' for name in self.columns)
        body = "".join(
            f'<tr><th scope="row">{text(row[0])}</th>'
            + "".join(f"<td>{text(value)}</td>" for value in row[1:])
            + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class Gallery:
    """Pictures in rows.

    Args:
        pictures: (caption, picture, what it shows in words).
        columns: Pictures in a row.
    """

    pictures: Sequence[tuple[str, Image.Image, str]]
    columns: int = 4

    def html(self) -> str:
        """As HTML."""
        figures = "".join(
            f"<figure>{image(picture, words)}<figcaption>{text(caption)}</figcaption></figure>"
            for caption, picture, words in self.pictures
        )
        return f'<div class="gallery" style="--columns: {self.columns}">{figures}</div>'


def figure(caption: str, picture: str, kind: str) -> str:
    """A picture (as HTML) on a black square, with its caption."""
    return (
        f'<figure class="{kind}"><div class="stack">{picture}</div>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def image(picture: Image.Image, alt: str, kind: str = "") -> str:
    """A picture inside the page."""
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" class="{kind}" '
        f'width="{picture.width}" height="{picture.height}">'
    )


def table(rows: Mapping[str, Any]) -> str:
    """A table of two columns."""
    body = "".join(
        f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>'
        for name, value in rows.items()
    )
    return f"<table>{body}</table>"


def text(value: Any) -> str:
    """Escaped; three digits of a float."""
    shown = f"{value:.3g}" if isinstance(value, float) else str(value)
    return html.escape(shown)


def write_page(path: str | os.PathLike[str], title: str, body: Sequence[str]) -> Path:
    """Write the page, whole or not at all.

    Args:
        path: A new `.html` file.
        title: Of the window.
        body: HTML, from top to bottom.
    """
    page = _PAGE.replace("{{title}}", text(title)).replace("{{body}}", "\n".join(body))
    path = Path(path)
    with written_whole(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return path


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
th[scope=col] { overflow-wrap: normal; }
td { font-variant-numeric: tabular-nums; }
details { margin-top: .6rem; }
summary { cursor: pointer; color: var(--soft); }
pre { overflow-x: auto; font-size: .8rem; background: var(--paper); padding: .75rem;
  border-radius: .4rem; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2rem; }
.gallery { display: grid; gap: .6rem; margin: .8rem 0; align-items: start;
  grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
.gallery img { display: block; width: 100%; height: auto; border-radius: .3rem; background: #000; }
section p { max-width: 60rem; margin: .4rem 0; }
section p.warning { color: var(--warn); }
table + table, table + p, pre + p { margin-top: .8rem; }
.chart { display: block; width: 100%; max-width: 44rem; height: auto; margin: .8rem 0;
  font-size: 12px; }
.chart text { fill: var(--soft); }
.chart .axis { stroke: var(--line); }
@media (max-width: 44rem) {
  .gallery { grid-template-columns: repeat(2, minmax(0, 1fr)); }
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
