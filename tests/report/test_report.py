from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from small_scans import before_after
from synbt_aug.report.chart import LineChart
from synbt_aug.report.page import Section
from synbt_aug.report.report import changed_outside, write_report


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.alts: list[str | None] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.links += [v for k, v in found.items() if k in ("src", "href") and v]
        if tag == "img":
            self.alts.append(found.get("alt"))
        if tag not in ("img", "meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _report(folder: Path, **changes: object) -> str:
    painting = before_after(**changes)
    chart = LineChart({"loss": [1.0, 0.5]}, "epoch", "loss")
    path = write_report(
        folder / "report.html",
        [painting, painting],
        title="Tumors <b>in</b> phantoms",
        summary={"tumors": 2},
        timings={"painting": 1.234},
        environment={"torch": "2.15"},
        warnings=["These weights are untrained."],
        sections=[Section("What else was done", [chart])],
    )
    return path.read_text(encoding="utf-8")


def test_the_page_is_one_file_that_asks_for_nothing(tmp_path: Path) -> None:
    text = _report(tmp_path)
    page = _Page(text)
    assert page.open == []
    assert page.links and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert "<script" not in text and "url(" not in text and "@import" not in text
    assert list(tmp_path.iterdir()) == [tmp_path / "report.html"]


def test_every_picture_has_words(tmp_path: Path) -> None:
    page = _Page(_report(tmp_path))
    # Two cases of three planes: one whole slice, six close-ups, three outlines without words.
    assert len(page.alts) == 2 * 3 * (1 + 6 + 3)
    assert sum(alt == "" for alt in page.alts) == 2 * 3 * 3
    assert all(alt is not None for alt in page.alts)


def test_text_is_escaped_and_figures_are_there(tmp_path: Path) -> None:
    text = _report(tmp_path, facts={"diameter": "20 mm"}, recipe={"seed": 7})
    assert "Tumors &lt;b&gt;in&lt;/b&gt; phantoms" in text
    for piece in ("20 mm", "&quot;seed&quot;: 7", "1.23 s", "untrained", "Not a medical device"):
        assert piece in text


def test_sections_come_after_the_pictures(tmp_path: Path) -> None:
    text = _report(tmp_path)
    assert text.index('id="case-2"') < text.index("What else was done") < text.index("Timings")


def test_voxels_changed_outside_the_support_are_counted() -> None:
    painting = before_after()
    assert changed_outside(painting) == 0
    after = painting.after.copy()
    after[0, 0, 0, :3] += 1
    after[1, 0, 0, 0] += 1
    assert changed_outside(before_after(before=painting.before, after=after)) == 3
    assert changed_outside(before_after(support=np.zeros_like(painting.support))) > 0
