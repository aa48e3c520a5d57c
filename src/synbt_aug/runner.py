"""Paint what was decided: the only loop over several things, several hosts, attempts and failures.

Things go into their host one after the other, since a later window may show an earlier tumor;
those of different hosts go through the networks together. What is painted goes on and what is left
is still tried, whatever failed before it.

A thing that may not stand is left out on the device, so that nothing has to be read back. Who
paints single volumes asks for further attempts with other noise, and waits for each verdict.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from synbt_aug.decide.footing import settled
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import LeftOut, Plan
from synbt_aug.errors import FAILURES, failure_reason
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.paint.together import batches, joined, laid_out
from synbt_aug.paint.verdict import Complaint, Verdict
from synbt_aug.support.graphs import Runs, launch_by_launch
from synbt_aug.texture.job import Texture
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.tumor.stretched_signal import signal_for
from synbt_aug.volume import Synthesis, unchanged
from synbt_aug.write import Mark, Written, paint_and_write

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Painter:
    """What paints plans.

    Args:
        texture: Paints tumors, null paints and removals.
        benign: Paints distractors.
        bank: The bank of the tumors whose signal a texture pastes.
        device: Where the textures work; hosts stay where they are.
        runs: How the launches of writing are made; textures have their own.
    """

    texture: Texture
    benign: Texture
    bank: TumorBank
    device: torch.device
    runs: Runs = launch_by_launch

    def ready(self, plan: Plan) -> Plan:
        """The plan with a real tumor's signal, where the texture pastes it."""
        if not self.texture.needs_signal or plan.recipe.kind != "tumor":
            return plan
        margin = self.texture.hole_margin_mm
        recipe, signal = signal_for(plan.recipe, plan.distance, self.bank, margin)
        return replace(plan, recipe=recipe, signal=signal)

    def paint(self, hosts: Sequence[Host], plans: Sequence[Plan]) -> Written:
        """Paint things of one texture, whose windows are to be painted in one shape."""
        texture = self.benign if plans[0].recipe.kind == "distractor" else self.texture
        windows = Cut.of(hosts, [laid_out(plan) for plan in plans])
        return paint_and_write(windows, texture, self.device, self.runs)


@dataclass(frozen=True)
class Fate:
    """What became of one thing that was painted; holds no image, and can be kept for an epoch.

    Args:
        kind: What it is, as in a recipe.
        satellite: As in its plan.
        contrast_was_asked: Likewise.
        verdict: Of its batch.
        row: Its row there.
        waits_for: Things of which one must stand for it to be put there; None: it comes alone.
    """

    kind: str
    satellite: bool
    contrast_was_asked: bool
    verdict: Verdict
    row: int
    waits_for: tuple[Fate, ...] | None = None

    @property
    def stands(self) -> Tensor:
        """Whether it is there, boolean, one element, on its device."""
        own = self.verdict.stands[self.row]
        if self.waits_for is None:
            return own
        if not self.waits_for:
            return torch.zeros_like(own)
        return own & torch.stack([one.stands.to(own.device) for one in self.waits_for]).any()

    @property
    def was_due(self) -> bool:
        """Whether what it comes beside is there. Waits for the device."""
        return self.waits_for is None or any(one.reason is None for one in self.waits_for)

    @property
    def complaint(self) -> Complaint | None:
        """Why it may not stand, whatever it comes beside. Waits for the device."""
        return self.verdict.complaint(self.row, self.kind, self.contrast_was_asked)

    @property
    def reason(self) -> str | None:
        """Why it is not there; None where it is. Waits for the device."""
        if not self.was_due:
            return "what it comes beside was not painted"
        return None if (complaint := self.complaint) is None else complaint.reason


@dataclass(frozen=True)
class Tried:
    """One thing that was painted.

    Args:
        plan: What it is; of the last attempt.
        mark: Where it is in its host; nowhere, where it may not stand.
        fate: What became of it.
    """

    plan: Plan
    mark: Mark
    fate: Fate

    @property
    def reason(self) -> str | None:
        """As its fate's."""
        return self.fate.reason


