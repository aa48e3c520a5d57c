"""Training of segmenters: what is kept, what is resumed, what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from segmentation_cases import BallPainter, named_case
from synbt_aug.errors import SynBTError
from synbt_aug.support.case_ids import case_keys
from synbt_aug.support.files import read_json
from synbt_aug.support.interruption import Interrupted
from synbt_aug.train import segmentation
from synbt_aug.train.segmentation import BestSoFar, train_segmentation
from synbt_aug.train.segmentation_predict import Predictor, dice
from synbt_aug.train.segmentation_preset import segmentation_preset
from synbt_aug.train.segmentation_synthetic import SyntheticPlan
from synbt_aug.train.segmenters import load_trained

TINY = replace(segmentation_preset("tiny"), epochs=6, steps_per_epoch=2, learning_rate=3e-3)
ADD = SyntheticPlan("syntumor", "add")
CPU: dict[str, Any] = {"accelerator": "cpu", "precision": "32-true", "field_of_view": "patch"}


@pytest.fixture(scope="module")
def cases():
    return [named_case(0, side=40), named_case(1, side=40)]


@pytest.fixture(scope="module")
def validation():
    return [named_case(2, side=40), named_case(3, side=40)]


def losses(folder: Path) -> list[float]:
    return logged(folder, "loss")


def logged(folder: Path, name: str) -> list[float]:
    lines = (folder / "segmentation.log.jsonl").read_text().splitlines()
    return [json.loads(line)[name] for line in lines]


def train(folder: Path, cases, validation, **given: Any) -> dict[str, Any]:
    """A patch U-Net with an added ball, or what is given; gives the JSON."""
    options = {"plan": ADD, "painter": BallPainter(), "log_every": 1, **CPU, **given}
    preset = options.pop("preset", TINY)
    train_segmentation(cases, validation, preset, folder, **options)
    return read_json(folder / "best.json")


def test_the_best_checkpoint_is_the_best_of_all_validations(
    tmp_path: Path, cases, validation
) -> None:
    facts = train(tmp_path, cases, validation)
    history = facts["best"]["history"]
    assert [step for step, _ in history] == [2, 4, 6, 8, 10, 12]
    best = max(value for _, value in history)
    assert facts["best"]["dice"] == best
    assert facts["best"]["step"] == next(step for step, value in history if value == best)
    # The file holds the weights of that step: they reach the same Dice again.
    predictor = Predictor(load_trained(tmp_path), TINY, "patch")
    again = sum(dice(predictor(c.q), c.tumor > 0) for c in validation) / len(validation)
    assert again == pytest.approx(best, abs=1e-6)


def test_the_first_of_equals_stays_the_best() -> None:
    best = BestSoFar()
    assert best.note(1, 0.0) and not best.note(2, 0.0) and best.note(3, 0.1)
    assert not best.note(4, 0.05) and best.step == 3 and best.validated(4)
    other = BestSoFar()
    other.load_state_dict(best.state_dict())
    assert other == best


def test_validation_never_sees_a_synthetic_tumor(
    tmp_path: Path, cases, validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    before = [case.q.clone() for case in validation]

    class Watched(Predictor):
        def __call__(self, q: torch.Tensor) -> torch.Tensor:
            seen.append(q)
            return super().__call__(q)

    monkeypatch.setattr(segmentation, "Predictor", Watched)
    painter = BallPainter()
    train(tmp_path, cases, validation, painter=painter)
    assert painter.calls == 12 and len(seen) == 12
    assert all(torch.equal(q, before[k % 2]) for k, q in enumerate(seen))


def test_equal_steps_and_samples_whatever_is_painted(tmp_path: Path, cases, validation) -> None:
    for name, plan in (("none", SyntheticPlan("none", "add")), ("some", ADD)):
        train(tmp_path / name, cases, validation, plan=plan)
    assert len(losses(tmp_path / "none")) == len(losses(tmp_path / "some")) == 12
    assert losses(tmp_path / "none") != losses(tmp_path / "some")


@pytest.mark.parametrize("stop_at", [3, 4])
def test_a_resumed_run_ends_where_the_uninterrupted_one_does(
    tmp_path: Path, cases, validation, stop_at: int
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = train(whole, cases, validation)

    class Stopping(BallPainter):
        def __call__(self, crop, *, generator):
            if self.calls == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__call__(crop, generator=generator)

    with pytest.raises(Interrupted, match="segmentation was stopped by SIGTERM"):
        train(parts, cases, validation, painter=Stopping())
    assert len(losses(parts)) == stop_at + 1
    assert not read_json(parts / "best.json")["training"]["finished"]
    found = train(parts, cases, validation, resume=True)
    assert found["best"] == expected["best"] and found["training"]["finished"]
    assert losses(parts) == losses(whole)
    one, other = load_trained(whole).state_dict(), load_trained(parts).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_folder_of_other_settings_is_refused(tmp_path: Path, cases, validation) -> None:
    short = replace(TINY, epochs=1)
    train(tmp_path, cases, validation, preset=short)
    with pytest.raises(SynBTError, match="Continue it with --resume"):
        train(tmp_path, cases, validation, preset=short)
    with pytest.raises(SynBTError, match=r"other settings \(synthetic"):
        plan = SyntheticPlan("syntumor", "add", 0.5)
        train(tmp_path, cases, validation, preset=short, plan=plan, resume=True)


def test_what_painted_is_named_in_the_result(tmp_path: Path, cases, validation) -> None:
    facts = train(tmp_path, cases, validation, preset=replace(TINY, epochs=1))
    assert facts["generator"] == {"weights": "a ball"}
    assert facts["synthetic"]["probability"] == 1.0
    assert facts["synthetic"]["injection"]["texture"] == "syntumor"
    assert facts["cases"] == case_keys(["case_0", "case_1"])
    assert facts["validation"] == case_keys(["case_2", "case_3"])
    assert "Whoever holds an id" in facts["privacy"]


def test_what_cannot_be_trained_is_refused(tmp_path: Path, cases, validation) -> None:
    with pytest.raises(SynBTError, match="multiples of 4, but the patch is"):
        train(tmp_path, cases, validation, preset=replace(TINY, patch=(30, 30, 30)))
    with pytest.raises(SynBTError, match="give --val or --fold"):
        train(tmp_path, cases, [])
    with pytest.raises(SynBTError, match=r"1 training cases are held-out cases, too \(case_1"):
        train(tmp_path, cases, validation, held_out=["case_1"])
    with pytest.raises(SynBTError, match=r"1 training cases are held-out cases, too \(case_3"):
        train(tmp_path, cases, validation, supplement=[named_case(3, side=40)])
    with pytest.raises(SynBTError, match=r"\(DUKE_001_phase2, ...\)"):
        phase = named_case(1, side=40, name="DUKE_001_phase2")
        train(tmp_path, [phase], validation, held_out=["duke_001"])
    bare = replace(named_case(7, side=40), labelled=False)
    for learned, chosen in (([*cases, bare], validation), (cases, [bare])):
        with pytest.raises(SynBTError, match=r"1 cases have no tumor mask \(case_7\)"):
            train(tmp_path, learned, chosen)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_two_processes_lose_what_one_does_with_the_same_global_batch(
    tmp_path: Path, cases, validation
) -> None:
    script = tmp_path / "two.py"
    here = Path(__file__).parents[1]
    script.write_text(
        textwrap.dedent(f"""
            import sys, warnings; warnings.simplefilter("ignore")
            sys.path[:0] = [{str(here.parent / "src")!r}, {str(here)!r}, {str(here / "train")!r}]
            import torch; torch.set_num_threads(1)
            from segmentation_cases import BallPainter, named_case
            from synbt_aug.train.segmentation import train_segmentation
            from synbt_aug.train.segmentation_preset import segmentation_preset
            from synbt_aug.train.segmentation_synthetic import SyntheticPlan
            from dataclasses import replace

            cases = [named_case(k, side=40) for k in range(4)]
            preset = replace(segmentation_preset("tiny"), epochs=1, steps_per_epoch=3,
                             learning_rate=3e-3)
            for name in ("unet", "nnunet"):
                train_segmentation(cases[:2], cases[2:], preset, {str(tmp_path)!r} + "/2" + name,
                    network=name, field_of_view="patch", plan=SyntheticPlan("syntumor", "add"),
                    painter=BallPainter(), log_every=1, devices=2, accelerator="cpu",
                    precision="32-true")
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    preset = replace(TINY, epochs=1, steps_per_epoch=3)
    for name in ("unet", "nnunet"):
        one, two = tmp_path / f"1{name}", tmp_path / f"2{name}"
        alone = train(one, cases, validation, preset=preset, network=name)
        assert losses(two) == pytest.approx(losses(one), abs=1e-4)
        # One process has the real sample of each step, the other the painted one.
        assert logged(two, "synthetic") == logged(one, "synthetic") == [0.5] * 3
        together = read_json(two / "best.json")
        assert together["best"]["dice"] == pytest.approx(alone["best"]["dice"], abs=1e-3)


def test_a_batch_that_devices_cannot_share_is_refused(
    tmp_path: Path, cases, validation, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = segmentation.make_fabric(accelerator="cpu", precision="32-true")

    class Three:
        world_size, global_rank, device = 3, 0, made.device

    monkeypatch.setattr(segmentation, "make_fabric", lambda **given: Three())
    with pytest.raises(SynBTError, match="3 devices share the 2 samples of a step: give --batch"):
        train(tmp_path, cases, validation)
