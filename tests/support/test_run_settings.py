from __future__ import annotations

from pathlib import Path

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.support.run_settings import keep_settings


def test_a_run_goes_on_with_the_same_settings_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    assert keep_settings(path, {"seed": 1, "sizes": (8, 20)}, "a probe")
    assert not keep_settings(path, {"seed": 1, "sizes": (8, 20)}, "a probe")
    with pytest.raises(
        SynBTError, match=r"holds a probe made with other settings \(seed: 1, now 2"
    ):
        keep_settings(path, {"seed": 2, "sizes": (8, 20)}, "a probe")
    with pytest.raises(SynBTError, match="steps: null, now 4"):
        keep_settings(path, {"seed": 1, "sizes": (8, 20), "steps": 4}, "a probe")
