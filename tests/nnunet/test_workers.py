"""The worker's half in workers of every kind, and two processes that train together."""

from __future__ import annotations

import json
import multiprocessing
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nnunet_dataset import Dataset
from nnunet_processes import draw_one, train_one_rank

Make = Callable[..., Any]


@pytest.mark.parametrize("kind", ["fork", "spawn", "forkserver"])
def test_the_loader_works_in_workers_of_every_kind(nnunet: Make, kind: str) -> None:
    trainer = nnunet(Dataset(batch_size=1))
    trainer.on_train_start()
    context = multiprocessing.get_context(kind)
    answers = context.Queue()
    worker = context.Process(target=draw_one, args=(trainer.dataloader_train.data_loader, answers))
    worker.start()
    shape, dtype, keys, decided = answers.get(timeout=120)
    worker.join(timeout=30)
    assert shape == (1, 2, 56, 72, 72) and dtype == "torch.int16" and keys[0] in "abc"
    assert decided == 1


def test_two_ranks_share_the_weights_and_draw_different_tumors(
    nnunet: Make, tmp_path: Path
) -> None:
    nnunet(Dataset(batch_size=2))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(train_one_rank, args=(port, str(tmp_path)), nprocs=2, join=True)
    (first, weights), (second, other) = json.loads((tmp_path / "answer.json").read_text())
    assert weights == other
    # Two steps of one sample each; some patches hold no site.
    assert 1 <= len(first) <= 2 and 1 <= len(second) <= 2
    assert not set(first) & set(second)
    logs = "".join(p.read_text() for p in (tmp_path / "results").rglob("training_log*.txt"))
    (line,) = [x for x in logs.splitlines() if "an iteration" in x]
    # Two ranks, two steps, one sample each, all of them drawn.
    assert re.search(r"of 4 samples, \d+% \(asked for 100%, drawn 4\)", line), line
    records = list((tmp_path / "results").rglob("synbt.json"))
    assert len(records) == 1
