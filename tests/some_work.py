"""Work for worker processes, in a module that they can import wherever pytest was started."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from synbt_aug.errors import SynBTError


def doubled(number: int) -> tuple[int, int, int]:
    return 2 * number, os.getpid(), torch.get_num_threads()


def failing_first(folder: Path, number: int) -> None:
    if number == 0:
        raise SynBTError("the first")
    (folder / str(number)).touch()
    time.sleep(0.05)


def ended(number: int) -> None:
    os._exit(1)


def sleeping(folder: Path, number: int) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(60)
