"""Worker processes: what they do, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import torch

from processes import is_alive, wait_until
from some_work import doubled, ended, failing_first
from synbt_aug.errors import SynBTError
from synbt_aug.support.workers import each_done

HERE = Path(__file__).parents[1]


def test_every_item_comes_with_its_result_from_workers_of_one_thread() -> None:
    found = dict(each_done(doubled, [1, 2, 3], 2))
    assert {item: result[0] for item, result in found.items()} == {1: 2, 2: 4, 3: 6}
    assert os.getpid() not in {result[1] for result in found.values()}
    assert {result[2] for result in found.values()} == {1}


@pytest.mark.parametrize(("items", "workers"), [([1, 2], 1), ([7], 4), ([], 4)])
def test_one_worker_or_one_item_is_done_here(items: list[int], workers: int) -> None:
    threads = torch.get_num_threads()
    found = list(each_done(doubled, items, workers))
    assert found == [(item, (2 * item, os.getpid(), threads)) for item in items]


def test_an_error_is_raised_and_what_was_not_begun_is_left(tmp_path: Path) -> None:
    work = partial(failing_first, tmp_path)
    with pytest.raises(SynBTError, match="the first"), closing(each_done(work, range(200), 2)) as e:
        list(e)
    assert len(list(tmp_path.iterdir())) < 50


def test_a_worker_that_is_ended_from_outside_is_told() -> None:
    with pytest.raises(SynBTError, match="memory ran out.*fewer --workers than 2; it goes on"):
        list(each_done(ended, [0, 1], 2))


SCRIPT = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from synbt_aug.support.workers import each_done
from some_work import sleeping
if __name__ == "__main__":
    list(each_done(partial(sleeping, Path(sys.argv[1])), [1, 2], 2))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_a_parent_that_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "pids").mkdir()
    script = tmp_path / "work.py"
    script.write_text(SCRIPT, encoding="utf-8")
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path / "pids"), str(HERE)])
    wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2, 60)
    pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
    parent.send_signal(number)
    parent.wait(10)
    wait_until(lambda: not any(map(is_alive, pids)), 10)
