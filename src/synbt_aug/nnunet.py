"""The door to the nnU-Net trainer: `from synbt_aug.nnunet import nnUNetTrainerSynBT`."""

from __future__ import annotations

from synbt_aug.errors import ExtraMissingError

try:
    from synbt_aug_nnunet.mixin import SynBTMixin
    from synbt_aug_nnunet.trainers import nnUNetTrainerSynBT
except ModuleNotFoundError as error:
    if (error.name or "").split(".")[0] not in ("nnunetv2", "batchgeneratorsv2", "batchgenerators"):
        raise
    raise ExtraMissingError("The nnU-Net trainer", "nnunet", error.name) from error

__all__ = ["SynBTMixin", "nnUNetTrainerSynBT"]
