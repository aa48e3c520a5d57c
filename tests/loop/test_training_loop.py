"""The shared third of training: limits, checkpoints, resumption, signals."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from synbt_aug.errors import SynBTError
from synbt_aug.loop.training_loop import (
    TrainingRun,
    best_precision,
    differences,
    fresh_weights,
    make_fabric,
    seeded_generator,
)
from synbt_aug.loop.training_step import AveragedWeights, descend, learning_rate, set_learning_rate
from synbt_aug.support.folder_lock import refuse_locked
from synbt_aug.support.interruption import Interrupted, exit_code

SOURCE = Path(__file__).parents[2] / "src"


def train(folder: Path, steps: int, *, stop_at: int | None = None, **options: Any) -> TrainingRun:
    """A line is fitted to noise; returns the finished or interrupted run."""
    fabric = make_fabric(accelerator="cpu", precision="32-true")
    with fresh_weights(0):
        line = nn.Linear(3, 1)
    average = AveragedWeights(line, 0.9)
    optimizer = torch.optim.Adam(line.parameters(), lr=0.1)
    network, optimizer = fabric.setup(line, optimizer)
    options = {"settings": {"a": 1}, "max_steps": steps, "log_every": 2, **options}
    parts = {"line": line, "optimizer": optimizer, "average": average}
    run = TrainingRun(fabric, folder, name="fit", parts=parts, tensorboard=False, **options)
    with contextlib.suppress(Interrupted), run:
        for step in run:
            x = torch.randn(8, 3, generator=run.generator())
            rate = learning_rate(0.1, step, run.progress, warmup_steps=2)
            set_learning_rate(optimizer, rate)
            loss = (network(x) - x.sum(1, keepdim=True)).square().mean()
            descend(fabric, loss, network, optimizer)
            average.update(line)
            run.log(loss=loss)
            if step == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
    return run


def run_of_nothing(folder: Path, **options: Any) -> TrainingRun:
    fabric = make_fabric(accelerator="cpu", precision="32-true")
    options = {"parts": {}, "settings": {}, **options}
    return TrainingRun(fabric, folder, name="nothing", tensorboard=False, **options)


def saved(folder: Path) -> dict:
    return torch.load(folder / "fit.checkpoint.pt", weights_only=True)


def assert_equal(a: Any, b: Any) -> None:
    """Nested states are bitwise equal."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_equal(left, right)
    else:
        assert a == b


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tmp_path: Path) -> None:
    train(tmp_path / "whole", 11)
    cut = train(tmp_path / "parts", 11, stop_at=4)
    assert cut.stopped_by == signal.SIGTERM and cut.step == 5 and not cut.finished
    rest = train(tmp_path / "parts", 11, resume=True)
    assert rest.step == 11 and rest.finished
    assert_equal(saved(tmp_path / "whole")["parts"], saved(tmp_path / "parts")["parts"])


