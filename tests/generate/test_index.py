from __future__ import annotations

from synbt_aug.generate.index import splits_by_source


def records(sources: str) -> list[dict]:
    return [{"generate": {"case": f"c{k}", "source": s}} for k, s in enumerate(sources)]


def test_no_source_is_both_trained_and_validated_on() -> None:
    sources = "abcdefgabc"
    folds = splits_by_source(records(sources))
    assert len(folds) == 5
    of = {f"c{k}": s for k, s in enumerate(sources)}
    for fold in folds:
        assert not {of[n] for n in fold["train"]} & {of[n] for n in fold["val"]}
        assert sorted(fold["train"] + fold["val"]) == sorted(of)
    assert sorted(n for fold in folds for n in fold["val"]) == sorted(of)


def test_few_sources_give_few_folds_and_one_gives_none() -> None:
    assert len(splits_by_source(records("ababab"))) == 2
    assert splits_by_source(records("aaa")) == []
