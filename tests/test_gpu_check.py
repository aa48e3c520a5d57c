"""The page that benchmarks/gpu_check.sh writes: each part is told, whatever comes of the others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu_check.sh"

pytestmark = pytest.mark.skipif(
    not SCRIPT.is_file(), reason="benchmarks are in the repository alone"
)

PRETEND = """#!/bin/sh
case "$*" in
  *pytest*) echo "one test"; echo "it broke" >&2; exit 3 ;;
  *speed.py*)
    printf '# Speed\\n\\n## Calls\\n\\n| call | s |\\n'
    echo "steps ${SYNBT_STEPS-unset}" ;;
  *nnunet_overhead.py*) echo "# Iterations"; echo "| p = 1 | 2 |"; kill $$ ;;
  *) echo "a machine." ;;
esac
"""


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    python = folder / "python3"
    python.write_text(PRETEND)
    python.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(python), "SYNBT_STEPS": "9"}
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_part_that_fails_is_told_and_the_others_are_on_the_page(tmp_path: Path) -> None:
    done = run("--dry-run", "-o", "page.md", folder=tmp_path)
    page = (tmp_path / "page.md").read_text()
    assert done.returncode == 0 and done.stdout == page
    tests, speed, iterations = page.split("\n## ")[1:]
    assert tests.startswith("Tests\n\n```\none test\n```\n")
    assert "```\nit broke\n```\n\nExit code 3 after " in tests
    assert speed.startswith("Speed\n\n### Calls\n\n| call | s |\n") and "Exit code 0" in speed
    assert iterations.startswith("Seconds of an iteration of nnU-Net\n\n| p = 1 | 2 |\n")
    assert "Exit code 143" in iterations and "Written in " in iterations
    assert "a machine." in page.split("\n## ")[0]


def test_settings_of_the_caller_do_not_change_what_is_measured(tmp_path: Path) -> None:
    run("--dry-run", "-o", "page.md", folder=tmp_path)
    assert "steps unset" in (tmp_path / "page.md").read_text()


@pytest.mark.parametrize("arguments", [("--fast",), ("-o",), ("--wheels",)])
def test_what_cannot_be_read_is_answered_with_how_to_call_it(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 2 and "benchmarks/gpu_check.sh --dry-run" in done.stdout


@pytest.mark.slow
def test_what_is_tested_on_a_gpu_holds_on_a_cpu() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "gpu", "tests/test_on_gpu.py"],
        cwd=SCRIPT.parents[1],
        env={**os.environ, "GPU_TESTS_ON": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
