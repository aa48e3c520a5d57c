"""Two sets of tumors, held against each other in every way that needs no generator.

The windows to learn from and those to be judged come from different cases. Real against real goes
through the same arithmetic: a figure is worth something only beside its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.adherence import measure_adherence
from synbt_aug.evaluate.realism.classifier import (
    CLASSIFIER_TRAINING,
    Verdict,
    real_against_real,
    tell_apart,
)
from synbt_aug.evaluate.realism.features import frechet_distance, mmd_squared, standardised
from synbt_aug.evaluate.realism.figures import TARGETS, Figure, Group, Target
from synbt_aug.evaluate.realism.radiomics import ks_of, median_ks, radiomics_of
from synbt_aug.evaluate.realism.segmenter import (
    CROP,
    SEGMENTER_TRAINING,
    WindowSegmenter,
    describe,
    train_segmenter,
)
from synbt_aug.evaluate.realism.showing import showing
from synbt_aug.evaluate.realism.training import TrainingSettings
from synbt_aug.evaluate.realism.windows import OTHER_TUMOR, Windows

#: Told (what is being done, steps done, all steps).
Tell = Callable[[str, int, int], None]

#: Windows of each kind that the targets are meant for.
TRAINING_WINDOWS, TEST_WINDOWS = 400, 200

#: A segmenter that finds real tumors no better than this says nothing about synthetic ones.
LEAST_DICE = 0.5

#: The crude texture that the classifier must see through.
CONTROL = "syntumor"


@dataclass(frozen=True)
class RealismSettings:
    """How sets are compared.

    Args:
        classifier: Training of each classifier.
        segmenter: Training of the segmenter.
        crop: Side of the crops that the segmenter learns from, in mm.
        seed: Of weights, batches and intervals.
    """

    classifier: TrainingSettings = CLASSIFIER_TRAINING
    segmenter: TrainingSettings = SEGMENTER_TRAINING
    crop: int = CROP
    seed: int = 0

    def seeded(self) -> RealismSettings:
        """With the seed in every part."""
        return replace(
            self,
            classifier=replace(self.classifier, seed=self.seed),
            segmenter=replace(self.segmenter, seed=self.seed),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Sets:
    """Windows of one part of the cases.

    Args:
        real: Real tumors.
        synthetic: Name of a generator -> its tumors.
        rebuilt: The real tumors through the codec, its grain and the blend.
        in_place: Tumors of the judged generator in the real ones' own masks, in scans without
            them: they differ from real ones in texture alone, not in site and shape.
    """

    real: Windows
    synthetic: Mapping[str, Windows]
    rebuilt: Windows | None = None
    in_place: Windows | None = None


@dataclass(frozen=True)
class Comparison:
    """What came out.

    Args:
        groups: The figures.
        distances: Name of a generator -> Kolmogorov-Smirnov distance of each feature; "real" is
            that of real training against real test tumors.
        segmenter: Trained on the real training tumors.
    """

    groups: tuple[Group, ...]
    distances: Mapping[str, Mapping[str, float]]
    segmenter: WindowSegmenter = field(compare=False)


def compare(
    training: Sets,
    test: Sets,
    settings: RealismSettings = RealismSettings(),
    *,
    judged: str,
    device: torch.device | str = "cpu",
    tell: Tell = lambda what, done, total: None,
) -> Comparison:
    """Hold synthetic tumors against real ones.

    Args:
        training: To learn from.
        test: To be judged; of other cases.
        settings: Of the trainings.
        judged: The generator that the targets are for; the others stand for comparison.
        device: Where networks run.
        tell: Told of the progress.

    Raises:
        SynBTError: If a generator is in one part alone, or there are fewer than two real cases
            to learn from or to test on.
    """
    settings = settings.seeded()
    if set(training.synthetic) != set(test.synthetic) or judged not in test.synthetic:
        raise SynBTError(
            f"Training and test need tumors of the same generators, {judged!r} among them, got "
            f"{sorted(training.synthetic)} and {sorted(test.synthetic)}."
        )
    few = min(len(set(part.real.cases)) for part in (training, test))
    if few < 2:
        raise SynBTError(
            f"A comparison needs real tumors of at least 2 cases to learn from and 2 to test on, "
            f"got {few}."
        )
    names = [judged, *(name for name in test.synthetic if name != judged)]
    segmenter = train_segmenter(
        training.real,
        settings.segmenter,
        crop=settings.crop,
        device=device,
        on_step=lambda done, total: tell("segmenter of real tumors", done, total),
    )
    shown = showing(training.real), showing(test.real)
    groups = [
        _classified(training, test, shown, settings, names, device, tell),
        _adhering(segmenter, test, names, device),
    ]
    radiomics, distances = _radiomics(training, test, shown[1], names)
    groups += [radiomics, _distances(segmenter, training, test, names, device)]
    return Comparison(tuple(groups), distances, segmenter)


def too_few(training: Sets, test: Sets) -> str | None:
    """A warning where fewer windows were compared than the targets are meant for."""
    learnt, tested = (
        min(len(part.real), *(len(windows) for windows in part.synthetic.values()))
        for part in (training, test)
    )
    if learnt >= TRAINING_WINDOWS and tested >= TEST_WINDOWS:
        return None
    return (
        f"Only {learnt} windows of each kind to learn from and {tested} to test on, not "
        f"{TRAINING_WINDOWS} and {TEST_WINDOWS}: classifier, FID and KS say little."
    )


def _classified(
    training: Sets,
    test: Sets,
    shown: tuple[list[int], list[int]],
    settings: RealismSettings,
    names: list[str],
    device: torch.device | str,
    tell: Tell,
) -> Group:
    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: tell(f"classifier, {what}", done, total)

    control = real_against_real(
        training.real, test.real, settings.classifier, device=device, on_step=told("real/real")
    )
    figures: list[Figure] = []
    areas: dict[str, float] = {}
    for name in names:
        target = TARGETS["auc raw"] if name == names[0] else None
        raw = tell_apart(
            training.real,
            training.synthetic[name],
            test.real,
            test.synthetic[name],
            settings.classifier,
            device=device,
            on_step=told(name),
        )
        if name == CONTROL and name != names[0]:
            target = TARGETS["auc control"]
        areas[name] = raw.area.value
        figures.append(_area(_raw(name), raw, target))
        if name == names[0]:
            figures += _against_shown(training, test, shown, settings, name, device, told)
            figures += _in_place(training, test, settings, name, device, told)
        if name == names[0] and training.rebuilt is not None and test.rebuilt is not None:
            like = tell_apart(
                training.rebuilt,
                training.synthetic[name],
                test.rebuilt,
                test.synthetic[name],
                settings.classifier,
                device=device,
                on_step=told(f"{name}, same codec"),
            )
            what = f"{name} against real tumors through the same decode and blend"
            figures.insert(0, _area(what, like, TARGETS["auc rebuilt"]))
    crude = [areas[name] for name in names[1:]]
    if crude:
        # Told apart better than what it is to replace, a generator is not worth its weights.
        ahead = Target(high=0.0)
        first = areas[names[0]] - min(crude)
        what = f"{names[0]} less the best of {', '.join(names[1:])}"
        figures.append(Figure(what, first, ahead))
    doubt = "" if control.area.holds_half else "real against real is told apart"
    if CONTROL not in areas:
        doubt = doubt or f"no {CONTROL} to be told apart from real tumors"
    elif not TARGETS["auc control"].reached(areas[CONTROL]):
        doubt = doubt or f"{CONTROL} is not told apart"
    # A classifier that fails its controls says nothing about the generator.
    figures = [f if f.name == _raw(CONTROL) else replace(f, doubt=doubt) for f in figures]
    says = "interval contains .5" if control.area.holds_half else "interval lacks .5"
    figures.append(
        replace(_area("control: real against real", control, None), note=f"{says}; {_of(control)}")
    )
    words = (
        "AUC of a small 3D network that sees 64 mm of signal, not the label, with a 95 % interval "
        "from a bootstrap over cases. It counts only where the two controls come out: real against "
        "real near .5, and syntumor at .95 or more."
    )
    return Group("Real or synthetic?", tuple(figures), words)


def _against_shown(
    training: Sets,
    test: Sets,
    shown: tuple[list[int], list[int]],
    settings: RealismSettings,
    name: str,
    device: torch.device | str,
    told: Callable[[str], Callable[[int, int], None]],
) -> list[Figure]:
    """The classifier once more, where some real tumors do not show and others do."""
    learnt, tested = shown
    if not (learnt and tested) or len(learnt) + len(tested) == len(training.real) + len(test.real):
        return []
    verdict = tell_apart(
        training.real.take(learnt),
        training.synthetic[name],
        test.real.take(tested),
        test.synthetic[name],
        settings.classifier,
        device=device,
        on_step=told(f"{name}, tumors that show"),
    )
    words = f"{name} against raw real tumors that show"
    return [_area(words, verdict, TARGETS["auc raw"])]


def _raw(name: str) -> str:
    return f"{name} against raw real tumors"


def _in_place(
    training: Sets,
    test: Sets,
    settings: RealismSettings,
    name: str,
    device: torch.device | str,
    told: Callable[[str], Callable[[int, int], None]],
) -> list[Figure]:
    """The classifier once more, where site and shape are the real tumors' own."""
    if not (training.in_place and test.in_place):
        return []
    # Real tumors bring satellites into view, which nobody painted beside the others.
    learnt, tested = _alone(training.real), _alone(test.real)
    real = training.real.of_cases(learnt), test.real.of_cases(tested)
    painted = training.in_place.of_cases(learnt), test.in_place.of_cases(tested)
    if not all((*real, *painted)):
        return []
    verdict = tell_apart(
        real[0],
        painted[0],
        real[1],
        painted[1],
        settings.classifier,
        device=device,
        on_step=told(f"{name}, in place"),
    )
    words = f"{name}, in the masks of real tumors alone in view, against them"
    return [_area(words, verdict, TARGETS["auc raw"])]


