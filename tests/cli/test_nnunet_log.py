from __future__ import annotations

import math
from collections import Counter

from synbt_aug.cli.nnunet_log import read_curves

_LOG = """
2026-01-01 10:00:00.000001: SynBT 0.1.0: probability 0.5, seed 0
2026-01-01 10:00:01.000001: SynBT fit: good (1 case): enhancement 19% off
2026-01-01 10:00:02.000001: Epoch 0
2026-01-01 10:00:02.100001: Current learning rate: 0.01
2026-01-01 10:01:00.000001: {line}
2026-01-01 10:01:00.000002: train_loss 1.1147
2026-01-01 10:01:00.000003: val_loss -0.25
2026-01-01 10:01:00.000004: Pseudo dice [{dice}]
2026-01-01 10:02:00.000001: Epoch 1
2026-01-01 10:02:00.000002: train_loss nan
"""
_FULL = (
    "SynBT: painted 6 of 18 samples, 33% (asked for 50%, drawn 10), 1 of them in another's turn; "
    "could not be painted: not visible enough 3, out of memory 2; 4 tumors, 2 null paints; "
    "injection 27911 ms + augmentation 339 ms an iteration"
)


def test_losses_dice_and_epochs_are_read() -> None:
    curves = read_curves(_LOG.format(line=_FULL, dice="np.float32(0.1338)"))
    assert curves.epochs == 2
    assert curves.train_loss[0] == 1.1147 and math.isnan(curves.train_loss[1])
    assert curves.val_loss == [-0.25] and curves.dice == [0.1338]
    assert curves.fit == "SynBT fit: good (1 case): enhancement 19% off"


def test_what_was_injected_is_added_up() -> None:
    curves = read_curves(_LOG.format(line=_FULL, dice="0.5") * 2)
    assert (curves.painted, curves.samples, curves.drawn) == (12, 36, 20)
    assert curves.things == {"tumors": 8, "null paints": 4}
    assert curves.skipped == Counter({"not visible enough": 6, "out of memory": 4})
    assert curves.injection_ms == [27911, 27911] and curves.augmentation_ms == [339, 339]


def test_the_lines_that_the_trainer_writes_are_read_back() -> None:
    from synbt_aug_nnunet.epoch_counts import EpochCounts

    why = Counter({"no room": 2, "not visible enough": 1})
    counts = EpochCounts(16, 6, 4, 1, why, Counter({"injected": 3, "null": 1, "satellite": 2}))
    curves = read_curves(counts.line(0.5, {"injection": 12.4, "augmentation": 3.6}))
    assert (curves.samples, curves.drawn, curves.painted) == (16, 6, 4)
    assert curves.skipped == why
    assert curves.things == {"tumors": 3, "null paints": 1, "satellites": 2}
    assert curves.injection_ms == [12] and curves.augmentation_ms == [4]
    nothing = read_curves(EpochCounts(8).line(0, {"injection": 0.0, "augmentation": 3.0}))
    assert (nothing.samples, nothing.painted) == (8, 0) and nothing.injection_ms == [0]
    assert not nothing.skipped and not nothing.things


def test_dice_is_the_mean_over_labels_as_old_and_new_numpy_print_them() -> None:
    for dice in (
        "np.float32(0.25), np.float32(0.75)",
        "0.25, 0.75",
        "0.25, 0.75, nan",
        "2.5e-1, 0.75",
    ):
        assert read_curves(_LOG.format(line="", dice=dice)).dice == [0.5]
    assert math.isnan(read_curves(_LOG.format(line="", dice="nan")).dice[0])
