"""The trainers that `nnUNetv2_train -tr` knows by name.

Each name has a results folder of its own; what a name promises, no setting overrides.
"""

from __future__ import annotations

from typing import ClassVar

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
    nnUNetTrainerNoMirroring,
)

from synbt_aug_nnunet.mixin import SynBTMixin


class nnUNetTrainerSynBT(SynBTMixin, nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net with synthetic breast tumors; settings by `SYNBT_*` or dataset.json."""


class nnUNetTrainerSynBT_1epoch(nnUNetTrainerSynBT):
    """One epoch: to try whether everything works."""

    synbt_fixed: ClassVar = {"num_epochs": 1}


class nnUNetTrainerSynBT_5epochs(nnUNetTrainerSynBT):
    """Five epochs."""

    synbt_fixed: ClassVar = {"num_epochs": 5}


class nnUNetTrainerSynBT_100epochs(nnUNetTrainerSynBT):
    """A hundred epochs."""

    synbt_fixed: ClassVar = {"num_epochs": 100}


class nnUNetTrainerSynBT_250epochs(nnUNetTrainerSynBT):
    """250 epochs."""

    synbt_fixed: ClassVar = {"num_epochs": 250}


class nnUNetTrainerSynBT_NoMirroring(SynBTMixin, nnUNetTrainerNoMirroring):  # type: ignore[misc]
    """Without mirroring, in training and in prediction."""


class nnUNetTrainerSynBT_SynTumor(nnUNetTrainerSynBT):
    """Tumors of blurred noise, by rules alone: what learned ones are compared with."""

    synbt_fixed: ClassVar = {"texture": "syntumor"}


class nnUNetTrainerSynBT_CopyPaste(nnUNetTrainerSynBT):
    """The fold's own tumors, pasted elsewhere: what learned ones are compared with."""

    synbt_fixed: ClassVar = {"texture": "copy_paste"}


class nnUNetTrainerSynBT_p0(nnUNetTrainerSynBT):
    """The control: the same pipeline, nothing injected."""

    synbt_fixed: ClassVar = {"probability": 0.0}


#: By name, for the start-up hook.
TRAINERS = {
    trainer.__name__: trainer
    for trainer in (
        nnUNetTrainerSynBT,
        nnUNetTrainerSynBT_1epoch,
        nnUNetTrainerSynBT_5epochs,
        nnUNetTrainerSynBT_100epochs,
        nnUNetTrainerSynBT_250epochs,
        nnUNetTrainerSynBT_NoMirroring,
        nnUNetTrainerSynBT_SynTumor,
        nnUNetTrainerSynBT_CopyPaste,
        nnUNetTrainerSynBT_p0,
    )
}
