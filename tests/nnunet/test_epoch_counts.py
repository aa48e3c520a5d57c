"""The share of samples that was asked for, the share that was met, and when a warning is due."""

from __future__ import annotations

from collections import Counter

import pytest

from synbt_aug_nnunet.epoch_counts import EpochCounts, ShareWatch


def test_the_line_tells_the_share_asked_for_the_share_met_and_why() -> None:
    counts = EpochCounts(
        samples=40,
        drawn=21,
        painted=18,
        passed_on=3,
        why=Counter({"no site": 2, "not visible enough": 4}),
        things=Counter({"injected": 16, "null": 2, "satellite": 5}),
    )
    assert counts.line(0.5, {"injection": 12.4, "augmentation": 3.6}) == (
        "SynBT: painted 18 of 40 samples, 45% (asked for 50%, drawn 21), 3 of them in another's "
        "turn; could not be painted: not visible enough 4, no site 2; 16 tumors, 5 satellites, "
        "2 null paints; injection 12 ms + augmentation 4 ms an iteration"
    )


def test_an_epoch_without_a_sample_has_a_line_too() -> None:
    assert EpochCounts().line(0.5, {}).startswith("SynBT: painted 0 of 0 samples, 0% (asked for")


def test_what_is_no_failure_and_no_thing_painted_is_not_told() -> None:
    counts = EpochCounts()
    counts.take({"injected": 2, "not drawn": 5, "satellite left out": 1, "no room": 3})
    assert counts.things == {"injected": 2} and not counts.why


def test_processes_are_summed() -> None:
    one = EpochCounts(4, 2, 1, 0, Counter({"no room": 1}), Counter({"injected": 1}))
    two = EpochCounts(4, 3, 3, 1, Counter({"no site": 1}), Counter({"injected": 4}))
    assert EpochCounts.sum([one, two]) == EpochCounts(
        8, 5, 4, 1, Counter({"no room": 1, "no site": 1}), Counter({"injected": 5})
    )


def epoch(drawn: int, painted: int, **why: int) -> EpochCounts:
    names = {name.replace("_", " "): n for name, n in why.items()}
    return EpochCounts(2 * drawn, drawn, painted, 0, Counter(names))


def test_under_half_of_what_was_drawn_is_warned_of_once_with_the_reasons_and_what_helps() -> None:
    watch = ShareWatch()
    warning = watch.warning(epoch(40, 12, no_room=20, no_site=8))
    assert warning is not None and warning.startswith(
        "WARNING: SynBT painted 12 of the 40 samples that were drawn for it, under half of what "
        "was asked (no room 20, no site 8). Of the most frequent reason: the patches show too "
    )
    assert "SYNBT_DIAMETER_MM=6:15" in warning
    assert watch.warning(epoch(40, 0, no_room=40)) is None


def test_half_is_enough_and_few_draws_say_nothing_until_there_are_more() -> None:
    assert ShareWatch().warning(epoch(40, 20, no_room=20)) is None
    watch = ShareWatch()
    assert watch.warning(epoch(6, 1, no_room=5)) is None
    assert "painted 2 of the 12" in str(watch.warning(epoch(6, 1, no_room=5)))


def test_later_epochs_are_not_watched() -> None:
    watch = ShareWatch()
    assert [watch.warning(epoch(10, 10)) for _ in range(3)] == [None] * 3
    assert watch.warning(epoch(400, 0, no_room=400)) is None


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("no site", "SYNBT_ROI_LABELS"),
        ("holds a real tumor", "unset only_tumor_free"),
        ("not visible enough", "SYNBT_ENHANCEMENT="),
        ("no free voxel is left under the tumor", "SYNBT_PAINT_OVER"),
        ("out of memory", "SYNBT_GENERATOR_DEVICE=cpu"),
        ("case without intensity references", "the log names them above"),
        ("error", "synbt doctor DATASET"),
    ],
)
def test_every_reason_has_what_helps(reason: str, remedy: str) -> None:
    counts = EpochCounts(40, 20, 2, 0, Counter({reason: 18}))
    assert remedy in str(ShareWatch().warning(counts))
