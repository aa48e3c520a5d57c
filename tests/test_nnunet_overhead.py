"""The table of nnU-Net's iterations is printed whatever becomes of one training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="benchmarks are in the repository alone"
)

#: The benchmark with trainings that take no time, of which the third goes wrong.
PRETEND = """
import os, signal, sys
import nnunet_overhead as benchmark

made, wrong = [], os.environ["WRONG"]

def iterations(label, plans, workers, given):
    made.append(label)
    if len(made) == 3 and wrong == "fails":
        raise RuntimeError("out of memory")
    if len(made) == 3 and wrong == "is ended":
        # As while nnU-Net prints its log.
        sys.stdout = sys.stderr
        os.kill(os.getpid(), signal.SIGTERM)
    return [0.2, 0.1, 0.3] if label == "nnUNetTrainer" else [0.5, 0.2, 0.3]

benchmark.prepare = lambda *_: {"configurations": {"3d_fullres": {"patch_size": [64, 48, 32]}}}
benchmark.iterations = iterations
benchmark.main()
"""


@pytest.mark.parametrize(
    ("wrong", "code", "further"),
    [
        (
            "fails",
            1,
            [
                "| SynBT, p = .5 | 2 | 0 | failed | | |",
                "| SynBT, p = 1 | 2 | 1 | 0.3000 | 0.0000 | +50.0% |",
                "| SynBT, p = 1, looking ahead | 2 | 1 | 0.3000 | 0.0000 | +50.0% |",
            ],
        ),
        ("is ended", 143, []),
    ],
)
def test_what_was_measured_is_printed(
    tmp_path: Path, wrong: str, code: int, further: list[str]
) -> None:
    options = ["-o", str(tmp_path), "--device", "cpu", "--repeats", "1", "--workers", "2"]
    done = subprocess.run(
        [sys.executable, "-c", PRETEND, *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), *sys.path]), "WRONG": wrong},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    _, table = done.stdout.split("|---|---|---|---|---|---|\n")
    assert table.strip().split("\n") == [
        "| nnUNetTrainer | 2 | 1 | 0.2000 | 0.0000 | +0.0% |",
        "| SynBT, p = 0 | 2 | 1 | 0.3000 | 0.0000 | +50.0% |",
        *further,
    ]
    assert ("out of memory" in done.stderr) == (wrong == "fails")
