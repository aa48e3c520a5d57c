"""Table 1: every row starts and finishes, one configuration, row by row."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from synbt_aug.data import write_phantom_cohort
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json
from synbt_aug.support.interruption import Interrupted
from synbt_aug.texture.names import DEFAULT_STEPS

FOLDER = Path(__file__).parents[1] / "benchmarks"
PARTS = ("config", "cost", "data", "generators", "report", "rows", "run")


@pytest.fixture(scope="module")
def table1() -> Iterator[SimpleNamespace]:
    """The benchmark's modules, which import each other by their plain names."""
    if not FOLDER.is_dir():
        pytest.skip("benchmarks are in the repository alone")
    sys.path.insert(0, str(FOLDER))
    try:
        loaded: dict[str, ModuleType] = {
            part: importlib.import_module(f"table1_{part}") for part in PARTS
        }
        yield SimpleNamespace(main=importlib.import_module("table1"), **loaded)
    finally:
        sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def phantoms(table1: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    tiny, config = table1.config.SIZES["tiny"], table1.config
    for part, first, count in (
        ("labelled", config.FIRST_LABELLED, tiny.labelled),
        ("validation", config.FIRST_VALIDATION, tiny.validation),
        ("test", config.FIRST_TEST, tiny.test),
        ("extra", config.FIRST_EXTRA, tiny.extra),
    ):
        seeds = range(first, first + count)
        write_phantom_cohort(folder / part, seeds, settings=tiny.phantoms, workers=1)
    return folder


def run(table1: SimpleNamespace, phantoms: Path, folder: Path, *given: str) -> None:
    where = ("--size", "tiny", "--data", str(phantoms), "-o", str(folder))
    table1.main.main([*where, *given])


@pytest.fixture(scope="module")
def whole_table(
    table1: SimpleNamespace, phantoms: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """All 15 rows of size tiny."""
    folder = tmp_path_factory.mktemp("table")
    run(table1, phantoms, folder)
    return folder


@pytest.mark.slow
def test_all_rows_start_and_finish(table1: SimpleNamespace, whole_table: Path) -> None:
    found = [read_json(path) for path in whole_table.glob("*/*/seed0.json")]
    assert len(found) == 15
    assert {(one["network"], one["method"]) for one in found} == {
        (network, method)
        for network in ("unet", "nnunet", "swinunetr")
        for method in ("patch", "volume", "syntumor", "synbt", "copy_paste")
    }
    for one in found:
        assert one["training"]["finished"] and len(one["cases"]) == 2
        assert one["synthetic"]["mode"] == "add"


@pytest.mark.slow
def test_all_rows_make_equally_many_steps(whole_table: Path) -> None:
    found = [read_json(path) for path in whole_table.glob("*/*/seed0.json")]
    assert {one["training"]["steps"] for one in found} == {2}


@pytest.mark.slow
def test_the_table_stands_beside_the_papers(whole_table: Path) -> None:
    text = (whole_table / "table1.md").read_text()
    lines = text.splitlines()
    table = text.split("## By size")[0].splitlines()
    rows = [line.split(" | ") for line in table if line.startswith("| ") and "UN" in line]
    assert len(rows) == 15
    (synbt,) = (cells for cells in rows if cells[0] == "| SynBT-nnUNet")
    assert synbt[2] == "0.763" and synbt[5] == "29.26" and synbt[8] == "10.72"
    made = "\n".join(lines)
    digest = read_json(whole_table / "unet/synbt/seed0.json")["generator"]["weights_digest"]
    assert digest[:12] in made and "- command: " in made and "- machine: " in made


def test_dice_is_told_by_the_size_of_the_tumors(table1: SimpleNamespace) -> None:
    volumes = (1.0, 2.0, 3.0, 10.0, 20.0, 30.0)

    def trained(method: str, small: float) -> dict[str, Any]:
        cases = [
            {"name": str(k), "reference_ml": ml, "dice": small if ml < 2.5 else 0.75}
            for k, ml in enumerate(volumes)
        ]
        return {"row": f"{method}-UNet", "network": "unet", "method": method, "cases": cases}

    found = [trained("synbt", 0.5), trained("volume", 0.2), trained("volume", 0.4)]
    assert table1.report._by_size(found) == [
        "| row | 1.0-2.0 ml | 3.0-10.0 ml | 20.0-30.0 ml |",
        "|---|---|---|---|",
        "| volume-UNet | 0.300 | 0.750 | 0.750 |",
        "| synbt-UNet | 0.500 | 0.750 | 0.750 |",
    ]


@pytest.mark.slow
def test_a_generator_of_the_arm_own_has_seen_the_labelled_cases_alone(whole_table: Path) -> None:
    from synbt_aug.weights import load_weights

    weights = load_weights(whole_table / "generators/own/weights")
    names = {"phantom_0020000", "phantom_0020001"}
    assert set(weights.card["cases"]) == names
    assert set(weights.card["denoiser"]["cases"]) == names
    assert {template.source for template in weights.bank.templates} <= names


@pytest.mark.slow
def test_a_row_that_is_there_is_not_trained_again(
    table1: SimpleNamespace, phantoms: Path, whole_table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(table1.run, "train_segmentation", fail)
    before = {path: path.read_bytes() for path in whole_table.glob("*/*/seed0.json")}
    run(table1, phantoms, whole_table)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_a_killed_row_goes_on_where_it_was_and_ends_alike(
    table1: SimpleNamespace,
    phantoms: Path,
    whole_table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os
    import signal

    from synbt_aug.train.segmentation_samples import SampleSource

    drawn, steps = SampleSource.batch, []

    def stopping(self, step, indices):
        steps.append(step)
        if steps == [0]:
            os.kill(os.getpid(), signal.SIGTERM)
        return drawn(self, step, indices)

    monkeypatch.setattr(SampleSource, "batch", stopping)
    given = ("--networks", "unet", "--methods", "volume")
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        run(table1, phantoms, tmp_path, *given)
    assert not (tmp_path / "unet/volume/seed0.json").exists()
    run(table1, phantoms, tmp_path, *given)
    assert steps == [0, 1]
    again = read_json(tmp_path / "unet/volume/seed0.json")
    whole = read_json(whole_table / "unet/volume/seed0.json")
    assert again["cases"] == whole["cases"] and again["best"] == whole["best"]


@pytest.mark.slow
def test_painting_with_chance_zero_is_the_real_row_bit_by_bit(
    table1: SimpleNamespace, phantoms: Path, whole_table: Path
) -> None:
    given = ("--networks", "unet", "--arm", "control", "extra")
    run(table1, phantoms, whole_table, *given)
    p0, real, extra = (
        read_json(whole_table / f"unet/{method}/seed0.json") for method in ("p0", "volume", "extra")
    )
    assert p0["cases"] == real["cases"] and p0["best"] == real["best"]
    assert extra["training"]["steps"] == real["training"]["steps"]


def test_every_row_but_one_control_sees_as_many_samples(table1: SimpleNamespace) -> None:
    counts = {name: m.plan().samples(1) for name, m in table1.rows.METHODS.items()}
    others = {count for name, count in counts.items() if name not in ("single", "replace")}
    assert others == {2} and counts["single"] == counts["replace"] == 1


def test_painting_with_chance_zero_needs_no_generator(table1: SimpleNamespace) -> None:
    needs = {name for name, method in table1.rows.METHODS.items() if method.needs_generator}
    assert needs == {"synbt", "tuned", "steps10", "p25", "p50", "p75", "replace"}


def test_the_papers_table_has_its_twelve_rows(table1: SimpleNamespace) -> None:
    assert len(table1.rows.PAPER) == 12
    assert table1.rows.PAPER["swinunetr", "synbt"] == (0.7580, 33.99, 11.60)


def test_no_phantom_of_one_part_is_in_another(table1: SimpleNamespace) -> None:
    config, small = table1.config, table1.config.SIZES["small"]
    parts = [
        range(first, first + count)
        for first, count in (
            (config.FIRST_LABELLED, small.labelled),
            (config.FIRST_EXTRA, small.extra),
            (config.FIRST_VALIDATION, small.validation),
            (config.FIRST_TEST, small.test),
        )
    ]
    seeds = [seed for part in parts for seed in part]
    assert len(set(seeds)) == len(seeds) and min(seeds) >= 20_000
    assert min(parts[2]) >= 1_000_000 and min(parts[3]) >= 1_000_000
    assert small.test >= 200


def test_another_configuration_in_the_same_folder_is_refused(
    table1: SimpleNamespace, tmp_path: Path
) -> None:
    from dataclasses import replace

    tiny = table1.config.SIZES["tiny"]
    table1.config.remember(tmp_path, tiny, None)
    table1.config.remember(tmp_path, tiny, None)
    with pytest.raises(SynBTError, match=r"another configuration \(test\)"):
        table1.config.remember(tmp_path, replace(tiny, test=3), None)


def test_the_cost_counts_three_passes_a_step(table1: SimpleNamespace) -> None:
    preset = table1.config.SIZES["tiny"].preset
    counted = table1.cost.forward_flop(preset, "unet", "patch")
    # One convolution by hand: 3^3 x 2 -> 4 channels over 16^3, twice for multiply and add.
    assert counted > 2 * 27 * 2 * 4 * 16**3
    assert table1.cost.forward_flop(preset, "unet", "volume") == pytest.approx(8 * counted)
    assert torch.get_default_device() == torch.device("cpu")


def test_the_papers_size_states_its_gpu_hours_and_wants_its_data(
    table1: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SynBTError, match="count phantoms: MAMA-MIA has its split"):
        table1.main.main(["--size", "paper", "-o", str(tmp_path), "--labelled", "50"])
    with pytest.raises(SynBTError, match="of MAMA-MIA: give its folder with --data"):
        table1.main.main(["--size", "paper", "-o", str(tmp_path), "--networks", "unet"])
    said = capsys.readouterr().out
    assert "GPU-hours on one A100, estimated" in said and "SynBT-UNet" in said


def test_a_row_that_was_painted_otherwise_is_not_taken_for_one_of_this_table(
    table1: SimpleNamespace, tmp_path: Path
) -> None:
    tiny, rows, run = table1.config.SIZES["tiny"], table1.rows, table1.run
    now = run.painting_of(rows.METHODS["synbt"], {"precision": tiny.painting})
    assert now["precision"] == "fp32" and now["steps"] == DEFAULT_STEPS
    row, path = rows.Row("unet", "synbt", 0), tmp_path / "unet/synbt/seed0.json"
    path.parent.mkdir(parents=True)
    write_json(path, {"painting": now})
    assert run.run_row(row, tiny, None, tmp_path)["painting"] == now
    write_json(path, {"painting": {**now, "steps": 10}})
    with pytest.raises(SynBTError, match=r"'steps': 10.*away to train that row again"):
        run.run_row(row, tiny, None, tmp_path)
    # What paints nothing, or without a generator, depends on none of it.
    assert run.painting_of(rows.METHODS["p0"], {}) is None
    assert run.painting_of(rows.METHODS["syntumor"], {}) is None
