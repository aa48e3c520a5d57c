from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import adapt_stand_ins as stand_ins
from small_datasets import write_dataset
from some_weights import write_tiny_weights
from synbt_aug.cli import adapt as command
from synbt_aug.data.leaks import leaks
from synbt_aug.data.nnunet_raw import read_fold
from synbt_aug.support.files import read_json
from synbt_aug.weights import load_weights

pytest.importorskip("lightning_fabric")

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny untrained weights."""
    return write_tiny_weights(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of Dataset700_Breast: seven analytic breasts with a ball each."""
    folder = tmp_path_factory.mktemp("raw")
    write_dataset(folder / "Dataset700_Breast", 200.0, count=7)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of the test's own."""
    monkeypatch.setenv("SYNBT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_fold_is_adapted_to_by_its_number_and_only_its_training_cases_are_read(
    synbt: Callable,
    start: Path,
    raw: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setenv("nnUNet_raw", str(raw))
    dataset = raw / "Dataset700_Breast"
    train, validation = read_fold(dataset, 0)
    untouched = [dataset / "imagesTr" / f"{name}_0000.nii.gz" for name in validation]
    kept = {path: path.read_bytes() for path in untouched}
    for path in untouched:
        # Whoever reads it fails.
        path.write_bytes(b"")
    asked = stand_ins.given_figures(monkeypatch)
    said = synbt(
        *("adapt", "700", "--fold", "0", "-o", "ours", "--weights", start, "--max-time", "50s"),
        *("--device", "cpu", "--licence", "CC BY 4.0"),
    )
    for path, content in kept.items():
        path.write_bytes(content)
    assert said.code == 0, said.err
    assert "left out" not in said.out and "decoder 0:20, denoiser 0:30" in said.out
    assert "Own decoder: better on the cases held back, kept." in said.out
    assert "Own denoiser: worse on the cases held back, not kept." in said.out
    # Found by its name from now on.
    made, before = load_weights("ours"), load_weights(start)
    assert made.name == "ours"
    held = {name for names in asked for name in names}
    assert len(held) == 2 and held < train and all(set(names) == held for names in asked)
    assert {template.source for template in made.bank.templates}.isdisjoint(held | validation)
    # The decoder moved; what gives latents their meaning did not, and no denoiser that lost.
    encoder, codebook, decoder = (
        [before.autoencoder.state_dict()[k].equal(v) for k, v in state if k.startswith(part)]
        for state in [list(made.autoencoder.state_dict().items())]
        for part in ("encoder.", "codebook.", "decoder.")
    )
    assert all(encoder) and all(codebook) and not all(decoder)
    kept = zip(made.denoiser.parameters(), before.denoiser.parameters(), strict=True)
    assert all(a.equal(b) for a, b in kept)
    # What it says of itself names nobody, and tells what it may reveal.
    card = made.card["adapted"]
    assert card["licence"] == "CC BY 4.0" and card["fold"] == 0
    assert card["from"]["digest"] == before.digest
    assert "store none" in card["reveals"] and card["kept"]["decoder"]
    assert card["after"]["values"] == stand_ins.BETTER
    manifest = (home / "weights" / "ours" / "manifest.json").read_text()
    assert "case" in str(train) and not any(name in manifest for name in train | validation)
    # The right fold is trained with it, and every other one is refused.
    assert leaks(made, made.bank, validation) == []
    other = read_fold(raw / "Dataset700_Breast", 1)[1]
    assert sorted(name for _, names in leaks(made, made.bank, other) for name in names)
    # Pictures stay outside of what is passed on, and checkpoints are gone.
    run = home / "weights" / "ours-run"
    assert (run / "report.html").is_file() and (run / "sheet.png").is_file()
    assert not list(run.rglob("*.pt")) and not list((home / "weights" / "ours").glob("*.png"))


def test_nothing_that_won_leaves_the_networks_and_says_so(
    synbt: Callable, start: Path, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins.given_figures(monkeypatch, [stand_ins.BASE] + [stand_ins.WORSE] * 3)
    said = synbt(*adapting(raw, start, tmp_path / "ours"))
    assert said.code == 0, said.err
    assert "Neither network got better: the folder holds those that were started from" in said.out
    made, before = load_weights(tmp_path / "ours"), load_weights(start)
    assert "Own bank: worse on the cases held back, not kept." in said.out
    assert "Nothing got better; your own bank is in the folder all the same." in said.out
    assert made.card["adapted"]["kept"] == {"bank": True, "decoder": False, "denoiser": False}
    assert {t.source for t in made.bank.templates}.isdisjoint(
        t.source for t in before.bank.templates
    )
    for a, b in ((made.autoencoder, before.autoencoder), (made.denoiser, before.denoiser)):
        assert all(p.equal(q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert made.card["adapted"]["training_cases"].startswith("all")


def test_killed_in_a_training_and_resumed_it_ends_as_unbroken(
    synbt: Callable, start: Path, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    better = [stand_ins.BASE, stand_ins.BASE, stand_ins.BETTER]
    better.append({name: 4 * v if v > 1 else v / 4 for name, v in stand_ins.BETTER.items()})
    stand_ins.given_figures(monkeypatch, better)
    assert synbt(*adapting(raw, start, tmp_path / "whole")).code == 0
    program = [sys.executable, str(TESTS / "adapt_stand_ins.py")]
    killed = subprocess.run(
        [*program, *map(str, adapting(raw, start, tmp_path / "broken"))],
        env={**os.environ, "KILL_AT": "3", "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "broken").exists()
    assert (tmp_path / "broken-run" / "denoiser" / "denoiser.checkpoint.pt").is_file()
    said = synbt(*adapting(raw, start, tmp_path / "broken"))
    assert said.code == 2 and "Go on with it by --resume" in said.err
    # The figures of the start, the bank and the decoder are there already.
    stand_ins.given_figures(monkeypatch, better[3:])
    said = synbt(*adapting(raw, start, tmp_path / "broken"), "--resume")
    assert said.code == 0, said.err
    whole, broken = load_weights(tmp_path / "whole"), load_weights(tmp_path / "broken")
    assert whole.card["adapted"]["kept"] == {"bank": True, "decoder": True, "denoiser": True}
    for a, b in ((whole.autoencoder, broken.autoencoder), (whole.denoiser, broken.denoiser)):
        assert all(p.equal(q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    assert broken.bank.digest == whole.bank.digest
    start_denoiser = load_weights(start).denoiser.parameters()
    assert not all(
        torch.equal(p, q) for p, q in zip(whole.denoiser.parameters(), start_denoiser, strict=True)
    )


def test_errors_come_before_any_case_is_read(
    synbt: Callable,
    start: Path,
    raw: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*arguments: object) -> str:
        said = synbt(*arguments)
        assert said.code == 2 and "Reading" not in said.err, said.err
        return said.err

    output = tmp_path / "ours"
    assert "has folds 0 to 4, not 9" in refused(*adapting(raw, start, output), "--fold", "9")
    (output / "x").mkdir(parents=True)
    assert "is there already. Choose another name" in refused(*adapting(raw, start, output))
    unnamed = adapting(raw, start, output)[:2] + adapting(raw, start, output)[4:]
    said = refused(*unnamed, "--fold", "0", "--resume")
    assert f"{home / 'weights' / 'Dataset700_Breast-fold0-run'} holds no run to go on" in said
    assert "Dataset700_Breast-all-run holds no run" in refused(*unnamed, "--resume")
    fresh = tmp_path / "other"
    assert "holds no run to go on with" in refused(*adapting(raw, start, fresh), "--resume")
    assert "weights needs 'shipped'" in refused(*adapting(raw, tmp_path / "none", fresh))
    few = write_dataset(tmp_path / "few", 200.0, count=3)
    assert "needs 5 cases with a tumor mask" in refused(*adapting(few, start, fresh))
    for label in (few / "labelsTr").iterdir():
        label.unlink()
    assert "has no case with a mask" in refused(*adapting(few, start, fresh))
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'synbt-aug[train]'" in refused(*adapting(raw, start, fresh))


def test_tumors_too_small_for_a_bank_are_told(
    synbt: Callable, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins.given_figures(monkeypatch)
    small = write_dataset(tmp_path / "small", 200.0, count=5, radius_mm=2.5)
    said = synbt(*adapting(small, start, tmp_path / "ours"))
    assert said.code == 2
    assert "needs 5 patients with a tumor of 6 mm or more" in said.err and "There are 0" in said.err


def test_a_run_goes_on_with_the_same_cases_alone(
    synbt: Callable, start: Path, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "ours-run"
    run.mkdir()
    (run / "adapt.json").write_text('{"cases": "others", "seed": 0}')
    said = synbt(*adapting(raw, start, tmp_path / "ours"), "--resume")
    assert said.code == 2 and "made with other settings (cases:" in said.err
    assert read_json(run / "adapt.json")["cases"] == "others"


def adapting(raw: Path, start: Path, output: Path) -> tuple[object, ...]:
    dataset = raw / "Dataset700_Breast" if (raw / "Dataset700_Breast").is_dir() else raw
    return (
        "adapt",
        dataset,
        "-o",
        output,
        "--weights",
        start,
        "--device",
        "cpu",
        # Never reached: on a slow machine too the trainings end by their steps.
        "--max-time",
        "30m",
    )
