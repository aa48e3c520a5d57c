"""The table of realism as Markdown, and as one HTML page that asks for nothing from outside."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synbt_aug.evaluate.realism.figures import REACHED, SHORT, UNJUDGED, Figure, Group, judged_as
from synbt_aug.report.page import Grid, Paragraph, Part, Section, text, write_page
from synbt_aug.support.files import written_whole

COLUMNS = ("figure", "measured", "target", "target reached?", "measured on")


def row_of(figure: Figure) -> tuple[str, str, str, str, str]:
    """A figure as the table shows it."""
    target = "" if figure.target is None else figure.target.words()
    return figure.name, figure.shown, target, _judgement(figure), figure.note


def in_one_line(figure: Figure) -> str:
    """A figure for the screen."""
    said = {"yes": REACHED, "no": SHORT}.get(judgement := _judgement(figure), judgement)
    target = "" if figure.target is None else figure.target.words()
    beside = ": ".join(filter(None, [target, said]))
    return f"{figure.name}: {figure.shown}" + (f"  [{beside}]" if beside else "")


def to_markdown(
    title: str, groups: Sequence[Group], facts: Mapping[str, Any], sections: Sequence[Section] = ()
) -> str:
    """The table as Markdown.

    Args:
        title: Heading.
        groups: Of figures.
        facts: How they came about: name -> value.
        sections: Further tables; what has no words or rows, such as pictures, is left out.
    """
    lines = [f"# {title}", "", summary(groups), ""]
    for group in groups:
        lines += [f"## {group.title}", ""]
        if group.words:
            lines += [group.words, ""]
        columns, rows = _grid(group)
        lines += _table(columns, rows)
    for section in sections:
        if any(isinstance(part, Grid) for part in section.parts):
            lines += [f"## {section.title}", ""]
            for part in section.parts:
                if isinstance(part, Paragraph):
                    lines += [part.words, ""]
                elif isinstance(part, Grid):
                    lines += _table(part.columns, part.rows)
    lines += ["## Made with", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    return "\n".join(lines) + "\n"


def summary(groups: Sequence[Group]) -> str:
    """How many targets are reached, which are not, and which nobody can judge, with the reason."""
    reached, short, open_ = (judged_as(groups, j) for j in (REACHED, SHORT, UNJUDGED))
    if not (reached or short or open_):
        return "No figure has a target."
    judged = len(reached) + len(short)
    says = f"{len(reached)} of {judged} targets reached." if judged else "No target can be judged."
    if short:
        says += f" Short of: {'; '.join(f'{f.name}, {f.shown}' for f in short)}."
    if open_:
        reasons: dict[str, list[str]] = {}
        for figure in open_:
            reasons.setdefault(figure.why_not, []).append(figure.name)
        named = (f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
        says += f" Cannot be judged: {'; '.join(named)}."
    return says


def write_tables(
    folder: str | os.PathLike[str],
    title: str,
    groups: Sequence[Group],
    facts: Mapping[str, Any],
    sections: Sequence[Section] = (),
    warnings: Sequence[str] = (),
) -> tuple[Path, Path]:
    """Write `realism.html` and `realism.md`.

    Args:
        folder: Where to; it exists.
        title: Of the page.
        groups: Of figures.
        facts: How they came about.
        sections: Pictures and further tables, between figures and facts.
        warnings: Sentences to be seen first.

    Returns:
        The two paths.
    """
    parts = [f"<header><h1>{text(title)}</h1><p>{text(summary(groups))}</p>"]
    parts += [f'<p class="warning">{text(warning)}</p>' for warning in warnings]
    parts.append("</header>")
    parts += [_section(group).html() for group in groups]
    parts += [section.html() for section in sections]
    rows = tuple((name, value) for name, value in facts.items())
    parts.append(Section("Made with", [Grid(("", ""), rows)]).html())
    parts.append(
        "<footer>Synthetic tumors for research on training segmentation networks. "
        "Not a medical device; not for diagnosis.</footer>"
    )
    page = write_page(Path(folder) / "realism.html", title, parts)
    markdown = Path(folder) / "realism.md"
    words = to_markdown(title, groups, facts, sections)
    if warnings:
        words = words.replace("\n\n", "\n\n" + "".join(f"**{w}**\n\n" for w in warnings), 1)
    with written_whole(markdown) as unfinished:
        unfinished.write_text(words, encoding="utf-8")
    return page, markdown


def distances_section(distances: Mapping[str, Mapping[str, float]]) -> Section:
    """Each feature's distance, those of the first set that are farthest apart first.

    Args:
        distances: Name of a set -> feature -> distance.
    """
    names = list(distances)
    heads = ["real training tumors" if name == "real" else name for name in names]
    features = sorted(distances[names[0]], key=lambda f: -distances[names[0]][f])
    rows = [
        (feature, *(f"{distances[name].get(feature, float('nan')):.2f}" for name in names))
        for feature in features
    ]
    words = Paragraph("Kolmogorov-Smirnov distance to the real test tumors: 0 alike, 1 apart.")
    return Section("Radiomics, feature by feature", [words, Grid(("feature", *heads), rows)])


def _section(group: Group) -> Section:
    parts: list[Part] = [Paragraph(group.words)] if group.words else []
    return Section(group.title, [*parts, Grid(*_grid(group))])


def _grid(group: Group) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Headings and rows, without columns in which nothing stands."""
    rows = [row_of(figure) for figure in group.figures]
    used = [k for k in range(len(COLUMNS)) if k < 2 or any(row[k] for row in rows)]
    return [COLUMNS[k] for k in used], [tuple(row[k] for k in used) for row in rows]


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A Markdown table's lines, and an empty one after them."""
    head = ["| " + " | ".join(map(_cell, columns)) + " |", "|---" * len(columns) + "|"]
    return [
        *head,
        *("| " + " | ".join(_cell(str(cell)) for cell in row) + " |" for row in rows),
        "",
    ]


def _judgement(figure: Figure) -> str:
    if figure.control is not None:
        return "control passed" if figure.control else "control failed"
    if figure.judged == UNJUDGED:
        return f"{UNJUDGED}: {figure.why_not}"
    return {REACHED: "yes", SHORT: "no"}.get(figure.judged or "", "")


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")
