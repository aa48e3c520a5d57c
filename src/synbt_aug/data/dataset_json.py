"""nnU-Net's dataset.json: is it of the shape that nnU-Net reads?

What the names of channels and labels mean is asked in `channels.py` and `label_names.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json


def read_dataset_json(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a raw dataset's dataset.json.

    Raises:
        SynBTError: If it is missing, no JSON, or not of nnU-Net's shape.
    """
    folder = Path(folder)
    described = read_json(folder / "dataset.json", "nnU-Net's dataset.json")
    check_dataset_json(described, where=folder.name)
    return described


def check_dataset_json(described: Mapping[str, Any], *, where: str = "The dataset") -> None:
    """See that the entries of a dataset.json are of the kinds that nnU-Net reads.

    Args:
        described: Its content.
        where: The dataset's name, for errors.

    Raises:
        SynBTError: If one is of another kind; the message shows how it is written.
    """
    shown = {
        "channel_names": '{"0": "pre", "1": "post"}',
        "modality": '{"0": "pre", "1": "post"}',
        "labels": '{"background": 0, "tumor": 1}',
        "synbt": '{"tumor_label": 1}',
    }
    for name, example in shown.items():
        if name in described and not isinstance(described[name], Mapping):
            raise SynBTError(
                f"{where} needs {name} as named values in dataset.json, such as {example}, got "
                f"{described[name]!r}."
            )
    ending = described.get("file_ending", ".nii.gz")
    if not isinstance(ending, str):
        raise SynBTError(
            f'{where} needs file_ending as text in dataset.json, such as ".nii.gz", got {ending!r}.'
        )
    for name, value in described.get("labels", {}).items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if not all(_is_number(one) for one in values):
            raise SynBTError(
                f"{where} needs numbers for the labels in dataset.json, such as "
                f"{shown['labels']}, got {value!r} for {name}."
            )


def _is_number(value: Any) -> bool:
    """Numbers, and numbers as text, which some converters write."""
    if isinstance(value, str):
        return value.strip().lstrip("+-").isdigit()
    return isinstance(value, (int, float)) and not isinstance(value, bool)
