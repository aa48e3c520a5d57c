from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from synbt_aug.report.page import (
    Commands,
    Facts,
    Gallery,
    Grid,
    Paragraph,
    Section,
    text,
    write_page,
)


@pytest.mark.parametrize(
    "part",
    [
        Paragraph("<b>"),
        Commands(["echo <b>", "second"]),
        Facts({"<b>": "<b>"}),
        Grid(["case", "<b>"], [["<b>", 1.23456]]),
        Gallery([("<b>", Image.new("L", (4, 4)), "<b>")]),
        Section("<b>"),
    ],
)
def test_every_part_escapes_what_it_shows(part: Section) -> None:
    shown = part.html()
    assert "<b>" not in shown and "&lt;b&gt;" in shown


def test_a_section_holds_its_parts_in_order() -> None:
    shown = Section("A title", [Paragraph("first"), Commands(["a", "b"]), Paragraph("last")]).html()
    assert shown.index("A title") < shown.index("first") < shown.index("a\nb") < shown.index("last")


def test_a_grid_has_headings_above_and_at_the_left() -> None:
    shown = Grid(["case", "Dice"], [["a", 0.51234], ["b", "-"]]).html()
    assert shown.count('scope="col"') == 2 and shown.count('scope="row"') == 2
    assert "<td>0.512</td>" in shown and "<td>-</td>" in shown


def test_pictures_of_a_gallery_are_inside_the_page_and_have_words() -> None:
    shown = Gallery([("a slice", Image.new("RGB", (4, 3)), "what it shows")], columns=3).html()
    assert 'src="data:image/png;base64,' in shown and 'alt="what it shows"' in shown
    assert "--columns: 3" in shown and "<figcaption>a slice</figcaption>" in shown


def test_floats_are_shown_with_three_digits_and_the_rest_as_it_is() -> None:
    assert (text(1.23456), text(12), text("a & b")) == ("1.23", "12", "a &amp; b")


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    path = write_page(tmp_path / "a.html", "Title & more", ["<p>one</p>", "<p>two</p>"])
    written = path.read_text(encoding="utf-8")
    assert "<title>Title &amp; more</title>" in written and "<p>one</p>\n<p>two</p>" in written
    assert "{{" not in written and list(tmp_path.iterdir()) == [path]