def test_the_log_of_a_resumed_run_has_every_line_once(tmp_path: Path) -> None:
    train(tmp_path, 10, stop_at=4)
    train(tmp_path, 10, resume=True)
    lines = [json.loads(line) for line in (tmp_path / "fit.log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10]
    assert all(line["loss"] > 0 and line["elapsed_s"] >= 0 for line in lines)


def test_sigterm_from_outside_leaves_a_checkpoint_that_resumes(tmp_path: Path) -> None:
    script = f"""
        import sys; sys.path[:0] = [{str(SOURCE)!r}, {str(Path(__file__).parent)!r}]
        from pathlib import Path
        from test_training_loop import train
        print("ready", flush=True)
        print(train(Path({str(tmp_path)!r}), 10_000_000).stopped_by, flush=True)
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 30
    while not (tmp_path / "fit.log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    child.terminate()
    rest, _ = child.communicate(timeout=30)
    assert rest == "15\n" and child.returncode == 0
    step = saved(tmp_path)["step"]
    assert step > 0
    assert train(tmp_path, step + 3, resume=True).step == step + 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_raised_with_its_exit_code_once_the_checkpoint_is_written(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    run = run_of_nothing(tmp_path, max_steps=9)
    with pytest.raises(Interrupted, match=f"nothing was stopped by {number.name}") as stop, run:
        for step in run:
            if step == 3:
                os.kill(os.getpid(), number)
    assert exit_code(stop.value) == code and not run.finished
    assert torch.load(tmp_path / "nothing.checkpoint.pt", weights_only=True)["step"] == 4


def test_a_signal_during_preparation_is_raised_and_writes_nothing(tmp_path: Path) -> None:
    run, done = run_of_nothing(tmp_path, max_steps=9), []

    def work() -> Iterator[int]:
        for number in range(100):
            if number == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            done.append(number)
            yield number

    with pytest.raises(Interrupted, match="nothing, encoding, was stopped by SIGTERM"), run:
        run.prepare("encoding", work(), 100)
    assert done == [0, 1, 2] and not (tmp_path / "nothing.checkpoint.pt").exists()


def test_asked_twice_it_does_not_wait_for_the_end_of_the_step(tmp_path: Path) -> None:
    run, after = run_of_nothing(tmp_path, max_steps=9), []
    with pytest.raises(Interrupted) as stop, run:
        for _ in run:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            after.append(1)
    assert after == [] and exit_code(stop.value) == 143
    assert not (tmp_path / "nothing.checkpoint.pt").exists()


def test_preparation_is_not_counted_as_time(tmp_path: Path) -> None:
    run = run_of_nothing(tmp_path, max_time_s=0.2, min_steps=2)
    with run:
        run.prepare("encoding", (time.sleep(0.05) for _ in range(10)), 10)
        assert run.elapsed_s == 0.0
        for _ in run:
            time.sleep(0.01)
    assert run.step >= 2 and run.elapsed_s < 0.45


def test_a_time_box_too_short_for_weights_is_an_error_and_can_be_gone_on_with(
    tmp_path: Path,
) -> None:
    written: list[int] = []
    options: dict[str, Any] = {"min_steps": 3, "on_save": lambda run: written.append(run.step)}
    run = run_of_nothing(tmp_path, max_time_s=0.0, **options)
    with pytest.raises(SynBTError, match="0 steps in 0:00, fewer than the 3 .* longer --max-"), run:
        for _ in run:
            pass
    assert written == []
    again = run_of_nothing(tmp_path, max_time_s=0.2, resume=True, **options)
    with again:
        for _ in again:
            time.sleep(0.01)
    assert written == [again.step] and again.step >= 3


def test_a_run_of_fewer_steps_than_weights_need_is_what_was_asked_for(tmp_path: Path) -> None:
    run = run_of_nothing(tmp_path, max_steps=2, min_steps=100)
    with run:
        assert len(list(run)) == 2


def test_a_finished_run_that_is_resumed_writes_nothing(tmp_path: Path) -> None:
    train(tmp_path, 3)
    path = tmp_path / "fit.checkpoint.pt"
    before = path.stat().st_mtime_ns

    def never(run: TrainingRun) -> None:
        raise AssertionError("weights of an earlier stage would replace the later one's")

    again = train(tmp_path, 3, resume=True, on_save=never)
    assert again.finished and path.stat().st_mtime_ns == before


def test_steps_and_preparation_are_told_where_nobody_watches(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="synbt_aug"):
        run = run_of_nothing(tmp_path, max_steps=4)
        with run:
            run.prepare("encoding", range(3), 3)
            assert len(list(run)) == 4
    assert caplog.messages == [
        "nothing: encoding: 0 of 3",
        "nothing: encoding: 3 of 3",
        "nothing: step 0",
        "nothing: step 4",
        "nothing: 4 steps in 0:00",
    ]


LOCKED = """
    import sys; sys.path[:0] = [{source!r}, {here!r}]
    import time
    from pathlib import Path
    from test_training_loop import run_of_nothing
    run = run_of_nothing(Path(sys.argv[1]), max_steps=10_000_000)
    with run:
        for step in run:
            print(step, flush=True)
            time.sleep(0.01)
"""


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_a_folder_takes_one_training_and_a_killed_one_leaves_it_free(tmp_path: Path) -> None:
    script = LOCKED.format(source=str(SOURCE), here=str(Path(__file__).parent))
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "0\n"
    with pytest.raises(SynBTError, match=rf"is being trained in by process {child.pid} on .*Wait"):
        train(tmp_path, 2)
    with pytest.raises(SynBTError, match="is being trained in by"):
        refuse_locked(tmp_path)
    child.kill()
    child.communicate(timeout=30)
    (tmp_path / ".fit-unfinished-1.checkpoint.pt").touch()
    refuse_locked(tmp_path)
    assert train(tmp_path, 2).finished
    assert not list(tmp_path.glob("*unfinished*"))


def test_two_runs_of_one_process_do_not_share_a_folder(tmp_path: Path) -> None:
    with run_of_nothing(tmp_path, max_steps=2), pytest.raises(SynBTError, match="being trained"):
        train(tmp_path, 2)
    assert train(tmp_path, 2).finished


def test_an_error_leaves_the_last_checkpoint_as_it_was(tmp_path: Path) -> None:
    train(tmp_path, 3)
    before = (tmp_path / "fit.checkpoint.pt").read_bytes()

    def broken(run: TrainingRun) -> None:
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        train(tmp_path, 9, resume=True, on_save=broken, save_every_s=0.0)
    assert list(tmp_path.glob("*unfinished*")) == []
    assert saved(tmp_path)["step"] in (3, 4)
    assert len(before) > 0


def test_handlers_of_signals_are_put_back(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(tmp_path, 2)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_time_box_ends_the_run_and_its_progress(tmp_path: Path) -> None:
    started = time.monotonic()
    run = train(tmp_path, 10**9, max_time_s=0.3)
    assert run.finished and time.monotonic() - started < 5
    assert run.elapsed_s == pytest.approx(0.3, abs=0.3)


def test_a_resumed_time_box_counts_what_was_spent(tmp_path: Path) -> None:
    first = train(tmp_path, 10**9, max_time_s=0.3)
    again = train(tmp_path, 10**9, max_time_s=0.3, resume=True)
    assert again.step == first.step and again.finished


def test_a_folder_with_a_run_is_refused_unless_it_is_resumed(tmp_path: Path) -> None:
    train(tmp_path, 2)
    with pytest.raises(SynBTError, match="Continue it with --resume"):
        train(tmp_path, 2)


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    train(tmp_path, 2, settings={"a": 1, "b": 2})
    with pytest.raises(SynBTError, match=r"made with other settings \(b 2, now 3; c None, now 0\)"):
        train(tmp_path, 3, settings={"a": 1, "b": 3, "c": 0}, resume=True)


def test_settings_within_settings_are_told_by_their_path() -> None:
    before = {"preset": {"rate": 0.1, "sizes": [1, 2]}, "cases": "a" * 16}
    now = {"preset": {"rate": 0.2, "sizes": [1, 3]}, "cases": "b" * 16}
    assert differences(before, now) == [
        f"cases {'a' * 16}, now {'b' * 16}",
        "preset.rate 0.1, now 0.2",
        "preset.sizes",
    ]
    assert differences(now, now) == []


@pytest.mark.parametrize("made", [True, False])
def test_there_must_be_a_run_to_resume(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "run"
    if made:
        folder.mkdir()
    with pytest.raises(SynBTError, match=r"holds no run to resume \(fit.checkpoint.pt is missing"):
        train(folder, 2, resume=True)
    assert folder.exists() == made


def test_a_run_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="needs an end"):
        train(tmp_path, 2, max_steps=None)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    fabric = make_fabric(accelerator="cpu", precision="32-true")
    run = TrainingRun(
        fabric, tmp_path, name="bad", parts={}, settings={}, max_steps=9, log_every=1,
        tensorboard=False,
    )  # fmt: skip
    with pytest.raises(SynBTError, match="not finite at step 1"), run:
        for _ in run:
            run.log(loss=float("nan"))
    assert not (tmp_path / "bad.checkpoint.pt").exists()


def test_one_loss_that_is_not_finite_is_left_out_of_the_mean(tmp_path: Path) -> None:
    fabric = make_fabric(accelerator="cpu", precision="32-true")
    run = TrainingRun(
        fabric, tmp_path, name="bad", parts={}, settings={}, max_steps=4, log_every=4,
        tensorboard=False,
    )  # fmt: skip
    with run:
        for step in run:
            run.log(loss=torch.tensor(math.nan) if step == 1 else torch.tensor(float(step)))
            run.log(plain=math.inf if step == 2 else float(step))
    (line,) = (json.loads(text) for text in (tmp_path / "bad.log.jsonl").read_text().splitlines())
    assert line["loss"] == pytest.approx(5 / 3) and line["plain"] == pytest.approx(4 / 3)


def test_a_log_line_cut_short_by_a_kill_does_not_stop_a_resumption(tmp_path: Path) -> None:
    train(tmp_path, 4)
    log = tmp_path / "fit.log.jsonl"
    whole = log.read_text()
    log.write_text(whole + '{"step": 4, "el')
    train(tmp_path, 6, resume=True)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [2, 4, 6]


def test_a_gradient_that_is_not_finite_makes_no_step() -> None:
    fabric = make_fabric(accelerator="cpu", precision="32-true")
    line = nn.Linear(1, 1)
    before = line.weight.detach().clone()
    network, optimizer = fabric.setup(line, torch.optim.SGD(line.parameters(), lr=1.0))
    bad = network(torch.full((1, 1), float("inf"))).sum()
    assert not descend(fabric, bad, network, optimizer)
    assert torch.equal(line.weight, before)
    assert descend(fabric, network(torch.ones(1, 1)).sum(), network, optimizer)


def test_the_rate_warms_up_stays_and_falls_to_its_floor() -> None:
    def rate(step: int, progress: float) -> float:
        return learning_rate(2.0, step, progress, warmup_steps=10, decay_from=0.5, floor=0.1)

    assert rate(0, 0.0) == pytest.approx(0.2)
    assert rate(9, 0.1) == rate(99, 0.5) == 2.0
    assert rate(99, 0.75) == pytest.approx(1.0)
    assert rate(99, 1.0) == pytest.approx(0.2)


def test_a_rate_that_never_decays_stays() -> None:
    assert learning_rate(1.0, 1000, 1.0, decay_from=1.0) == 1.0


def test_the_average_follows_and_can_be_written_back() -> None:
    line = nn.Linear(1, 1, bias=False)
    nn.init.constant_(line.weight, 0.0)
    average = AveragedWeights(line, decay=0.5)
    nn.init.constant_(line.weight, 1.0)
    average.update(line)  # decay min(.5, 1 / 10)
    assert average.values[0].item() == pytest.approx(0.9)
    average.copy_to(line)
    assert line.weight.item() == pytest.approx(0.9)


def test_generators_depend_on_every_number() -> None:
    def draw(*numbers: int) -> int:
        return int(torch.randint(2**31, (), generator=seeded_generator(*numbers)))

    assert draw(0, 1, 2) == draw(0, 1, 2)
    assert len({draw(0, 1, 2), draw(0, 2, 1), draw(1, 1, 2), draw(0, 1)}) == 4


def test_nothing_global_is_seeded(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    train(tmp_path, 3)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_precision_is_one_that_fabric_knows() -> None:
    assert best_precision(on_cpu=True) in ("32-true", "bf16-mixed")