@dataclass
class Series:
    """What was decided for one host, and what became of it.

    Args:
        host: As it is before the first.
        decided: Plans, and what was left out while deciding, in order.
        ground: Of the host; needed where plans may be settled anew, once another was left out.

    Attributes:
        first: The host as it was before anything was painted.
        host: The host as it is now.
        done: What became of each thing so far.
    """

    host: Host
    decided: Sequence[Plan | LeftOut]
    ground: Ground | None = None
    first: Host = field(init=False)
    done: list[Tried | LeftOut] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.first = self.host
        self._only_distractors = all(_kind(one) == "distractor" for one in self.decided)

    @property
    def tried(self) -> list[Tried]:
        """What was painted, whether or not it may stand."""
        return [one for one in self.done if isinstance(one, Tried)]

    def upcoming(self) -> Plan | None:
        """What to paint next; None at the end. Takes down what was left out before it."""
        while len(self.done) < len(self.decided):
            following = self.decided[len(self.done)]
            if isinstance(following, Plan):
                return following
            self.done.append(following)
        return None

    def needs(self, plan: Plan) -> tuple[Fate, ...] | None:
        """What must stand for a plan to be put there; None: it comes alone."""
        if plan.recipe.kind == "distractor":
            return None if self._only_distractors else tuple(one.fate for one in self.tried)
        if plan.satellite:
            # Of its own group: the last thing that is no satellite; it may have failed.
            at = max(k for k, one in enumerate(self.decided[: len(self.done)]) if not _follows(one))
            largest = self.done[at]
            return (largest.fate,) if isinstance(largest, Tried) else ()
        return None

    def record(self, one: Tried | LeftOut, image: Tensor | None) -> None:
        """Take down what became of `upcoming`, and go on to the next.

        Args:
            one: What became of it.
            image: The host's image since then; None: as it was.
        """
        self.done.append(one)
        if image is not None:
            self.host = self.host.holding(image)

    def resettled(self, plan: Plan) -> Plan:
        """A plan, free of those before it that were left out. Waits for the device."""
        absent = [one for one in self.done if isinstance(one, LeftOut) or one.reason is not None]
        if self.ground is None or not absent or plan.free is None:
            return plan
        ground = self.ground
        for one in self.tried:
            if one.reason is None:
                ground = ground.holding(one.plan)
        return settled(plan, ground)

    def fates(self) -> list[Fate | LeftOut]:
        """What became of each thing, without its images."""
        return [one.fate if isinstance(one, Tried) else one for one in self.done]

    def results(self) -> list[Synthesis]:
        """One synthesis for each thing; all hold the host's newest image. Waits for the device."""
        image = self.host.volume.image
        found = []
        for one in self.done:
            if isinstance(one, LeftOut):
                found.append(unchanged(image, one.reason))
            elif (reason := one.reason) is not None:
                if one.fate.was_due:
                    found.append(unchanged(image, reason))
            else:
                recipe = {"tumors": [one.plan.recipe.to_dict()]}
                found.append(replace(one.mark.on(image), recipe=recipe))
        return found


def run(painter: Painter, running: Sequence[Series], *, attempts: bool) -> None:
    """Paint into all hosts what was decided for them.

    Args:
        painter: What paints.
        running: One series a host; they are brought to their end.
        attempts: Whether what may not stand is tried again with the plan's spare seeds. Each
            verdict is waited for then.
    """
    while now := [(one, plan) for one in running if (plan := one.upcoming()) is not None]:
        if attempts:
            now = [(one, one.resettled(plan)) for one, plan in now]
        for (one, _), done in zip(now, _round(painter, now, attempts=attempts), strict=True):
            one.record(*done)


#: What became of a thing, and its host's image since then; None: as it was.
_Done = tuple[Tried | LeftOut, Tensor | None]


def _round(painter: Painter, now: Sequence[tuple[Series, Plan]], *, attempts: bool) -> list[_Done]:
    """One thing into each of several hosts."""
    done: dict[int, _Done] = {}
    waiting: dict[int, Plan] = {}
    for k, (_, plan) in enumerate(now):
        try:
            waiting[k] = painter.ready(plan)
        except FAILURES as error:
            done[k] = _failed(plan, error)
    while waiting:
        for group in list(batches([one.host for one, _ in now], waiting, painter.device)):
            series = [now[k][0] for k in group]
            painted = _painted(painter, series, [waiting.pop(k) for k in group])
            for k, (one, image) in zip(group, painted, strict=True):
                done[k] = one, image
                if attempts and isinstance(one, Tried) and one.reason is not None:
                    # Who waits for verdicts gets the host itself back, not a copy.
                    done[k] = one, None
                    if (again := _another(one)) is not None:
                        waiting[k] = again
    return [done[k] for k in range(len(now))]


def _painted(painter: Painter, series: Sequence[Series], plans: Sequence[Plan]) -> list[_Done]:
    """Paint all at once; where that fails, one by one, so that one failure costs one."""
    plans = joined(plans)
    try:
        written = painter.paint([one.host for one in series], plans)
        return [_tried(written, k, plan, series[k].needs(plan)) for k, plan in enumerate(plans)]
    except FAILURES as error:
        if len(plans) == 1:
            return [_failed(plans[0], error)]
        logger.debug("a batch of %d failed, going on one by one: %s", len(plans), error)
    return [done for one, plan in zip(series, plans) for done in _painted(painter, [one], [plan])]


def _tried(written: Written, k: int, plan: Plan, needs: tuple[Fate, ...] | None) -> _Done:
    asked = plan.contrast_was_asked
    fate = Fate(plan.recipe.kind, plan.satellite, asked, written.verdict, k, needs)
    stands = fate.stands
    return Tried(plan, written.mark(k, stands), fate), written.image(k, stands)


def _failed(plan: Plan, error: Exception) -> _Done:
    return LeftOut(failure_reason(error), plan.recipe.kind, plan.satellite, error), None


def _another(one: Tried) -> Plan | None:
    """The next attempt at a thing that may not stand."""
    complaint = one.fate.complaint if one.fate.was_due else None
    return one.plan.retry() if complaint is not None and complaint.noise_may_help else None


def _kind(one: Plan | LeftOut) -> str:
    return one.recipe.kind if isinstance(one, Plan) else one.kind


def _follows(one: Plan | LeftOut) -> bool:
    return one.satellite or _kind(one) == "distractor"
