"""What became of an epoch's samples: the share that was asked for, the share that was met, and why.

Also the warning of a training's first epochs, with what helps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from synbt_aug.sample_plans import REAL_TUMOR

#: Reasons of the nnU-Net adapter itself.
NO_REFERENCES = "case without intensity references"
OUT_OF_MEMORY = "out of memory"

#: What may be painted into a sample, as `SynBTInjector.counts` calls it and as the log does.
_THINGS = {
    "injected": "tumors",
    "null": "null paints",
    "satellite": "satellites",
    "distractor": "distractors",
}

#: The first epochs of a training, and the draws that make a share worth a warning.
_FIRST_EPOCHS = 3
_MIN_DRAWN = 10

#: What helps against the reason that is most frequent, by how it begins.
_REMEDIES = {
    "no room": "the patches show too little tissue for such tumors: ask for smaller ones "
    "(SYNBT_DIAMETER_MM=6:15), or plan larger patches",
    "no site": "the patches show too little breast tissue: plan larger patches, or say where "
    "tumors may go (SYNBT_ROI_LABELS)",
    REAL_TUMOR: "samples with a real tumor are left alone: unset only_tumor_free, or raise "
    "probability",
    "not visible enough": "what is painted does not show: see the line `SynBT fit`, or ask for "
    "more contrast (SYNBT_ENHANCEMENT=0.6:1.6)",
    "no free voxel": "tumors lie on labels that they may not replace: set SYNBT_PAINT_OVER",
    OUT_OF_MEMORY: "the generator does not fit: SYNBT_GENERATOR_DEVICE=cpu, or "
    "SYNBT_PRECISION=bf16",
    NO_REFERENCES: "these cases have no usable signal in both channels: the log names them above",
}


@dataclass
class EpochCounts:
    """Of an epoch's samples.

    Args:
        samples: All.
        drawn: Those that chance chose for an injection.
        painted: Those that something was painted into.
        passed_on: Those of them that chance had not chosen: they took the turn of a drawn one
            that nothing could be painted into.
        why: Drawn samples that nothing could be painted into, by reason.
        things: What was painted, as `SynBTInjector.counts` calls it.
    """

    samples: int = 0
    drawn: int = 0
    painted: int = 0
    passed_on: int = 0
    why: Counter[str] = field(default_factory=Counter)
    things: Counter[str] = field(default_factory=Counter)

    def take(self, counts: Mapping[str, int]) -> None:
        """Add what an injector painted."""
        self.things.update({name: n for name, n in counts.items() if name in _THINGS})

    @classmethod
    def sum(cls, parts: Iterable[EpochCounts]) -> EpochCounts:
        """Of several processes together."""
        total = cls()
        for part in parts:
            total.samples += part.samples
            total.drawn += part.drawn
            total.painted += part.painted
            total.passed_on += part.passed_on
            total.why += part.why
            total.things += part.things
        return total

    def line(self, asked: float, milliseconds: Mapping[str, float]) -> str:
        """The epoch's line for the log.

        Args:
            asked: The share of samples to inject into.
            milliseconds: Mean time an iteration, by what took it.
        """
        share = self.painted / self.samples if self.samples else 0.0
        said = (
            f"SynBT: painted {self.painted} of {self.samples} samples, {share:.0%} (asked for "
            f"{asked:.0%}, drawn {self.drawn})"
        )
        if self.passed_on:
            said += f", {self.passed_on} of them in another's turn"
        if self.why:
            said += f"; could not be painted: {_listed(self.why)}"
        if things := [f"{n} {_THINGS[name]}" for name, n in self.things.most_common()]:
            said += f"; {', '.join(things)}"
        times = " + ".join(f"{name} {ms:.0f} ms" for name, ms in milliseconds.items())
        return f"{said}; {times} an iteration"


class ShareWatch:
    """Looks at a training's first epochs: is at least half of what was drawn painted?"""

    def __init__(self) -> None:
        self._epochs = 0
        self._seen = EpochCounts()

    def warning(self, counts: EpochCounts) -> str | None:
        """Take in an epoch.

        Returns:
            A warning with what helps, at most once, where under half was painted; else None.
        """
        self._epochs += 1
        self._seen = EpochCounts.sum([self._seen, counts])
        seen = self._seen
        if self._epochs > _FIRST_EPOCHS or seen.drawn < _MIN_DRAWN:
            return None
        if 2 * seen.painted >= seen.drawn:
            return None
        self._epochs = _FIRST_EPOCHS
        return (
            f"WARNING: SynBT painted {seen.painted} of the {seen.drawn} samples that were drawn "
            f"for it, under half of what was asked ({_listed(seen.why)}). {_remedy(seen.why)}"
        )


def _listed(why: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in why.most_common())


def _remedy(why: Counter[str]) -> str:
    for reason, _ in why.most_common():
        for begin, remedy in _REMEDIES.items():
            if reason.startswith(begin):
                return f"Of the most frequent reason: {remedy}."
    return "Try the same weights on a few cases: synbt doctor DATASET."
