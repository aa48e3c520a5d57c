from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from processes import is_alive, wait_until
from synbt_aug.errors import SynBTError
from synbt_aug.support.folder_lock import refuse_locked
from synbt_aug.tissue.labels_to_image import AIR, FAT, GLAND, REST, LabelMap
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.train.tissue import ExamplePool, Examples, train_tissue
from synbt_aug.train.tissue_preset import tissue_preset

TINY = tissue_preset("tiny")


@pytest.fixture(scope="module")
def maps() -> list[LabelMap]:
    labels = torch.full((64, 64, 64), REST, dtype=torch.uint8)
    for value, start, stop in ((AIR, 0, 20), (FAT, 20, 30), (GLAND, 30, 44)):
        labels[:, start:stop] = value
    return [
        LabelMap(
            labels, torch.rand(32, 32, 32, generator=torch.Generator().manual_seed(0)), "layers"
        )
    ]


def test_examples_are_functions_of_their_number(maps: list[LabelMap]) -> None:
    one, two = (Examples(maps, (32, 32, 32), (0, 0, 0)) for _ in range(2))
    assert torch.equal(one[7][0], two[7][0])
    assert not torch.equal(one[7][0], one[8][0])
    assert not torch.equal(one[7][0], Examples(maps, (32, 32, 32), (0, 1, 0))[7][0])


def test_a_resumed_pool_draws_what_the_first_would(maps: list[LabelMap]) -> None:
    def pool(uses: int) -> ExamplePool:
        return ExamplePool(Examples(maps, (32, 32, 32), (0,)), 4, 0.5, 0, uses)

    whole = pool(0)
    for step in range(6):
        image, answer = whole.batch(2, torch.Generator().manual_seed(step))
    resumed = pool(5)
    again, same = resumed.batch(2, torch.Generator().manual_seed(5))
    assert torch.equal(image, again) and torch.equal(answer, same)
    assert image.shape == answer.shape == (2, 1, 16, 16, 16)


def test_it_trains_stops_and_goes_on(maps: list[LabelMap], tmp_path: Path) -> None:
    path = train_tissue(maps, replace(TINY, steps=2), tmp_path, accelerator="cpu", workers=0)
    assert path.is_file()
    before = load_segmenter(tmp_path)
    assert before.card["training"]["steps"] == 2
    assert before.card["cases"] == 1
    with pytest.raises(SynBTError, match="already holds a run"):
        train_tissue(maps, replace(TINY, steps=2), tmp_path, accelerator="cpu", workers=0)


def test_it_learns_layers(maps: list[LabelMap], tmp_path: Path) -> None:
    preset = replace(TINY, steps=40, learning_rate=1e-2)
    train_tissue(maps, preset, tmp_path, accelerator="cpu", workers=0, precision="32-true")
    lines = (tmp_path / "tissue.log.jsonl").read_text().splitlines()
    assert lines == []  # 50 steps make a line
    segmenter = load_segmenter(tmp_path)
    scan = torch.zeros(64, 64, 64)
    scan[:, 20:30], scan[:, 30:44], scan[:, 44:] = 0.4, 0.9, 0.6
    found = segmenter(scan, (1.0, 1.0, 1.0)).at_host()
    # Forty steps are enough to tell air from the rest.
    assert (found[:, :16] == 0).float().mean() > 0.9
    assert (found[:, 24:] != 0).float().mean() > 0.9


def test_a_start_of_another_shape_is_refused(maps: list[LabelMap], tmp_path: Path) -> None:
    train_tissue(maps, replace(TINY, steps=1), tmp_path / "a", accelerator="cpu", workers=0)
    wider = replace(TINY, network=replace(TINY.network, channels=(4, 8, 16)))
    with pytest.raises(SynBTError, match="has other settings than the preset 'tiny'"):
        train_tissue(maps, wider, tmp_path / "b", init=tmp_path / "a", accelerator="cpu", workers=0)


def test_no_maps_are_told(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="needs label maps, got none"):
        train_tissue([], TINY, tmp_path)


def test_an_unknown_preset_is_told() -> None:
    with pytest.raises(SynBTError, match="shipped, tiny, got 'paper'"):
        tissue_preset("paper")


KILLED = """
import multiprocessing, sys, threading, time
from dataclasses import replace
from pathlib import Path
import torch
from synbt_aug.tissue.labels_to_image import FAT, LabelMap
from synbt_aug.train.tissue import train_tissue
from synbt_aug.train.tissue_preset import tissue_preset

def tell():
    while not multiprocessing.active_children():
        time.sleep(0.05)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    torch.set_num_threads(1)
    threading.Thread(target=tell, daemon=True).start()
    maps = [LabelMap(torch.full((32, 32, 32), FAT, dtype=torch.uint8), torch.rand(16, 16, 16))]
    train_tissue(maps, replace(tissue_preset("tiny"), steps=10**6), sys.argv[1], accelerator="cpu")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_a_training_that_is_ended(
    tmp_path: Path, number: signal.Signals
) -> None:
    script = tmp_path / "train.py"
    script.write_text(KILLED, encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(script), str(tmp_path / "run")]
    trainer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert trainer.stdout is not None
    workers = [int(pid) for pid in trainer.stdout.readline().split()]
    assert workers and all(map(is_alive, workers))
    trainer.send_signal(number)
    trainer.communicate(timeout=60)
    assert trainer.returncode in (-number, 1)
    wait_until(lambda: not any(map(is_alive, workers)), 20)
    refuse_locked(tmp_path / "run")
