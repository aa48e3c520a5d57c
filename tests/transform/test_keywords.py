"""Settings as keywords: in every signature, the same as in `InjectionSettings`, refused by name."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from analytic import tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.transform import NOT_GIVEN, checked_keywords, merged_settings
from synbt_aug.weights import save_weights
from synbt_aug_monai import PaintTumor, PaintTumord, RecordIntensityd, SynBTTumor, SynBTTumord

tio = pytest.importorskip("torchio")
import synbt_aug_torchio  # noqa: E402

RANDOM = [SynBTTumor, SynBTTumord, synbt_aug_torchio.SynBTTumor]
OTHERS = [
    PaintTumor,
    PaintTumord,
    RecordIntensityd,
    synbt_aug_torchio.PaintTumor,
    synbt_aug_torchio.RecordIntensity,
]
RECIPE = {"format": 1}


def name_of(cls: type) -> str:
    return f"{cls.__module__.split('.')[0]}.{cls.__name__}"


# --- signatures ---


@pytest.mark.parametrize("cls", RANDOM, ids=name_of)
def test_a_signature_holds_the_settings_with_their_types_in_their_order(cls: type) -> None:
    wanted = {f.name: f.type for f in fields(InjectionSettings) if f.name != "seed"}
    there = inspect.signature(cls).parameters
    found = {name: p.annotation for name, p in there.items() if name in wanted}
    assert found == wanted and list(found) == list(wanted)
    assert all(there[name].default is NOT_GIVEN for name in wanted)
    assert all(there[name].kind is inspect.Parameter.KEYWORD_ONLY for name in wanted)


@pytest.mark.parametrize("cls", OTHERS, ids=name_of)
def test_a_replay_names_its_settings_as_they_are_named(cls: type) -> None:
    types = {f.name: f.type for f in fields(InjectionSettings)}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.default is NOT_GIVEN:
            assert parameter.annotation == types[name]


@pytest.mark.parametrize("cls", RANDOM + OTHERS, ids=name_of)
def test_every_keyword_is_written_out(cls: type) -> None:
    kinds = {p.kind for p in inspect.signature(cls).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds
    assert inspect.Parameter.VAR_POSITIONAL not in kinds


@pytest.mark.parametrize("cls", RANDOM, ids=name_of)
def test_each_setting_given_by_name_arrives(cls: Any) -> None:
    given: dict[str, Any] = {
        "probability": 0.25,
        "tumors": (1, 3),
        "diameter_mm": (10.0, 30.0),
        "enhancement": (0.8, 1.6),
        "rim": 1.2,
        "category": "rim",
        "texture": "syntumor",
        "steps": 7,
        "unpainted_channels": "allow",
        "paint_over": (2, 3),
        "only_tumor_free": True,
        "generator_device": "cpu",
    }
    assert cls(**given).settings == InjectionSettings(**given)


# --- merging ---


def merged(settings: InjectionSettings | None = None, **given: Any) -> InjectionSettings:
    return merged_settings("A", settings, given)


def test_what_is_given_by_name_goes_before_the_object_even_where_it_is_the_default() -> None:
    settings = InjectionSettings(steps=9, diameter_mm=20.0)
    assert merged(settings, steps=NOT_GIVEN) == settings
    assert merged(settings, steps=InjectionSettings.steps).steps == InjectionSettings.steps
    assert merged(settings, diameter_mm=None).diameter_mm is None


def test_arguments_that_are_no_settings_do_not_count() -> None:
    assert merged(None, keys="image", self=3, rim=1.5) == InjectionSettings(rim=1.5)


def test_another_name_of_probability_must_agree_with_it() -> None:
    assert merged_settings("A", None, {}, {"p": 0.2}).probability == 0.2
    assert merged_settings("A", None, {"probability": 0.2}, {"p": 0.2}).probability == 0.2
    with pytest.raises(SynBTError, match="p and probability are one setting, got 0.1 and 0.2"):
        merged_settings("A", None, {"probability": 0.2}, {"p": 0.1})


# --- names that are not there ---


class Example:
    @checked_keywords(prob="Type p.")
    def __init__(self, diameter_mm: float = 1.0, *, p: float = 0.5) -> None:
        self.values = diameter_mm, p


def test_a_keyword_that_is_not_there_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SynBTError) as error:
        Example(diametr=3)  # type: ignore[call-arg]
    assert str(error.value) == (
        "Example has no setting called diametr. Did you mean diameter_mm? There are: "
        "diameter_mm, p."
    )
    with pytest.raises(SynBTError, match="called prob. Type p. There are: diameter_mm, p."):
        Example(prob=0.1)  # type: ignore[call-arg]


def test_what_is_there_passes_and_the_signature_stays() -> None:
    assert Example(2.0, p=0.1).values == (2.0, 0.1)
    assert list(inspect.signature(Example).parameters) == ["diameter_mm", "p"]


@pytest.mark.parametrize("cls", RANDOM, ids=name_of)
def test_a_name_of_the_other_library_points_at_this_one_s(cls: Any) -> None:
    own = "p" if "torchio" in name_of(cls) else "prob"
    other = {"p": "prob", "prob": "p"}[own]
    with pytest.raises(SynBTError, match=f"no setting called {other}. .*name of it is {own}. The"):
        cls(**{other: 0.3})


# --- files that are not there ---

MAKERS: list[Any] = [
    *RANDOM,
    PaintTumor,
    PaintTumord,
    lambda **given: synbt_aug_torchio.PaintTumor(RECIPE, **given),
    lambda **given: SynBTInjector(InjectionSettings(**given)),
]


@pytest.mark.parametrize("make", MAKERS)
def test_weights_and_banks_that_are_not_there_are_told_when_it_is_made(make: Any) -> None:
    with pytest.raises(SynBTError, match="weights needs 'shipped' or the path .*, got '/nonexist"):
        make(weights="/nonexistent")
    with pytest.raises(SynBTError, match=r"bank needs a .npz file, /nonexistent.npz is not there"):
        make(bank="/nonexistent.npz")


@pytest.mark.parametrize("make", MAKERS)
def test_weights_of_a_user_are_taken_by_their_name(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_HOME", str(tmp_path))
    with pytest.raises(SynBTError, match="got 'ours'"):
        make(weights="ours")
    save_weights(tiny_weights(), tmp_path / "weights" / "ours")
    make(weights="ours")


@pytest.mark.parametrize("make", RANDOM)
def test_a_tissue_segmenter_that_is_not_there_is_told_when_it_is_made(make: Any) -> None:
    with pytest.raises(SynBTError, match=r"tissue needs 'shipped' or .*, got '/nonexistent'"):
        make(tissue="/nonexistent")


def test_an_unfinished_weights_folder_is_told_when_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="no manifest.json: it is no finished weights folder"):
        SynBTTumor(weights=str(tmp_path))


def test_nothing_is_read_when_a_transform_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.json").write_text("no JSON at all")
    (tmp_path / "bank.npz").write_text("no bank")
    for make in MAKERS:
        make(weights=str(tmp_path), bank=str(tmp_path / "bank.npz"))
