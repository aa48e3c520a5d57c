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
    "SynBT: 4 injected, 2 null paints, 5 skipped (not visible enough 3, out of memory 2), "
    "7 left as they are; injection 27911 ms + augmentation 339 ms an iteration"
)


def test_losses_dice_and_epochs_are_read() -> None:
    curves = read_curves(_LOG.format(line=_FULL, dice="np.float32(0.1338)"))
    assert curves.epochs == 2
    assert curves.train_loss[0] == 1.1147 and math.isnan(curves.train_loss[1])
    assert curves.val_loss == [-0.25] and curves.dice == [0.1338]
    assert curves.fit == "SynBT fit: good (1 case): enhancement 19% off"


def test_what_was_injected_is_added_up() -> None:
    curves = read_curves(_LOG.format(line=_FULL, dice="0.5") * 2)
    assert (curves.injected, curves.null, curves.left) == (8, 4, 14)
    assert curves.skipped == Counter({"not visible enough": 6, "out of memory": 4})
    assert curves.injection_ms == [27911, 27911] and curves.augmentation_ms == [339, 339]


def test_the_lines_that_the_trainer_writes_are_read_back() -> None:
    from synbt_aug_nnunet.injection import epoch_line

    counts = {"injected": 3, "null": 1, "not drawn": 9, "no room": 2, "not visible enough": 1}
    line = epoch_line(counts, {"injection": 12.4, "augmentation": 3.6})
    curves = read_curves(line)
    assert (curves.injected, curves.null, curves.left) == (3, 1, 9)
    assert curves.skipped == {"no room": 2, "not visible enough": 1}
    assert curves.injection_ms == [12] and curves.augmentation_ms == [4]
    nothing = read_curves(epoch_line({}, {"injection": 0.0, "augmentation": 3.0}))
    assert nothing.injected == 0 and not nothing.skipped and nothing.injection_ms == [0]


def test_dice_is_the_mean_over_labels_as_old_and_new_numpy_print_them() -> None:
    for dice in (
        "np.float32(0.25), np.float32(0.75)",
        "0.25, 0.75",
        "0.25, 0.75, nan",
        "2.5e-1, 0.75",
    ):
        assert read_curves(_LOG.format(line="", dice=dice)).dice == [0.5]
    assert math.isnan(read_curves(_LOG.format(line="", dice="nan")).dice[0])
