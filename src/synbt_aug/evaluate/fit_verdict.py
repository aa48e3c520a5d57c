"""The verdict on weights and data: what was found, in a line, and what to type next."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any

from synbt_aug.evaluate.findings import (
    Finding,
    RealTumors,
    Repainted,
    TissueFit,
    named,
)
from synbt_aug.evaluate.limits import GOOD, POOR, UNDECIDED, worst

#: Fewer cases, or tumors, decide nothing: of two phantoms in a row both may be odd.
FEWEST_CASES = 3

#: Where the commands write to, beside where they are typed.
_CODEC, _FITTED = "fitted-codec", "fitted"


@dataclass(frozen=True)
class Fit:
    """How well weights fit data.

    Args:
        weights: Name of the weights.
        cases: Cases measured.
        unusable: "name: reason" of each case that could not be.
        tissue: Ordinary tissue, rebuilt.
        tumors: The data's own tumors; None where no case has one that can be painted again.
        repainted: The same painted again; None likewise.
        seconds: What it took.
        denoiser_steps: Steps that the denoiser was trained for; None: not known.
        dataset: The data's path, for commands.
        weights_path: The weights' path, or `shipped`, for commands.
        fold: Of nnU-Net: weights for it learn from its training cases alone; None: from all.
    """

    weights: str
    cases: int
    unusable: tuple[str, ...]
    tissue: TissueFit
    tumors: RealTumors | None
    repainted: Repainted | None
    seconds: float
    denoiser_steps: int | None = None
    dataset: str = "DATASET"
    weights_path: str = "WEIGHTS"
    fold: int | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Each thing looked at, with its verdict."""
        found: list[Finding] = []
        if self.denoiser_steps == 0:
            says = "the denoiser was trained for 0 steps"
            found.append(Finding("training", POOR, says, "0 steps", "denoiser", counted=False))
        found += [f.decided(self.cases >= FEWEST_CASES) for f in self.tissue.findings()]
        for part in (self.tumors, self.repainted):
            if part is not None:
                found += [f.decided(part.count >= FEWEST_CASES) for f in part.findings()]
        return tuple(found)

    @property
    def verdict(self) -> str:
        """Good, fair, poor, or undecided: the worst of the findings'."""
        return worst(finding.verdict for finding in self.findings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks for this verdict; none where it is good."""
        verdict = self.verdict
        return tuple(f.says for f in self.findings if f.verdict == verdict != GOOD)

    @property
    def commands(self) -> tuple[str, ...]:
        """What to type next, in order; none where typing mends nothing."""
        mend = {f.mend for f in self.findings if f.verdict not in (GOOD, UNDECIDED)}
        if not mend or "data" in mend or self.verdict == UNDECIDED:
            return ()
        data, weights = shlex.quote(self.dataset), shlex.quote(self.weights_path)
        source = f"--data {data}" + ("" if self.fold is None else f" --fold {self.fold}")
        typed, codec = [], weights
        if "autoencoder" in mend:
            codec = _CODEC
            typed.append(f"synbt train autoencoder --init {weights} {source} -o {codec}")
        denoiser = f"--init {weights} --autoencoder {codec} {source} -o {_FITTED}"
        typed.append(f"synbt train denoiser {denoiser}")
        typed.append(f"synbt doctor {data} --weights {weights} --weights {_FITTED}/weights")
        return tuple(typed)

    @property
    def advice(self) -> str | None:
        """What to do, in words; None where the fit is good."""
        if self.verdict == GOOD:
            return None
        if any(f.mend == "data" for f in self.findings if f.verdict not in (GOOD, UNDECIDED)):
            return "check that pre and post come in this order, and that the masks are theirs"
        if self.verdict == UNDECIDED:
            return f"a verdict needs tumors with masks in at least {FEWEST_CASES} cases"
        if self.verdict == POOR:
            return "fine-tune the weights and compare"
        return "usable; fine-tuned weights may fit better"

    def line(self) -> str:
        """The verdict in one line."""
        said = f"SynBT fit: {self.verdict} ({self._looked_at()}): "
        if self.verdict in (GOOD, UNDECIDED):
            # The figures that say most; the others are in `findings`.
            shown = [f.says for f in self.findings if f.what in ("tissue", "repainting")]
            if self.tumors is not None and self.tumors.swapped:
                shown.append(f"no brighter in post than in pre: {named(self.tumors.swapped)}")
        else:
            shown = list(self.reasons)
        said += "; ".join([*shown, *filter(None, [self.advice])])
        if self.commands:
            said += f": {', then '.join(f'`{command}`' for command in self.commands)}"
        if self.unusable:
            said += f"; {len(self.unusable)} not usable, such as {self.unusable[0]}"
        return said

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the verdict."""
        verdict = {"verdict": self.verdict, "reasons": list(self.reasons), "advice": self.advice}
        return verdict | {"commands": list(self.commands)} | asdict(self)

    def _looked_at(self) -> str:
        looked = f"{self.cases} case{'s' * (self.cases != 1)}"
        if self.repainted is None:
            return f"{looked}, no tumor painted again"
        count = self.repainted.count
        return f"{looked}, {count} tumor{'s' * (count != 1)} painted again"
