"""What is asked of one painting."""

from __future__ import annotations

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.tumor.wish import Wish

MARGIN = 2.0
OF_12_MM = Wish(diameter_mm=12.0)


@pytest.mark.parametrize("diameter", [5.9, 90.1, -1.0, float("nan")])
def test_sizes_that_cannot_be_painted_are_refused(diameter: float) -> None:
    with pytest.raises(SynBTError, match=r"from 6 to 90, got .*4 mm latent cell.*128 mm window"):
        Wish(diameter_mm=diameter)


def test_a_removal_needs_to_know_of_what() -> None:
    with pytest.raises(SynBTError, match="needs the mask of what to remove: pass mask="):
        Wish("removal")


def test_kinds_that_there_are_not_are_refused() -> None:
    with pytest.raises(SynBTError, match="kind needs one of .*'distractor', got 'cyst'"):
        Wish("cyst")
