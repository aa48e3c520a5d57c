from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest

from some_windows import some_windows
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism import (
    Comparison,
    RealismSettings,
    Sets,
    TrainingSettings,
    compare,
)
from synbt_aug.evaluate.realism.compare import too_few
from synbt_aug.evaluate.realism.windows import OTHER_TUMOR, join

CONFUSED = "real against real is told apart"
ONE_STEP = TrainingSettings(steps=1, batch=2)
SETTINGS = RealismSettings(ONE_STEP, ONE_STEP, crop=24)


def sets(name: str, seed: int, **changes: float) -> Sets:
    small = {"side": 24, "radius": 5.0}
    real = some_windows(3, seed=seed, names=f"real {name}", **small)
    painted = some_windows(2, seed=seed + 1, names=f"painted {name}", **small, **changes)
    return Sets(real, {"ours": painted, "syntumor": painted}, rebuilt=real)


@lru_cache(maxsize=1)
def compared() -> tuple[Comparison, tuple[str, ...]]:
    told: list[str] = []
    training, test = sets("a", 0, gain=4.0), sets("b", 5, gain=4.0)
    found = compare(
        training, test, SETTINGS, judged="ours", tell=lambda what, done, total: told.append(what)
    )
    return found, tuple(told)


def figure(title: str, words: str):
    (group,) = (g for g in compared()[0].groups if g.title == title)
    (found,) = (f for f in group.figures if words in f.name)
    return found


def test_the_generator_that_is_judged_has_the_targets() -> None:
    assert figure("Real or synthetic?", "ours against raw").target.high == 0.85
    assert figure("Real or synthetic?", "same decode and blend").target.high == 0.75
    assert figure("Real or synthetic?", "syntumor against raw").target.low == 0.95
    assert figure("Real or synthetic?", "real against real").target is None
    assert figure("Mask adherence", "ours").target.words() == "0.9 to 1.1"
    assert figure("Mask adherence", "syntumor").target is None
    assert figure("Radiomics", "ours").target.high == 0.15


def test_networks_that_fail_their_own_check_are_not_trusted() -> None:
    # One step trains nothing: no real tumor is found, and the controls come out by chance.
    assert "below 0.5" in figure("Mask adherence", "ours").doubt
    control = figure("Real or synthetic?", "real against real").value
    crude = figure("Real or synthetic?", "syntumor against raw").value
    trusted = 0 < control < 1 and crude >= 0.95
    assert bool(figure("Real or synthetic?", "ours against raw").doubt) is not trusted
    assert figure("Real or synthetic?", "syntumor against raw").doubt == ""
    controls = [figure("Real or synthetic?", name) for name in ("real against real", "syntumor ag")]
    assert all(one.control is not None and one.judged is None for one in controls)
    assert all(one.control for one in controls) is trusted
    ahead = figure("Real or synthetic?", "ours less syntumor")
    assert bool(ahead.doubt) is not trusted


def test_a_classifier_without_a_crude_texture_to_tell_apart_is_not_trusted() -> None:
    def alone(name: str, seed: int) -> Sets:
        found = sets(name, seed)
        return Sets(found.real, {"ours": found.synthetic["ours"]})

    found = compare(alone("a", 0), alone("b", 5), SETTINGS, judged="ours")
    figures = {f.name: f for group in found.groups for f in group.figures}
    doubt = figures["ours against raw real tumors"].doubt
    assert doubt in ("no syntumor to be told apart from real tumors", CONFUSED)


def test_windows_are_counted_beside_their_figure() -> None:
    assert (
        "trained on 3 + 2, tested on 3 + 2" in figure("Real or synthetic?", "ours against raw").note
    )
    assert figure("Distances of features", "ours: FID").note == "2 + 2 windows"
    assert figure("Distances of features", "real training: FID").note == "3 + 3 windows"


def test_tumors_of_another_brightness_differ_where_brightness_counts() -> None:
    distances = compared()[0].distances
    assert distances["ours"]["post mean"] == 1
    assert distances["ours"]["pre mean"] < 1
    assert set(distances) == {"ours", "syntumor", "real"}


def test_each_training_is_told_of_once_a_step() -> None:
    assert compared()[1] == (
        "segmenter of real tumors",
        "classifier, real/real",
        "classifier, ours",
        "classifier, ours, same codec",
        "classifier, syntumor",
    )


def test_the_seed_reaches_every_training() -> None:
    settings = RealismSettings(seed=7).seeded()
    assert settings.classifier.seed == settings.segmenter.seed == 7


def test_few_windows_are_warned_of_with_the_smallest_count() -> None:
    assert too_few(sets("a", 0), sets("b", 5)).startswith("Only 2 windows of each kind to learn")
    many = sets("a", 0).real.take([0] * 400)
    assert too_few(Sets(many, {"ours": many}), Sets(many, {"ours": many})) is None
    assert "Only 400 windows of each kind to learn from and 2 to test on" in str(
        too_few(Sets(many, {"ours": many}), sets("b", 5))
    )


def test_parts_that_do_not_match_are_refused() -> None:
    with pytest.raises(SynBTError, match="'other' among them"):
        compare(sets("a", 0), sets("b", 5), SETTINGS, judged="other")
    small = sets("b", 5)
    small = Sets(small.real.take([0]), small.synthetic)
    with pytest.raises(SynBTError, match="2 to test on, got 1"):
        compare(sets("a", 0), small, SETTINGS, judged="ours")


def test_real_tumors_that_do_not_show_are_left_out_of_figures_of_their_own() -> None:
    def with_faint(name: str, seed: int) -> Sets:
        plain = sets(name, seed)
        faint = some_windows(2, seed=seed + 9, names=f"faint {name}", side=24, radius=5.0, gain=0.0)
        return Sets(join([plain.real, faint]), {"ours": plain.synthetic["ours"]})

    training, test = with_faint("a", 0), with_faint("b", 5)
    found = compare(training, test, SETTINGS, judged="ours")
    figures = {f.name: f for group in found.groups for f in group.figures}
    shown = figures["ours against raw real tumors that show"]
    assert "trained on 3 + 2, tested on 3 + 2" in shown.note and shown.target.high == 0.85
    distance = figures["ours: median KS, against real tumors that show"]
    assert distance.note == "3 of 5 show as a painted one must" and distance.target.high == 0.15
    assert distance.value != figures["ours: median KS"].value


def test_where_all_real_tumors_show_nothing_is_said_of_it() -> None:
    names = {f.name for group in compared()[0].groups for f in group.figures}
    assert not [name for name in names if "that show" in name]


def test_tumors_in_the_real_ones_own_masks_have_figures_of_their_own() -> None:
    def with_own(name: str, seed: int) -> Sets:
        found = sets(name, seed, gain=4.0)
        found.real.label[0, 0, 0, 0] = OTHER_TUMOR
        return replace(found, in_place=found.real)  # As the real ones: nothing sets them apart.

    found = compare(with_own("a", 0), with_own("b", 5), SETTINGS, judged="ours")
    figures = {f.name: f for group in found.groups for f in group.figures}
    own = figures["ours: median KS, in the real tumors' own masks"]
    assert own.value == 0 and own.note == "3 of 3 masks" and own.target.high == 0.15
    assert figures["ours: median KS"].value > 0
    area = figures["ours, in the masks of real tumors alone in view, against them"]
    assert area.value == 0.5 and "trained on 2 + 2, tested on 2 + 2" in area.note
    assert not any("masks" in f.name for group in compared()[0].groups for f in group.figures)
