"""Training on two devices, here two processes of a CPU."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from synbt_aug.train import load_autoencoder, load_denoiser

HERE = Path(__file__).parent


@pytest.mark.slow
def test_two_processes_train_both_networks_together(tmp_path: Path) -> None:
    script = tmp_path / "both.py"
    script.write_text(
        textwrap.dedent(f"""
            import sys, warnings; warnings.simplefilter("ignore")
            sys.path[:0] = [{str(HERE.parents[1] / "src")!r}, {str(HERE)!r}]
            import torch; torch.set_num_threads(1)
            from conftest import toy_case
            from synbt_aug.train import *

            cases = [toy_case(0), toy_case(1)]
            where = dict(devices=2, accelerator="cpu", precision="32-true")
            codec, denoiser = {str(tmp_path / "a")!r}, {str(tmp_path / "d")!r}
            train_autoencoder(cases, autoencoder_preset("tiny"), codec, **where)
            train_denoiser(cases, codec, denoiser_preset("tiny"), denoiser, **where)
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert bool(load_autoencoder(tmp_path / "a").codebook.initialised)
    denoiser = load_denoiser(tmp_path / "d")
    assert all(value.isfinite().all() for value in denoiser.state_dict().values())
    assert not torch.equal(denoiser.latent_std, torch.ones(8))
