"""Steps of a longer job: other programs with a log each, what is done kept, what failed told.

A step that was completed with the same stamp is not run again, as long as all steps before it
were not run again either.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json

_LAST_LINES = 15
_GRACE_S = 3.0


class StepFailed(SynBTError):
    """A program that a step ran has failed.

    Args:
        what: The step.
        code: Its exit code.
        log: Where all that it said is.
        lines: The last lines of it.
    """

    def __init__(self, what: str, code: int, log: Path, lines: Sequence[str]) -> None:
        self.what, self.code, self.log, self.lines = what, code, log, tuple(lines)
        last = next((line for line in reversed(self.lines) if line.strip()), "nothing")
        super().__init__(f"{what} failed with exit code {code}; it last said: {last}. Log: {log}")


class Steps:
    """The steps of one job.

    Args:
        folder: Where records of completed steps are kept.
        stamp: What all steps depend on, JSON-ready, such as a version.
    """

    def __init__(self, folder: Path, stamp: Mapping[str, Any]) -> None:
        self.folder, self.stamp = folder, dict(stamp)
        self.afresh = False
        self.seconds: dict[str, float] = {}
        self.kept: list[str] = []

    def do(
        self,
        name: str,
        stamp: Mapping[str, Any],
        work: Callable[[], object],
        makes: Sequence[Path] = (),
    ) -> bool:
        """Do a step, if it was not done before.

        Args:
            name: Of the step.
            stamp: What it depends on, JSON-ready.
            work: What it does.
            makes: Folders that hold its output alone; removed before it is done again.

        Returns:
            Whether it was done now.
        """
        record = self.folder / f"{name.replace(' ', '-')}.json"
        wanted = self.stamp | dict(stamp)
        before = None if self.afresh else _record(record)
        if before and before["stamp"] == wanted and all(place.exists() for place in makes):
            self.seconds[name] = float(before["seconds"])
            self.kept.append(name)
            return False
        self.afresh = True
        record.unlink(missing_ok=True)
        for place in makes:
            shutil.rmtree(place, ignore_errors=True)
        start = time.perf_counter()
        work()
        self.seconds[name] = time.perf_counter() - start
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(record, {"stamp": wanted, "seconds": self.seconds[name]})
        return True


def _record(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = read_json(path)
    except SynBTError:
        return None
    return found if isinstance(found, dict) and {"stamp", "seconds"} <= set(found) else None


def run_program(
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    *,
    what: str,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Run a program, everything it says into a log.

    Stopped with all its children when this process is interrupted.

    Args:
        command: Found beside this Python before it is looked for in PATH.
        environment: All of it.
        log: Written anew.
        what: The step, for the error.
        on_line: Called with each line.

    Raises:
        StepFailed: If it ends with another exit code than 0.
        SynBTError: If there is no such program.
    """
    program = find_program(command[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with (
        log.open("w", encoding="utf-8") as file,
        # A session of its own: its workers are stopped with it.
        subprocess.Popen(
            [program, *command[1:]],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as running,
    ):
        try:
            file.write(f"$ {shlex.join(command)}\n")
            assert running.stdout is not None
            for line in running.stdout:
                file.write(line)
                file.flush()
                last.append(line.rstrip())
                if on_line is not None:
                    on_line(line)
            code = running.wait()
        except BaseException:
            _stop(running)
            raise
    if code != 0:
        raise StepFailed(what, code, log, list(last))


def find_program(name: str) -> str:
    """A program of this Python's environment, activated or not; else one in PATH.

    Raises:
        SynBTError: If there is none.
    """
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    if found := beside or shutil.which(name):
        return found
    raise SynBTError(
        f"{name} is needed, but is neither beside {sys.executable} nor in PATH. "
        f"Install again: pip install --force-reinstall --no-deps nnunetv2"
    )


def _stop(running: subprocess.Popen[str]) -> None:
    def send(number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(running.pid, number)
            else:
                running.kill()

    send(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(_GRACE_S)
    # Workers may outlive their parent.
    send(getattr(signal, "SIGKILL", signal.SIGTERM))
    running.wait()
