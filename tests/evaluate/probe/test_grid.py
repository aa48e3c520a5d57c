from __future__ import annotations

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.probe.grid import ProbeSettings, implants_of


def test_a_case_gets_each_size_and_contrast_at_each_place() -> None:
    settings = ProbeSettings((8.0, 20.0), (0.5, 1.0), places=3, distractors=2, null_paints=1)
    implants = implants_of("a", settings)
    assert implants[0].kind == "untouched"
    asked = {(i.size_mm, i.enhancement, i.place) for i in implants if i.kind == "tumor"}
    assert asked == {(s, e, p) for s in (8, 20) for e in (0.5, 1) for p in range(3)}
    assert [i.kind for i in implants].count("distractor") == 2
    assert [i.kind for i in implants].count("null") == 1


def test_contrasts_of_a_place_share_their_seeds_and_cases_do_not() -> None:
    settings = ProbeSettings((8.0,), (0.5, 1.0), places=2)
    of_a, of_b = (
        [i.seeds for i in implants_of(name, settings) if i.kind == "tumor"] for name in "ab"
    )
    assert of_a[0] == of_a[1] != of_a[2] == of_a[3]
    assert not {s for seeds in of_a for s in seeds} & {s for seeds in of_b for s in seeds}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sizes_mm": (3.0,)}, "sizes_mm needs a number from 6"),
        ({"sizes_mm": (8.0, 8.0)}, "each once"),
        ({"enhancements": ()}, "enhancements needs one number or several"),
        ({"min_iou": 0.0}, "min_iou needs a number from 0.01 to 1"),
        ({"places": 0}, "places needs a number from 1 to 100"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict, told: str) -> None:
    with pytest.raises(SynBTError, match=told):
        ProbeSettings(**wrong)
