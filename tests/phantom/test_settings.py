"""Bad settings are refused at the door, with what to type instead."""

from __future__ import annotations

from typing import Any

import pytest

from synbt_aug.phantom import PhantomSettings


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"shape": (64, 64)}, "three voxel counts"),
        ({"spacing": (1.0, 0.0, 1.0)}, "positive voxel sizes"),
        ({"shape": (32, 64, 64)}, "at least 48 mm and 16 voxels"),
        ({"shape": (8, 64, 64), "spacing": (9.0, 1.0, 1.0)}, "at least 48 mm and 16 voxels"),
        ({"times_s": ()}, "times_s must hold at least one time, rising"),
        ({"times_s": (200.0, 100.0)}, "rising"),
        ({"times_s": (5.0,)}, "between 30 and 1200"),
        ({"field_tesla": 7.0}, "1.5, 3.0 or None, got 7.0"),
        ({"density": "e"}, "'a', 'b', 'c', 'd' or None, got 'e'"),
        ({"category": "cyst"}, "'mass', 'rim', 'nonmass' or None, got 'cyst'"),
        ({"snr": 0.0}, "snr must be positive or None"),
        ({"diameter_mm": -3.0}, "diameter_mm must be positive or None, got -3.0"),
    ],
)
def test_a_bad_setting_is_refused_with_a_reason(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhantomSettings(**bad)


def test_thick_voxels_count_by_their_size_in_mm() -> None:
    assert PhantomSettings(shape=(64, 64, 24), spacing=(1.0, 1.0, 2.0)).shape == (64, 64, 24)
