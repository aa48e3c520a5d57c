"""The third of training that every network shares.

A run has limits (steps, seconds, or both), a folder, and parts with a `state_dict`.
It yields step numbers, saves checkpoints that are whole or absent, ends cleanly on
Ctrl-C and SIGTERM, resumes exactly, and logs losses to a JSON-lines file and to
TensorBoard. Losses, networks and data are the caller's.

Randomness comes from `TrainingRun.generator`, a function of seed, rank and step:
nothing global is seeded, and a resumed run draws what the uninterrupted one would.
"""

from __future__ import annotations

import json
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.files import written_whole
from synbt_aug.training_log import TrainingLog

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
    if on_cpu:
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        fast = any(getattr(torch.cpu, check, lambda: False)() for check in checks)
    else:
        fast = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bf16-mixed" if fast else "32-true"


def learning_rate(
    base: float,
    step: int,
    progress: float,
    *,
    warmup_steps: int = 100,
    decay_from: float = 0.55,
    floor: float = 0.03,
) -> float:
    """Linear warm-up, a plateau, then a half cosine that ends with the run.

    Args:
        base: Rate of the plateau.
        step: Steps done.
        progress: Share of the run that is over, in [0, 1].
        warmup_steps: Steps until the plateau.
        decay_from: Progress where the cosine starts; 1 for never.
        floor: Smallest share of `base`.
    """
    rate = base * min(1.0, (step + 1) / max(warmup_steps, 1))
    if progress > decay_from:
        phase = (progress - decay_from) / (1 - decay_from)
        rate *= max(floor, 0.5 * (1 + math.cos(math.pi * min(phase, 1.0))))
    return rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def descend(
    fabric: Fabric,
    loss: Tensor,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    max_norm: float = 1.0,
) -> bool:
    """One step down, with clipped gradients; none where they are not finite.

    Args:
        fabric: From `make_fabric`.
        loss: A scalar.
        network: Set up by `fabric`.
        optimizer: Set up by `fabric`.
        max_norm: Largest length of the gradient.

    Returns:
        Whether a step was made.
    """
    optimizer.zero_grad(set_to_none=True)
    fabric.backward(loss)
    norm = fabric.clip_gradients(network, optimizer, max_norm=max_norm, error_if_nonfinite=False)
    made = bool(torch.isfinite(norm)) if norm is not None else True
    if made:
        optimizer.step()
    return made


class AveragedWeights:
    """A running average of a network's parameters, warmed up over the first steps.

    Args:
        module: Network to follow.
        decay: Share kept a step; starts lower, as (1 + n) / (10 + n).
    """

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        self.decay, self.updates = decay, 0
        self.values = [p.detach().clone() for p in module.parameters()]

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module's parameters."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        new = [p.detach() for p in module.parameters()]
        torch._foreach_lerp_(self.values, new, 1 - decay)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Write the average into a module of the same shape."""
        for parameter, value in zip(module.parameters(), self.values, strict=True):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The average and how many steps it saw."""
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.updates = int(state["updates"])
        for value, saved in zip(self.values, state["values"], strict=True):
            value.copy_(saved)


class TrainingRun:
    """One training run in one folder; iterate over it inside a `with`.

    Files, with `name` in front: `.checkpoint.pt`, `.log.jsonl`, and `tensorboard/`.

    Args:
        fabric: From `make_fabric`.
        output_dir: Folder of the run.
        name: Of this stage.
        parts: What a checkpoint holds: networks, optimizers, averages.
        settings: Plain values that a resumed run must share.
        max_steps: Steps in all, or None.
        max_time_s: Seconds in all, counted over resumptions, or None.
        seed: Of `generator`.
        resume: Continue from the checkpoint, if there is one.
        save_every_s: Seconds between checkpoints.
        log_every: Steps averaged for one line of the log.
        on_save: Called on the first rank beside every checkpoint.
        tensorboard: Whether to write for TensorBoard, where it is installed.

    Raises:
        SynBTError: If there is no limit, if the folder holds a run and `resume` is
            False, or if that run had other settings.
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
        self.save_every_s, self.log_every, self.on_save = save_every_s, log_every, on_save
        self.checkpoint_path = checkpoint_path(output_dir, name)
        self.step, self.progress, self.stopped_by = 0, 0.0, ""
        self._elapsed_before, self._started = 0.0, time.monotonic()
        self._generator: tuple[int, torch.Generator] | None = None
        refuse_other_run(output_dir, name, resume)
        if self.checkpoint_path.exists():
            self._load()
        self._log = TrainingLog(output_dir, name, self.step, fabric.is_global_zero, tensorboard)

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, earlier parts of a resumed run included."""
        return self._elapsed_before + time.monotonic() - self._started

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
            with written_whole(self.checkpoint_path) as unfinished:
                torch.save(state, unfinished)
            if self.on_save is not None:
                self.on_save(self)
        self._saved_at = time.monotonic()

    def _load(self) -> None:
        state = torch.load(self.checkpoint_path, map_location="cpu", weights_only=True)
        before = json.loads(state["settings"])
        if before != self.settings:
            names = sorted(before.keys() | self.settings.keys())
            other = [n for n in names if before.get(n) != self.settings.get(n)]
            raise SynBTError(
                f"{self.checkpoint_path} was made with other settings ({', '.join(other)}). "
                f"Resume with the same ones, or choose another folder."
            )
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.step, self._elapsed_before = int(state["step"]), float(state["elapsed_s"])
        logger.info("%s continues from step %d, %.0f s", self.name, self.step, self.elapsed_s)

    def __enter__(self) -> TrainingRun:
        self._started = self._saved_at = time.monotonic()
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
        if kind is None:
            self.save()
        self._log.close()

    def __iter__(self) -> Iterator[int]:
        while True:
            self.progress, self.stopped_by = self._where()
            self._log.show(self.progress)
            if self.progress >= 1.0 or self.stopped_by:
                break
            yield self.step
            self.step += 1
            if self.step % self.log_every == 0:
                self._log.write(self.step, self.elapsed_s)
            if time.monotonic() - self._saved_at >= self.save_every_s:
                self.save()
        if self.stopped_by:
            logger.warning("%s stopped by %s at step %d", self.name, self.stopped_by, self.step)

    def _where(self) -> tuple[float, str]:
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
            raise KeyboardInterrupt
        self.stopped_by = signal.Signals(number).name


def checkpoint_path(output_dir: Path, name: str) -> Path:
    """Where the run of this name keeps its checkpoint."""
    return output_dir / f"{name}.checkpoint.pt"


def refuse_other_run(output_dir: Path, name: str, resume: bool) -> None:
    """See that a run may start in a folder, before data is read for nothing.

    Raises:
        SynBTError: If it holds a run and `resume` is False.
    """
    path = checkpoint_path(output_dir, name)
    if path.exists() and not resume:
        raise SynBTError(
            f"{output_dir} already holds a run ({path.name}). "
            f"Continue it with --resume, or choose another folder."
        )


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
