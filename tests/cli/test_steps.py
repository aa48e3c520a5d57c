from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from synbt_aug.cli.steps import StepFailed, Steps, find_program, run_program
from synbt_aug.errors import SynBTError


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_everything_a_program_says_is_in_its_log_and_told_line_by_line(tmp_path: Path) -> None:
    told: list[str] = []
    code = "import sys; print('one'); print('two', file=sys.stderr)"
    log = tmp_path / "logs" / "a.log"
    environment = dict(os.environ) | {"PYTHONUNBUFFERED": "1"}
    run_program(_python(code), environment, log, what="The step", on_line=told.append)
    assert told == ["one\n", "two\n"]
    assert log.read_text().splitlines()[0].startswith("$ ") and "two" in log.read_text()


def test_a_program_that_fails_leaves_its_last_lines(tmp_path: Path) -> None:
    code = "[print(k) for k in range(40)]; raise SystemExit(3)"
    with pytest.raises(
        StepFailed, match=r"The step failed with exit code 3; it last said: 39\."
    ) as e:
        run_program(_python(code), os.environ, tmp_path / "a.log", what="The step")
    assert e.value.lines == tuple(str(k) for k in range(25, 40))
    assert str(tmp_path / "a.log") in str(e.value)


def test_a_program_sees_the_environment_it_is_given_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOT_FOR_YOU", "1")
    told: list[str] = []
    code = "import os; print('NOT_FOR_YOU' in os.environ, os.environ['FOR_YOU'])"
    run_program(
        _python(code), {"FOR_YOU": "x"}, tmp_path / "a.log", what="The step", on_line=told.append
    )
    assert told == ["False x\n"]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are POSIX")
def test_an_interrupt_ends_the_program_and_its_children(tmp_path: Path) -> None:
    # The program starts a child, tells its number and waits; the interrupt comes when it has.
    code = (
        "import subprocess, sys, time;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    children: list[int] = []

    def on_line(line: str) -> None:
        children.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_program(_python(code), os.environ, tmp_path / "a.log", what="It", on_line=on_line)
    deadline = time.monotonic() + 10
    while _runs(children[0]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(children[0])


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(SynBTError, match="synbt-no-such-program is needed, but is neither beside"):
        find_program("synbt-no-such-program")
    assert Path(find_program(Path(sys.executable).name)).exists()


def test_steps_that_are_complete_are_kept_until_one_before_them_changes(tmp_path: Path) -> None:
    done: list[str] = []

    def run(stamp: int) -> Steps:
        steps = Steps(tmp_path / "steps", {"version": 1})
        for name, on in (("one", 0), ("two", stamp), ("three", 0)):
            place = tmp_path / name

            def work(name: str = name, place: Path = place) -> None:
                assert not place.exists()
                place.mkdir()
                done.append(name)

            steps.do(name, {"on": on}, work, [place])
        return steps

    run(0)
    assert done == ["one", "two", "three"]
    assert run(0).kept == ["one", "two", "three"] and len(done) == 3
    assert run(1).kept == ["one"] and done[3:] == ["two", "three"]


def test_a_step_that_failed_or_lost_its_output_is_done_again(tmp_path: Path) -> None:
    place = tmp_path / "made"

    def breaks() -> None:
        place.mkdir()
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        Steps(tmp_path / "steps", {}).do("one", {}, breaks, [place])
    assert Steps(tmp_path / "steps", {}).do("one", {}, place.mkdir, [place])
    assert not Steps(tmp_path / "steps", {}).do("one", {}, place.mkdir, [place])
    place.rmdir()
    assert Steps(tmp_path / "steps", {}).do("one", {}, place.mkdir, [place])


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody waited for has ended, too.
    state = Path(f"/proc/{number}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")
