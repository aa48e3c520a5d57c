"""Can a network tell synthetic tumors from real ones? The classifier's group of figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from synbt_aug.evaluate.realism.classifier import Verdict, real_against_real, tell_apart
from synbt_aug.evaluate.realism.figures import TARGETS, Figure, Group, Target
from synbt_aug.evaluate.realism.sets import CONTROL, RealismSettings, Sets, Tell
from synbt_aug.evaluate.realism.windows import OTHER_TUMOR, Windows

#: Windows to learn from, and windows to be judged.
Pair = tuple[Windows, Windows]


def classified(
    training: Sets,
    test: Sets,
    shown: tuple[list[int], list[int]],
    settings: RealismSettings,
    names: list[str],
    device: torch.device | str,
    tell: Tell,
) -> Group:
    """Train and judge every classifier.

    Args:
        training: To learn from.
        test: To be judged.
        shown: Numbers of the real windows that show, of both.
        settings: Of the trainings.
        names: Of the generators; the first one is judged.
        device: Where networks run.
        tell: Told of the progress.
    """

    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: tell(f"classifier, {what}", done, total)

    def apart(what: str, real: Pair, painted: Pair) -> Verdict:
        return tell_apart(
            real[0],
            painted[0],
            real[1],
            painted[1],
            settings.classifier,
            device=device,
            on_step=told(what),
        )

    control = real_against_real(
        training.real, test.real, settings.classifier, device=device, on_step=told("real/real")
    )
    real, (judged, *others) = (training.real, test.real), names
    painted = {name: (training.synthetic[name], test.synthetic[name]) for name in names}
    figures = []
    raw = apart(judged, real, painted[judged])
    areas = {judged: raw.area.value}
    figures.append(_area(_raw(judged), raw, TARGETS["auc raw"]))
    if some := _that_show(real, shown):
        verdict = apart(f"{judged}, tumors that show", some, painted[judged])
        figures.append(_area(f"{_raw(judged)} that show", verdict, TARGETS["auc raw"]))
    if pairs := _in_place(training, test):
        verdict = apart(f"{judged}, in place", *pairs)
        words = f"{judged}, in the masks of real tumors alone in view, against them"
        figures.append(_area(words, verdict, TARGETS["auc raw"]))
    if training.rebuilt is not None and test.rebuilt is not None:
        rebuilt = training.rebuilt, test.rebuilt
        verdict = apart(f"{judged}, same codec", rebuilt, painted[judged])
        words = f"{judged} against real tumors through the same decode and blend"
        figures.insert(0, _area(words, verdict, TARGETS["auc rebuilt"]))
    for name in others:
        raw = apart(name, real, painted[name])
        areas[name] = raw.area.value
        target = TARGETS["auc control"] if name == CONTROL else None
        figures.append(_area(_raw(name), raw, target))
    if others:
        # Told apart better than what it is to replace, a generator is not worth its weights.
        ahead = areas[judged] - min(areas[name] for name in others)
        words = f"{judged} less {' or '.join(others)}, whichever is told apart least"
        figures.append(Figure(words, ahead, Target(high=0.0)))
    doubt = _doubt(control, areas)
    # A classifier that fails its controls says nothing about the generator.
    figures = [_checked(figure, doubt) for figure in figures]
    alike = control.area.holds_half
    says = "interval contains .5" if alike else "interval lacks .5"
    words = "control: real against real"
    figures.append(
        replace(_area(words, control, None), note=f"{says}; {_of(control)}", control=alike)
    )
    words = (
        "AUC of a small 3D network that sees 64 mm of signal, not the label; 1: told apart, .5: "
        "not. The interval of 95 % is from a bootstrap over cases. It can be judged only where two "
        "controls come out: one half of the real tumors is not told from the other (the interval "
        "contains .5), and real tumors that were painted over by syntumor, blurred noise of the "
        "right level, are (.95 or more)."
    )
    return Group("Real or synthetic?", tuple(figures), words)


def _checked(figure: Figure, doubt: str) -> Figure:
    """A control with its outcome, another figure with the doubt that controls leave."""
    if figure.name == _raw(CONTROL):
        return replace(figure, control=TARGETS["auc control"].reached(figure.value))
    return replace(figure, doubt=doubt)


def _doubt(control: Verdict, areas: dict[str, float]) -> str:
    """Which control failed, in words; empty where none did."""
    if not control.area.holds_half:
        return "real against real is told apart"
    if CONTROL not in areas:
        return f"no {CONTROL} to be told apart from real tumors"
    told_apart = TARGETS["auc control"].reached(areas[CONTROL])
    return "" if told_apart else f"{CONTROL} is not told apart"


def _that_show(real: Pair, shown: tuple[list[int], list[int]]) -> Pair | None:
    """Real tumors that show, where some do not and others do, on both sides."""
    learnt, tested = shown
    if not (learnt and tested) or len(learnt) + len(tested) == len(real[0]) + len(real[1]):
        return None
    return real[0].take(learnt), real[1].take(tested)


def _in_place(training: Sets, test: Sets) -> tuple[Pair, Pair] | None:
    """Real tumors alone in view, and those painted in their masks.

    Others bring satellites into view, which nobody painted beside them.
    """
    if not (training.in_place and test.in_place):
        return None
    learnt, tested = _alone(training.real), _alone(test.real)
    real = training.real.of_cases(learnt), test.real.of_cases(tested)
    painted = training.in_place.of_cases(learnt), test.in_place.of_cases(tested)
    return (real, painted) if all((*real, *painted)) else None


def _alone(windows: Windows) -> set[str]:
    """Cases whose windows show one tumor each."""
    others = (windows.label == OTHER_TUMOR).flatten(1).any(1).tolist()
    crowded = {case for case, other in zip(windows.cases, others, strict=True) if other}
    return set(windows.cases) - crowded


def _raw(name: str) -> str:
    control = "control: " if name == CONTROL else ""
    return f"{control}{name} against raw real tumors"


def _area(name: str, verdict: Verdict, target: Target | None) -> Figure:
    area = verdict.area
    return Figure(name, area.value, target, (area.low, area.high), note=_of(verdict), digits=3)


def _of(verdict: Verdict) -> str:
    learnt, tested = verdict.trained_on, verdict.tested_on
    return (
        f"trained on {learnt[0]} + {learnt[1]}, tested on {tested[0]} + {tested[1]}; last training "
        f"loss {verdict.last_loss:.2f}"
    )