def _alone(windows: Windows) -> set[str]:
    """Cases whose windows show one tumor each."""
    others = (windows.label == OTHER_TUMOR).flatten(1).any(1).tolist()
    crowded = {case for case, other in zip(windows.cases, others, strict=True) if other}
    return set(windows.cases) - crowded


def _area(name: str, verdict: Verdict, target: Any) -> Figure:
    area = verdict.area
    return Figure(name, area.value, target, (area.low, area.high), note=_of(verdict), digits=3)


def _of(verdict: Verdict) -> str:
    learnt, tested = verdict.trained_on, verdict.tested_on
    return (
        f"trained on {learnt[0]} + {learnt[1]}, tested on {tested[0]} + {tested[1]}; last training "
        f"loss {verdict.last_loss:.2f}"
    )


def _adhering(
    segmenter: WindowSegmenter, test: Sets, names: list[str], device: torch.device | str
) -> Group:
    figures = []
    for name in names:
        found = measure_adherence(segmenter, test.real, test.synthetic[name], device=device)
        target = TARGETS["adherence"] if name == names[0] else None
        note = f"Dice {found.synthetic:.3f} on synthetic, {found.real:.3f} on real"
        weak = "" if found.real >= LEAST_DICE else f"Dice on real tumors below {LEAST_DICE:g}"
        words = f"{name}: Dice over that on real"
        figures.append(Figure(words, found.ratio, target, note=note, doubt=weak))
    words = "Of a small segmenter that was trained on real tumors alone."
    return Group("Mask adherence", tuple(figures), words)


