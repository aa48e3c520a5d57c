from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from synbt_aug.cli.phantom import phantom
from synbt_aug.data import read_dataset, read_scan
from synbt_aug.phantom import PhantomSettings
from synbt_aug.support.files import read_json


def test_a_cohort_is_written_as_asked(synbt: Callable, tmp_path: Path) -> None:
    said = synbt(
        "phantom", "-o", tmp_path, "-n", 1, "--seed", 5, "--shape", "40x32x48",
        "--spacing", "2x2x2", "--times", "90,240", "--format", "mama-mia", "--workers", 1,
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "1 phantoms in" in said.out
    (case,) = read_dataset(tmp_path).cases
    assert case.name == "PHANTOM_0000005" and len(case.posts) == 2
    assert read_scan(case.pre).shape == (48, 32, 40)


LOOKS = {
    "--field-tesla": (1.5, "field_tesla"),
    "--slice-thickness-mm": (5.0, "slice_thickness_mm"),
    "--snr": (12.5, "snr"),
    "--category": ("rim", "category"),
    "--diameter-mm": (18.0, "diameter_mm"),
    "--density": ("c", "density"),
}


def test_the_looks_that_are_asked_for_are_those_of_the_phantoms(
    synbt: Callable, tmp_path: Path
) -> None:
    asked = [word for option, (value, _) in LOOKS.items() for word in (option, value)]
    small = ["--shape", "40x36x40", "--spacing", "2x2x2", "--workers", 1]
    said = synbt("phantom", "-o", tmp_path, "-n", 1, *small, "--no-fat-saturation", *asked)
    assert said.code == 0, said.err
    settings = read_json(tmp_path / "phantoms.json")["settings"]
    assert {name: settings[name] for _, name in LOOKS.values()} == {
        name: value for value, name in LOOKS.values()
    }
    assert settings["fat_saturation"] is False
    notes = read_json(tmp_path / "phantoms" / "phantom_0000000.json")
    assert (notes["field_tesla"], notes["fat_saturated"], notes["snr"]) == (1.5, False, 12.5)
    assert notes["density"] == "c" and notes["lesions"][0]["category"] == "rim"


def test_phases_are_counted_or_timed(synbt: Callable, tmp_path: Path) -> None:
    small = ["-n", 1, "--shape", "40x32x48", "--spacing", "2x2x2", "--workers", 1]
    said = synbt("phantom", "-o", tmp_path / "a", *small, "--phases", 3)
    assert said.code == 0, said.err
    described = read_json(tmp_path / "a" / "dataset.json")
    assert list(described["channel_names"].values()) == ["pre", "post1", "post2", "post3"]
    said = synbt("phantom", "-o", tmp_path / "b", *small, "--phases", 3, "--times", "90,180")
    assert said.code == 2 and "--times and --phases both say" in said.err
    assert not (tmp_path / "b").exists()


def test_every_look_of_a_phantom_has_an_option() -> None:
    options = set(inspect.signature(phantom).parameters)
    names = {"times_s": "times", "with_tumor": "tumor"}
    assert {names.get(field.name, field.name) for field in fields(PhantomSettings)} <= options


def test_bad_settings_are_told_before_a_folder_is_made(synbt: Callable, tmp_path: Path) -> None:
    for option, value, message in (
        ("--shape", "40x32", "--shape is three numbers such as 192x192x128"),
        ("--shape", "4x4x4", "at least 48 mm and 16 voxels"),
        ("--times", "soon", "--times is numbers such as 90,180,300"),
        ("--times", "90,nan", "--times is numbers such as 90,180,300"),
        ("--spacing", "1xinfx1", "--spacing is three numbers"),
        ("--density", "z", "density must be 'a', 'b', 'c', 'd'"),
        ("--field-tesla", 7, "field_tesla must be 1.5, 3.0"),
        ("--snr", "nan", "snr"),
        ("--snr", "inf", "Invalid value for '--snr'"),
        ("--slice-thickness-mm", 1e9, "Invalid value for '--slice-thickness-mm'"),
        ("--category", "cyst", "category must be 'mass', 'rim', 'nonmass'"),
    ):
        said = synbt("phantom", "-o", tmp_path / "new", "-n", 1, option, value)
        assert said.code == 2 and message in " ".join(said.err.split()), (option, said.err)
    assert not (tmp_path / "new").exists()
