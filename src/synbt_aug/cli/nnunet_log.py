"""What nnU-Net's training log says: losses, pseudo Dice, and what was injected.

Read as text: the checkpoint holds the curves too, but as a pickle.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from dataclasses import dataclass, field

_EPOCH = re.compile(r": Epoch (\d+)\s*$")
_LOSS = re.compile(r": (train|val)_loss (\S+)")
_DICE = re.compile(r": Pseudo dice \[(.*)\]")
# 0.5, or np.float32(0.5) as NumPy 2 prints it; nan where no voxel was tumor.
_NUMBER = re.compile(r"(?<![\w.])(?:nan|-?\d+(?:\.\d+)?(?:e-?\d+)?)(?![\w.])")
_INJECTED = re.compile(
    r"SynBT: painted (?P<painted>\d+) of (?P<samples>\d+) samples, \d+% "
    r"\(asked for \d+%, drawn (?P<drawn>\d+)\)(?:, \d+ of them in another's turn)?"
    r"(?:; could not be painted: (?P<why>[^;]*))?(?:; (?P<things>[^;]*))?; "
    r"injection (?P<injection>\d+) ms \+ augmentation (?P<augmentation>\d+) ms"
)
_FIT = re.compile(r"(SynBT fit: .*)")


@dataclass
class TrainingCurves:
    """One training.

    Args:
        epochs: Begun so far.
        train_loss: By epoch.
        val_loss: By epoch.
        dice: nnU-Net's pseudo Dice, the mean over labels, by epoch.
        samples: All that were trained on.
        drawn: Those that chance chose for an injection.
        painted: Those that something was painted into.
        things: What was painted: "tumors", "null paints", ...
        skipped: Samples that were drawn, but could not be painted, by reason.
        injection_ms: Mean time of an iteration's injection, by epoch.
        augmentation_ms: Likewise of nnU-Net's own augmentation.
        fit: The line with the verdict on the weights; None where it was not asked for.
    """

    epochs: int = 0
    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    dice: list[float] = field(default_factory=list)
    samples: int = 0
    drawn: int = 0
    painted: int = 0
    things: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    injection_ms: list[float] = field(default_factory=list)
    augmentation_ms: list[float] = field(default_factory=list)
    fit: str | None = None

    def read(self, line: str) -> None:
        """Take in a line; those that say nothing of these are passed over."""
        if found := _EPOCH.search(line):
            self.epochs = int(found[1]) + 1
        elif found := _LOSS.search(line):
            (self.train_loss if found[1] == "train" else self.val_loss).append(_number(found[2]))
        elif found := _DICE.search(line):
            labels = [v for n in _NUMBER.findall(found[1].replace("np.float32", "")) if
                      math.isfinite(v := float(n))]  # fmt: skip
            self.dice.append(statistics.fmean(labels) if labels else math.nan)
        elif found := _INJECTED.search(line):
            self.samples += int(found["samples"])
            self.drawn += int(found["drawn"])
            self.painted += int(found["painted"])
            for reason in (found["why"] or "").split(", ") if found["why"] else ():
                name, _, count = reason.rpartition(" ")
                self.skipped[name] += int(count)
            for thing in (found["things"] or "").split(", ") if found["things"] else ():
                count, _, name = thing.partition(" ")
                self.things[name] += int(count)
            self.injection_ms.append(float(found["injection"]))
            self.augmentation_ms.append(float(found["augmentation"]))
        elif found := _FIT.search(line):
            self.fit = found[1].strip()


def read_curves(log: str) -> TrainingCurves:
    """The curves of a whole log."""
    curves = TrainingCurves()
    for line in log.splitlines():
        curves.read(line)
    return curves


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
