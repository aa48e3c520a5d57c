"""The record beside a training's results, and the refusal to mix two experiments in one folder.

nnU-Net names results folders by trainer, plans, configuration and fold. Two runs that differ in a
setting alone would overwrite each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json

#: The record's name, in the fold's results folder.
RECORD = "synbt.json"


def refuse_other_settings(
    folder: Path, learned_from: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    """See that results in a folder, if any, were made with the same settings.

    Args:
        folder: The fold's results folder.
        learned_from: What decides the result, JSON-ready.
        defaults: Of those settings: what a record made before a setting existed stands for.

    Raises:
        SynBTError: If there are checkpoints made with others; it lists what differs.
    """
    record = folder / RECORD
    if not record.is_file() or not any(folder.glob("checkpoint_*.pth")):
        return
    kept = read_json(record, "the record of a training with SynBT").get("learned_from", {})
    before = {**defaults, **kept}
    names = sorted(set(before) | set(learned_from))
    differ = [
        f"{name}: {before.get(name)} there, {learned_from.get(name)} now"
        for name in names
        if before.get(name) != learned_from.get(name)
    ]
    if differ:
        raise SynBTError(
            f"{folder} holds results of a training with other settings ({'; '.join(differ)}). "
            f"Set them as they were, move or delete that folder, or give this experiment a "
            f"name of its own: class nnUNetTrainerSynBT_mine(SynBTMixin, nnUNetTrainer)."
        )


def write_record(folder: Path, learned_from: Mapping[str, Any], **more: Any) -> Path:
    """Write the record.

    Args:
        folder: The fold's results folder.
        learned_from: As for `refuse_other_settings`.
        more: Plain values for the reader: versions, settings in full, the fit.
    """
    return write_json(folder / RECORD, {"learned_from": dict(learned_from), **more})