def _radiomics(
    training: Sets, test: Sets, kept: list[int], names: list[str]
) -> tuple[Group, dict[str, dict[str, float]]]:
    real = radiomics_of(test.real)
    radiomics = {name: radiomics_of(test.synthetic[name]) for name in names}
    distances = {name: ks_of(real, radiomics[name]) for name in names}
    distances["real"] = ks_of(real, radiomics_of(training.real))
    figures = [
        Figure(
            f"{name}: median KS",
            median_ks(distances[name]),
            TARGETS["ks"] if name == names[0] else None,
            note=f"{len(distances[name])} features",
            digits=3,
        )
        for name in names
    ]
    if 0 < len(kept) < len(test.real):
        shown = {feature: values[kept] for feature, values in real.items()}
        for name in names:
            words = f"{name}: median KS, against real tumors that show"
            value = median_ks(ks_of(shown, radiomics[name]))
            target = TARGETS["ks"] if name == names[0] else None
            note = f"{len(kept)} of {len(test.real)} show as a painted one must"
            figures.append(Figure(words, value, target, note=note, digits=3))
    if test.in_place:
        words = f"{names[0]}: median KS, in the real tumors' own masks"
        value = median_ks(ks_of(real, radiomics_of(test.in_place)))
        note = f"{len(test.in_place)} of {len(test.real)} masks"
        figures.append(Figure(words, value, TARGETS["ks"], note=note, digits=3))
    figures.append(
        Figure("real training against real test", median_ks(distances["real"]), digits=3)
    )
    words = (
        "Kolmogorov-Smirnov distance of first-order and co-occurrence features of the lesion; "
        "shape is left out."
    )
    return Group("Radiomics", tuple(figures), words), distances


def _distances(
    segmenter: WindowSegmenter,
    training: Sets,
    test: Sets,
    names: list[str],
    device: torch.device | str,
) -> Group:
    learnt, real, *others = standardised(
        (raw := describe(segmenter, training.real, device=device)),
        raw,
        describe(segmenter, test.real, device=device),
        *(describe(segmenter, test.synthetic[name], device=device) for name in names),
    )
    figures = []
    for name, features in (*zip(names, others, strict=True), ("real training", learnt)):
        # As many of each: FID grows as windows become fewer.
        count = min(len(real), len(features))
        a, b = real[:count], features[:count]
        note = f"{count} + {count} windows"
        figures.append(Figure(f"{name}: FID", frechet_distance(a, b), note=note, digits=1))
        figures.append(Figure(f"{name}: MMD squared", mmd_squared(a, b), note=note, digits=3))
    words = (
        "Against the real test tumors, on features of the segmenter, which has seen real training "
        "tumors alone. No target: read them beside those of real training tumors."
    )
    return Group("Distances of features", tuple(figures), words)
