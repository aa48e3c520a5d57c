"""The one script that makes the shipped weights from nothing, with the smallest presets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.weights import load_weights

SCRIPT = Path(__file__).parents[1] / "pretrained" / "make_weights.sh"


def make(work: Path, *arguments: str) -> str:
    """Run it with four phantoms in the bank and two in the cohort; gives what it says."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PRESET": "tiny", "BANK": "2 4"}
    done = subprocess.run(
        ["bash", str(SCRIPT), str(work), "1m", "1m", "2", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="the script needs bash")
def test_the_whole_of_it_comes_to_weights_and_goes_on_where_it_was(tmp_path: Path) -> None:
    said = make(tmp_path, "0")
    assert "Tissue segmenter" not in said and not (tmp_path / "tissue").exists()
    made = load_weights(str(tmp_path / "denoiser" / "weights"))
    # The bank is the script's own, of more phantoms than the networks saw.
    assert {t.source for t in made.bank.templates} == {f"phantom_{k:07d}" for k in range(4)}
    written = (tmp_path / "autoencoder" / "autoencoder.safetensors").read_bytes()
    assert "Tissue segmenter in" in make(tmp_path, "1m")
    assert (tmp_path / "autoencoder" / "autoencoder.safetensors").read_bytes() == written
    again = load_weights(str(tmp_path / "denoiser" / "weights"))
    assert again.digest == made.digest
    load_segmenter(str(tmp_path / "tissue"))
