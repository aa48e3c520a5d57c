from __future__ import annotations

import torch

from some_windows import some_windows
from synbt_aug.evaluate.realism.showing import showing
from synbt_aug.evaluate.realism.windows import Windows, join


def test_a_bright_lesion_shows_and_one_like_its_surroundings_does_not() -> None:
    bright = some_windows(1, seed=0, names="bright", side=32, radius=7.0, gain=4.0)
    faint = some_windows(1, seed=0, names="faint", side=32, radius=7.0, gain=0.0)
    assert showing(join([faint, bright])) == list(range(len(faint), len(faint) + len(bright)))


def test_a_label_twice_as_large_as_the_lesion_does_not_show() -> None:
    bright = some_windows(1, seed=0, names="bright", side=32, radius=5.0, gain=4.0)
    wide = some_windows(1, seed=0, names="bright", side=32, radius=10.0, gain=4.0)
    assert showing(bright) and not showing(Windows(bright.signal, wide.label, bright.cases))


def test_a_window_without_a_lesion_does_not_show_one() -> None:
    bright = some_windows(1, seed=0, names="bright", side=32, radius=7.0, gain=4.0)
    assert showing(Windows(bright.signal, torch.zeros_like(bright.label), bright.cases)) == []
