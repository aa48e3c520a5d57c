"""The third of training that every network shares.

A run has limits (steps, seconds, or both), a folder of its own, and parts with a
`state_dict`. It yields step numbers, saves checkpoints, ends by an exception after
Ctrl-C and SIGTERM, resumes exactly, and logs losses to a JSON-lines file and to
TensorBoard. Losses, networks and data are the caller's.

Randomness comes from `TrainingRun.generator`, a function of seed, rank and step:
nothing global is seeded, and a resumed run draws what the uninterrupted one would.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from synbt_aug.errors import ExtraMissingError, SynBTError, first_line
from synbt_aug.loop.checkpoint import load_checkpoint, save_checkpoint
from synbt_aug.loop.training_log import TrainingLog
from synbt_aug.support.device import multiplies_bfloat16
from synbt_aug.support.folder_lock import FolderLock
from synbt_aug.support.interruption import SIGNALS, Interrupted
from synbt_aug.support.progress import clock

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """Anything a checkpoint can hold."""

    def state_dict(self) -> Mapping[str, Any]:
        """Tensors and plain values."""
        ...

    def load_state_dict(self, state: Any) -> Any:
        """Take them back."""
        ...


def make_fabric(
    *,
    devices: int = 1,
    num_nodes: int = 1,
    precision: str | None = None,
    accelerator: str = "auto",
) -> Fabric:
    """Set up and launch Lightning Fabric.

    Args:
        devices: Devices a node.
        num_nodes: Nodes.
        precision: As Fabric names it; None picks mixed bfloat16 where the hardware
            has it (on a CPU with avx512_bf16 a step takes a third of the time).
        accelerator: As Fabric names it.

    Raises:
        ExtraMissingError: If lightning-fabric is not installed.
    """
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise ExtraMissingError("Training", "train", "lightning-fabric") from error
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available())
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        precision=precision or best_precision(on_cpu),  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def best_precision(on_cpu: bool) -> str:
    """Mixed bfloat16 where the hardware multiplies it, else float32."""
    device = torch.device("cpu" if on_cpu else "cuda")
    return "bf16-mixed" if multiplies_bfloat16(device) else "32-true"


class TrainingRun:
    """One training run in one folder; iterate over it inside a `with`.

    Files, with `name` in front: `.checkpoint.pt`, `.log.jsonl`, and `tensorboard/`. A lock
    keeps other trainings out of the folder.

    Args:
        fabric: From `make_fabric`.
        output_dir: Folder of the run.
        name: Of this stage.
        parts: What a checkpoint holds: networks, optimizers, averages.
        settings: Plain values that a resumed run must share, what it learns from among them.
        max_steps: Steps in all, or None.
        max_time_s: Seconds of steps in all, counted over resumptions, or None. What is
            done before the first step does not count.
        min_steps: Fewer do not make weights: `on_save` is not called, and a run that
            ends before is an error.
        seed: Of `generator`.
        resume: Continue from the checkpoint.
        save_every_s: Seconds between checkpoints.
        log_every: Steps averaged for one line of the log.
        on_save: Called on the first rank beside every checkpoint.
        tensorboard: Whether to write for TensorBoard, where it is installed.

    Raises:
        SynBTError: If there is no limit; if the folder holds a run and `resume` is False,
            or none and it is True; if that run had other settings, or its checkpoint is
            damaged; or if another process trains there. In the loop: if the time ends
            before `min_steps`, or a checkpoint cannot be written.
        Interrupted: In the loop, after Ctrl-C or SIGTERM, when the checkpoint is written.
    """

    def __init__(
        self,
        fabric: Fabric,
        output_dir: Path,
        *,
        name: str,
        parts: Mapping[str, Stateful],
        settings: Mapping[str, Any],
        max_steps: int | None = None,
        max_time_s: float | None = None,
        min_steps: int = 1,
        seed: int = 0,
        resume: bool = False,
        save_every_s: float = 300.0,
        log_every: int = 50,
        on_save: Callable[[TrainingRun], None] | None = None,
        tensorboard: bool = True,
    ) -> None:
        if max_steps is None and max_time_s is None:
            raise SynBTError("A training run needs an end: give max_steps, max_time_s or both.")
        self.fabric, self.name, self.parts = fabric, name, parts
        self.settings: dict[str, Any] = json.loads(json.dumps(dict(settings)))
        self.max_steps, self.max_time_s, self.seed = max_steps, max_time_s, seed
        self.min_steps = min(min_steps, max_steps if max_steps is not None else min_steps)
        self.save_every_s, self.log_every, self.on_save = save_every_s, log_every, on_save
        self.checkpoint_path = checkpoint_path(output_dir, name)
        self.step, self.progress, self.stopped_by = 0, 0.0, 0
        self._elapsed_before = 0.0
        self._started: float | None = None
        self._ended = False
        self._first_step, self._saved_at = -1, time.monotonic()
        self._generator: tuple[int, torch.Generator] | None = None
        refuse_other_run(output_dir, name, resume)
        self._lock = FolderLock(output_dir) if fabric.is_global_zero else None
        try:
            if self._lock is not None:
                for left in output_dir.glob(".*-unfinished-*"):  # by a run that was killed
                    left.unlink(missing_ok=True)
            if resume:
                self._load()
        except BaseException:
            self._release()
            raise
        self._log = TrainingLog(output_dir, name, self.step, fabric.is_global_zero, tensorboard)

    @property
    def elapsed_s(self) -> float:
        """Seconds of steps so far, earlier parts of a resumed run included."""
        here = 0.0 if self._started is None else time.monotonic() - self._started
        return self._elapsed_before + here

    @property
    def finished(self) -> bool:
        """Whether the limits were reached, rather than a signal."""
        return self.progress >= 1.0

    def generator(self) -> torch.Generator:
        """The CPU generator of this step and rank; the same object within a step."""
        if self._generator is None or self._generator[0] != self.step:
            made = seeded_generator(self.seed, self.fabric.global_rank, self.step)
            self._generator = (self.step, made)
        return self._generator[1]

    def prepare(self, what: str, work: Iterable[object], total: int) -> None:
        """Do what must be done before the first step; it does not count as time.

        Args:
            what: The work, in a few words.
            work: Does a piece of it each time it is asked for the next one.
            total: How many pieces.

        Raises:
            Interrupted: Between two pieces, after Ctrl-C or SIGTERM.
        """
        self._log.show(f"{self.name}: {what}", 0, total)
        for done, _ in enumerate(work, 1):
            self._log.show(f"{self.name}: {what}", done, total)
            if self.stopped_by:
                raise Interrupted(self.stopped_by, f"{self.name}, {what},")
        self._log.hide()

    def log(self, **values: Tensor | float) -> None:
        """Note values of this step; their means are written every `log_every` steps."""
        self._log.add(values)

    def save(self) -> None:
        """Write the checkpoint now."""
        if self.fabric.is_global_zero:
            state = {
                "step": self.step,
                "elapsed_s": self.elapsed_s,
                "settings": json.dumps(self.settings),
                "parts": {name: part.state_dict() for name, part in self.parts.items()},
            }
            save_checkpoint(self.checkpoint_path, state)
            if self.on_save is not None and self.step >= self.min_steps:
                self.on_save(self)
        self._saved_at = time.monotonic()

    def _load(self) -> None:
        state = load_checkpoint(self.checkpoint_path)
        if told := differences(json.loads(state["settings"]), self.settings):
            raise SynBTError(
                f"{self.checkpoint_path} was made with other settings ({'; '.join(told)}). "
                f"Resume with the same ones, or choose another folder."
            )
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise SynBTError(
                f"{self.checkpoint_path} does not fit this training ({first_line(error)}). Choose "
                f"another folder."
            ) from error
        self.step = self._first_step = int(state["step"])
        self._elapsed_before = float(state["elapsed_s"])
        logger.info("%s continues from step %d, %s", self.name, self.step, clock(self.elapsed_s))

    def __enter__(self) -> TrainingRun:
        self._handlers: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._handlers[number] = signal.signal(number, self._on_signal)
        self._log.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        try:
            if kind is None and not self._ended:  # the caller left the loop
                self._save_steps()
        finally:
            self._log.close()
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def __iter__(self) -> Iterator[int]:
        self._started = self._saved_at = time.monotonic()
        while True:
            self.progress, self.stopped_by = self._where()
            self._log.show(self.name, self.progress, 1.0, f"step {self.step}")
            if self.progress >= 1.0 or self.stopped_by:
                break
            yield self.step
            self.step += 1
            if self.step % self.log_every == 0:
                self._log.write(self.step, self.elapsed_s)
            if time.monotonic() - self._saved_at >= self.save_every_s:
                self.save()
        self._ended = True
        self._save_steps()
        steps = "1 step" if self.step == 1 else f"{self.step} steps"
        told = f"{self.name}: {steps} in {clock(self.elapsed_s)}"
        if not self.finished:
            logger.warning("%s, then stopped", told)
            raise Interrupted(self.stopped_by, self.name)
        if self.step < self.min_steps:
            raise SynBTError(
                f"{told}, fewer than the {self.min_steps} that make weights. The checkpoint is "
                f"kept: go on with --resume and a longer --max-time."
            )
        logger.info("%s", told)

    def _save_steps(self) -> None:
        """Write the checkpoint, unless no step was made since it was read."""
        if self.step != self._first_step:
            self.save()

    def _where(self) -> tuple[float, int]:
        """Progress in [0, 1], and the signal that asks to stop; the first rank decides."""
        shares = [
            done / limit if limit > 0 else 1.0
            for done, limit in ((self.step, self.max_steps), (self.elapsed_s, self.max_time_s))
            if limit is not None
        ]
        here = (min(max(shares), 1.0), self.stopped_by)
        return self.fabric.broadcast(here) if self.fabric.world_size > 1 else here

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stopped_by:  # asked twice: do not wait for the end of the step
            raise Interrupted(number, self.name)
        self.stopped_by = number


def checkpoint_path(output_dir: Path, name: str) -> Path:
    """Where the run of this name keeps its checkpoint."""
    return output_dir / f"{name}.checkpoint.pt"


def refuse_other_run(output_dir: Path, name: str, resume: bool) -> None:
    """See that a run may start in a folder, before data is read for nothing.

    Raises:
        SynBTError: If it holds a run and `resume` is False, or none and it is True.
    """
    path = checkpoint_path(output_dir, name)
    if path.exists() and not resume:
        raise SynBTError(
            f"{output_dir} already holds a run ({path.name}). "
            f"Continue it with --resume, or choose another folder."
        )
    if resume and not path.exists():
        raise SynBTError(
            f"{output_dir} holds no run to resume ({path.name} is missing). Leave --resume out to "
            f"start one, or name the folder of an earlier run with -o."
        )


def differences(before: Mapping[str, Any], now: Mapping[str, Any], within: str = "") -> list[str]:
    """Settings of two runs that are not the same, each in a few words.

    Args:
        before: Plain values as JSON gives them back.
        now: Likewise.
        within: Where these settings belong to, with a dot behind.
    """
    told = []
    for name in sorted(before.keys() | now.keys()):
        a, b = before.get(name), now.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            told += differences(a, b, f"{within}{name}.")
        elif a != b:
            short = all(isinstance(value, str | int | float | None) for value in (a, b))
            values = f" {a}, now {b}" if short and len(f"{a}{b}") < 40 else ""
            told.append(f"{within}{name}{values}")
    return told


def seeded_generator(*numbers: int) -> torch.Generator:
    """A CPU generator that is a function of some non-negative integers."""
    mixed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))


@contextmanager
def fresh_weights(seed: int) -> Iterator[None]:
    """Initial weights drawn inside are a function of `seed`; the global state comes back."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)
        yield
