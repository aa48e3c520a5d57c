from __future__ import annotations

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.support.shard import Shard, shard_of


def test_shards_share_all_items_and_no_item_is_in_two() -> None:
    held = [[k for k in range(11) if shard_of(f"{i}/3", {}).holds(k)] for i in (1, 2, 3)]
    assert sorted(k for part in held for k in part) == list(range(11))
    assert max(map(len, held)) - min(map(len, held)) <= 1


def test_a_slurm_array_counts_from_its_own_first_task() -> None:
    array = {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "5", "SLURM_ARRAY_TASK_COUNT": "3"}
    assert str(shard_of(None, array | {"SLURM_ARRAY_TASK_STEP": "2"})) == "3/3"
    assert str(shard_of(None, array | {"SLURM_ARRAY_TASK_ID": "5"})) == "1/3"


def test_torchrun_counts_ranks_from_0() -> None:
    assert str(shard_of(None, {"RANK": "3", "WORLD_SIZE": "4"})) == "4/4"


def test_what_is_typed_goes_before_the_variables_and_all_is_the_default() -> None:
    assert str(shard_of("1/1", {"RANK": "3", "WORLD_SIZE": "4"})) == "1/1"
    assert shard_of(None, {}) == Shard(1, 1)
    # A rank alone is no torchrun's.
    assert shard_of(None, {"RANK": "3"}) == Shard(1, 1)


@pytest.mark.parametrize("typed", ["0/2", "3/2", "1/0"])
def test_a_shard_that_is_none_of_them_is_refused(typed: str) -> None:
    with pytest.raises(SynBTError, match="from 1 to the count of all, such as 1/2 and 2/2"):
        shard_of(typed, {})


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(SynBTError, match="written as 1/2 and 2/2"):
        shard_of("1 of 2", {})
    with pytest.raises(SynBTError, match="SLURM_ARRAY_TASK_COUNT is not set"):
        shard_of(None, {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "5"})
