"""`synbt adapt` with geometry in place of the tissue network and figures that are given.

Run as a program it is the command itself in a process of its own, which is killed at a step of
the denoiser's training where KILL_AT says which.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

from geometric_tissue import geometric_tissue
from synbt_aug.adapt import parts, run
from synbt_aug.adapt.figures import Figures
from synbt_aug.adapt.keeping import MEASURES
from synbt_aug.cli import main
from synbt_aug.train.pool import LatentPool

BASE = {name: 1.0 for name in MEASURES}
BETTER = {name: 2.0 if measure.higher else 0.5 for name, measure in MEASURES.items()}
WORSE = {name: 0.5 if measure.higher else 2.0 for name, measure in MEASURES.items()}


def given_figures(
    patch: Any, values: Iterable[dict[str, float]] = (BASE, BASE, BETTER, WORSE)
) -> list[list[str]]:
    """Measure nothing: figures in the order in which generators are measured.

    Args:
        patch: A pytest monkeypatch, or anything with its `setattr`.
        values: Of the start, and with each part: the bank, the decoder and the denoiser.

    Returns:
        The cases held back, each time they are asked for; filled as the run goes.
    """
    waiting, asked = iter(values), []

    def measured(read: Any, count: int, synthesizer: Any, tell: Any) -> Figures:
        asked.append([case.name for case in read()])
        return Figures(next(waiting), "fair", 6, 18)

    patch.setattr(run, "measure_generator", measured)
    patch.setattr(run, "load_segmenter", lambda **given: geometric_tissue)
    # Every step: what a kill leaves is a checkpoint from the middle of a training.
    patch.setattr(parts, "_SAVE_EVERY_S", 0.0)
    return asked


def _kill_at(step: int) -> None:
    drawn, calls = LatentPool.batch, []

    def counted(*given: Any) -> Any:
        calls.append(1)
        if len(calls) > step:
            os.kill(os.getpid(), signal.SIGKILL)
        return drawn(*given)

    LatentPool.batch = counted  # type: ignore[method-assign]


class _Patch:
    setattr = staticmethod(setattr)


if __name__ == "__main__":
    given_figures(_Patch)
    if step := os.environ.get("KILL_AT"):
        _kill_at(int(step))
    main(sys.argv[1:])
