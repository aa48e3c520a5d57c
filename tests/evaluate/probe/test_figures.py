from __future__ import annotations

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.probe.figures import figures_of, read_requirement, share
from synbt_aug.evaluate.probe.grid import ProbeSettings
from synbt_aug.evaluate.probe.rows import ProbeRow

SETTINGS = ProbeSettings((8.0, 20.0), (0.5, 1.0))


def tumor(size: float, contrast: float, found: bool, case: str = "a", **more: object) -> ProbeRow:
    dice = 0.8 if found else 0.0
    return ProbeRow(case, "image", "tumor", 0, 1, size, contrast, found=found, dice=dice, **more)  # type: ignore[arg-type]


def test_shares_have_wilsons_interval() -> None:
    # By hand, z = 1.96: (p + z2/2n -+ z sqrt(pq/n + z2/4n2)) / (1 + z2/n).
    found = share(8, 10, 0.95)
    assert (found.value, found.count) == (0.8, 10)
    assert found.low == pytest.approx(0.4902, abs=1e-4)
    assert found.high == pytest.approx(0.9433, abs=1e-4)
    none = share(0, 0, 0.95)
    assert none.value is None and none.shown() == "-"


def test_sensitivity_is_taken_by_size_by_contrast_and_by_both() -> None:
    rows = [
        tumor(8.0, 0.5, False), tumor(8.0, 1.0, True), tumor(20.0, 0.5, True),
        tumor(20.0, 1.0, True), tumor(20.0, 1.0, False),
        ProbeRow("a", "image", "tumor", 0, 1, 8.0, 0.5, painted=False, reason="no room"),
    ]  # fmt: skip
    figures = figures_of(rows, SETTINGS)
    shown = {name: (f.value, f.count) for name, f in figures.items()}
    assert shown["sensitivity"] == (0.6, 5)
    assert shown["sensitivity/8mm"] == (0.5, 2)
    assert shown["sensitivity/1"] == (pytest.approx(2 / 3), 3)
    assert shown["sensitivity/20mm/1"] == (0.5, 2)
    assert shown["dice/20mm"] == (pytest.approx(1.6 / 3), 3)


def test_false_positives_are_a_mean_over_cases_not_over_images() -> None:
    rows = [
        tumor(8.0, 0.5, True, "a", false_positives=0),
        tumor(8.0, 1.0, True, "a", false_positives=2),
        tumor(8.0, 0.5, True, "b", false_positives=5),
        tumor(8.0, 0.5, True, "without a mask"),
    ]
    found = figures_of(rows, SETTINGS)["false-positives"]
    assert (found.value, found.count) == (3.0, 2)


def test_requirements_are_held_against_a_figure_or_an_end_of_its_interval() -> None:
    figures = figures_of([tumor(20.0, 1.0, True)] * 8 + [tumor(20.0, 1.0, False)] * 2, SETTINGS)
    met = {
        "sensitivity/20mm>=0.8": True,
        "sensitivity/20mm:low>=0.5": False,
        "sensitivity/20mm/1:high <= 0.95": True,
        "sensitivity>0.8": False,
        # Without a tumor of this size nothing is known of it.
        "sensitivity/8mm>=0": False,
    }
    assert {text: read_requirement(text, SETTINGS).met_by(figures) for text in met} == met


@pytest.mark.parametrize("wrong", ["sensitivity", "sensitivity=>0.5", "dice>=high", "dice>=nan"])
def test_a_requirement_that_cannot_be_read_says_how_one_is_written(wrong: str) -> None:
    with pytest.raises(SynBTError, match="such as 'sensitivity/20mm>=0.9'"):
        read_requirement(wrong, SETTINGS)


def test_a_requirement_of_an_unknown_figure_lists_those_there_are() -> None:
    with pytest.raises(SynBTError, match="has the figures sensitivity, dice, .*'sensitivity/12mm'"):
        read_requirement("sensitivity/12mm>=0.5", SETTINGS)
