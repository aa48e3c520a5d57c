"""Two sets of tumors, held against each other in every way that needs no generator.

The windows to learn from and those to be judged come from different cases. Real against real goes
through the same arithmetic: a figure is worth something only beside its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.adherence import measure_adherence
from synbt_aug.evaluate.realism.features import frechet_distance, mmd_squared, standardised
from synbt_aug.evaluate.realism.figures import TARGETS, Figure, Group
from synbt_aug.evaluate.realism.radiomics import ks_of, median_ks, radiomics_of
from synbt_aug.evaluate.realism.segmenter import WindowSegmenter, describe, train_segmenter
from synbt_aug.evaluate.realism.sets import DEFAULTS, RealismSettings, Sets, Tell
from synbt_aug.evaluate.realism.showing import showing
from synbt_aug.evaluate.realism.told_apart import classified

#: Windows of each kind that the targets are meant for.
TRAINING_WINDOWS, TEST_WINDOWS = 400, 200

#: A segmenter that finds real tumors no better than this says nothing about synthetic ones.
LEAST_DICE = 0.5


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
    settings: RealismSettings = DEFAULTS,
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
        classified(training, test, shown, settings, names, device, tell),
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
    words = (
        "Dice on synthetic tumors over that on real ones, of a small segmenter that was trained on "
        "real tumors alone. It can be judged only where the segmenter finds real tumors."
    )
    return Group("Mask adherence", tuple(figures), words)


def _radiomics(
    training: Sets, test: Sets, kept: list[int], names: list[str]
) -> tuple[Group, dict[str, dict[str, float]]]:
    real = radiomics_of(test.real)
    radiomics = {name: radiomics_of(test.synthetic[name]) for name in names}
    distances = {name: ks_of(real, radiomics[name]) for name in names}
    distances["real"] = ks_of(real, radiomics_of(training.real))
    control = _alike(median_ks(distances["real"]))
    # Of few tumors even two draws of one cohort lie apart.
    doubt = "" if control.control else "two halves of the real tumors lie beyond the target, too"
    figures = [
        Figure(
            f"{name}: median KS",
            median_ks(distances[name]),
            TARGETS["ks"] if name == names[0] else None,
            note=f"{len(distances[name])} features",
            digits=3,
            doubt=doubt,
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
            figures.append(Figure(words, value, target, note=note, digits=3, doubt=doubt))
    if test.in_place:
        words = f"{names[0]}: median KS, in the real tumors' own masks"
        value = median_ks(ks_of(real, radiomics_of(test.in_place)))
        note = f"{len(test.in_place)} of {len(test.real)} masks"
        figures.append(Figure(words, value, TARGETS["ks"], note=note, digits=3, doubt=doubt))
    figures.append(control)
    words = (
        "Kolmogorov-Smirnov distance of first-order and co-occurrence features of the lesion; "
        "shape is left out."
    )
    return Group("Radiomics", tuple(figures), words), distances


def _alike(distance: float) -> Figure:
    """Real training against real test tumors: they are to be as near as painted ones are."""
    target = TARGETS["ks"]
    name = "control: real training against real test"
    return Figure(name, distance, target, digits=3, control=target.reached(distance))


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
