from __future__ import annotations

from pathlib import Path

import pytest

from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.generate.plan import CasePlan, digest_of_sources, plan_of


def files(tmp_path: Path, names: str = "abc") -> DatasetFiles:
    cases = []
    for name in names:
        path = tmp_path / name
        path.write_bytes(b"12")
        cases.append(CaseFiles(name, path, (path,), path))
    return DatasetFiles(tmp_path, "nnunet", tuple(cases))


@pytest.fixture
def plan(tmp_path: Path) -> CasePlan:
    return plan_of(files(tmp_path), 7, {"seed": 7})


def test_every_number_has_its_own_name_and_seed_at_each_attempt(plan: CasePlan) -> None:
    assert len({plan.name(k) for k in range(500)}) == 500
    seeds = [plan.candidate(k, attempt).seed for k in range(500) for attempt in range(3)]
    assert len(set(seeds)) == len(seeds) and max(seeds) < 2**64


def test_sources_take_turns_and_a_further_attempt_takes_the_next(plan: CasePlan) -> None:
    sources = [plan.candidate(k).source.name for k in range(6)]
    assert sorted(sources[:3]) == ["a", "b", "c"] and sources[3:] == sources[:3]
    assert plan.candidate(0, 1).source.name == sources[1]
    ordered = [plan.candidate(k).source.name for k in plan.by_source(range(6))]
    assert ordered == [name for name in sources[:3] for _ in range(2)]


def test_other_settings_give_other_names_and_another_seed_other_sources(tmp_path: Path) -> None:
    found = files(tmp_path, "abcdefgh")
    plans = [plan_of(found, seed, {"seed": seed}) for seed in (0, 1)]
    assert plans[0].name(3) != plans[1].name(3)
    assert plans[0].sources != plans[1].sources
    assert plan_of(found, 0, {"seed": 0}) == plans[0]


def test_sources_are_told_apart_by_their_names_and_sizes(tmp_path: Path) -> None:
    found = files(tmp_path)
    before = digest_of_sources(found)
    assert digest_of_sources(found.only({"a", "b"})) != before
    (tmp_path / "b").write_bytes(b"123")
    assert digest_of_sources(found) != before
