"""Where a training run reports: losses on disk, and how far it is.

Means of losses go to a JSON-lines file and, where it is installed, to TensorBoard.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.support.progress import Reporter

logger = logging.getLogger(__name__)


class TrainingLog:
    """Means of losses on disk, and how far the run is.

    Args:
        folder: Of the run.
        name: Of the stage; lines go to `<folder>/<name>.log.jsonl`.
        step: Step the run starts from; later lines of an earlier run are dropped.
        first: Whether this is the rank that writes.
        tensorboard: Whether to write for TensorBoard.
    """

    def __init__(self, folder: Path, name: str, step: int, first: bool, tensorboard: bool) -> None:
        self.folder, self.name, self.first, self.start = folder, name, first, step
        self.path = folder / f"{name}.log.jsonl"
        self.tensorboard = tensorboard
        self.sums: dict[str, Tensor | float] = {}
        self.counts: dict[str, Tensor | float] = {}
        self.writer: Any = None
        self.reporter: Reporter | None = None

    def open(self) -> None:
        """Start writing; nothing on other ranks than the first."""
        if not self.first:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        # Lines after the checkpoint will be written again.
        lines = self.path.read_text().splitlines() if self.start and self.path.exists() else []
        kept = [line for line in lines if _step_of(line) <= self.start]
        self.path.write_text("".join(line + "\n" for line in kept))
        if self.tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                logger.info("TensorBoard is not installed; losses go to %s only", self.path)
            else:
                where = self.folder / "tensorboard" / self.name
                self.writer = SummaryWriter(str(where), purge_step=self.start)

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Collect values of one step, without waiting for the device.

        What is not finite is left out: one such step is skipped, not the end of a run.
        """
        for name, value in values.items():
            seen: Tensor | float
            if isinstance(value, Tensor):
                value = value.detach().float()
                seen = value.isfinite().float()
                value = value.nan_to_num(0.0, 0.0, 0.0)
            else:
                seen = float(math.isfinite(value))
                value = value if seen else 0.0
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0.0) + seen

    def show(self, what: str, done: float, total: float, detail: str = "") -> None:
        """Say how far a part of the run is, as `progress.Reporter` does."""
        if not self.first:
            return
        if self.reporter is None or self.reporter.what != what:
            self.hide()
            self.reporter = Reporter(what, Console(stderr=True), logger.info)
        self.reporter.tell(done, total, detail)

    def hide(self) -> None:
        """Take the bar away."""
        if self.reporter is not None:
            self.reporter.close()
            self.reporter = None

    def write(self, step: int, elapsed_s: float) -> None:
        """Write the means since the last call.

        Raises:
            SynBTError: If one of them was finite in no step.
        """
        seen = {name: float(count) for name, count in self.counts.items()}
        means = {
            name: float(total) / seen[name] if seen[name] else math.nan
            for name, total in self.sums.items()
        }
        self.sums, self.counts = {}, {}
        if not all(math.isfinite(value) for value in means.values()):
            raise SynBTError(
                f"A loss of {self.name} is not finite at step {step}: {means}. Continue from the "
                f"last checkpoint with --resume and a smaller learning rate or precision 32-true."
            )
        if not self.first:
            return
        line = {"step": step, "elapsed_s": round(elapsed_s, 2), **means}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if self.writer is not None:
            for name, value in means.items():
                self.writer.add_scalar(f"{self.name}/{name}", value, step)
        text = " ".join(f"{name} {value:.4g}" for name, value in means.items())
        logger.info("%s step %d, %.0f s: %s", self.name, step, elapsed_s, text)

    def close(self) -> None:
        """Stop writing."""
        if self.writer is not None:
            self.writer.close()
        self.hide()


def _step_of(line: str) -> float:
    """The step of a line; infinite for one that a kill cut short."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
