"""Which layout a folder has: nnU-Net's raw datasets, or MAMA-MIA's download."""

from __future__ import annotations

import os
import re
from pathlib import Path

from synbt_aug.data.layout import DatasetFiles, shorten
from synbt_aug.data.mama_mia import read_mama_mia
from synbt_aug.data.nnunet_raw import read_nnunet_raw
from synbt_aug.errors import SynBTError


def dataset_folder(name: str | os.PathLike[str]) -> Path:
    """The folder of a dataset that is named by its path, or by nnU-Net's number or name of it.

    Args:
        name: `path/to/folder`, `105` or `Dataset105_Breast`; the last two lie in `$nnUNet_raw`.

    Raises:
        SynBTError: If there is no such folder, or several have the number.
    """
    path, text, raw = Path(name), str(name), os.environ.get("nnUNet_raw")  # noqa: SIM112
    if path.is_dir() or not re.fullmatch(r"\d+|Dataset\d{3,}_[^/\\]+", text):
        return path
    if raw is None:
        raise SynBTError(
            f"There is no folder {text}, and nnU-Net's datasets are looked for in $nnUNet_raw, "
            f"which is not set. Type the folder, or set the variable."
        )
    pattern = f"Dataset{int(text):03d}_*" if text.isdecimal() else text
    found = sorted(one for one in Path(raw).glob(pattern) if one.is_dir())
    if len(found) != 1:
        raise SynBTError(
            f"Of the folders in $nnUNet_raw ({raw}) one must be {pattern}, but there are "
            f"{len(found)}: {shorten([one.name for one in found])}. Type the folder."
        )
    return found[0]


def detect_layout(folder: str | os.PathLike[str]) -> str:
    """Tell the layout: "nnunet" or "mama-mia".

    Raises:
        SynBTError: If it is neither; the message lists what is there.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SynBTError(f"A dataset must be a folder, but {folder} is none.")
    there = {path.name.lower(): path for path in folder.iterdir()}
    if "dataset.json" in there and ("imagestr" in there or "imagests" in there):
        return "nnunet"
    if "images" in there and there["images"].is_dir():
        return "mama-mia"
    inside = [path for path in there.values() if (path / "dataset.json").is_file()]
    hint = f" Did you mean {shorten(sorted(str(path) for path in inside), 2)}?" if inside else ""
    raise SynBTError(
        f"{folder} is neither an nnU-Net raw dataset (dataset.json, imagesTr, labelsTr) nor a "
        f"MAMA-MIA folder (images/ID/ID_0000.nii.gz, segmentations). It holds "
        f"{shorten(sorted(path.name for path in there.values()))}.{hint}"
    )


def read_dataset(folder: str | os.PathLike[str], *, split: str | None = None) -> DatasetFiles:
    """List the cases of a folder in either layout.

    Args:
        folder: The dataset.
        split: "train" or "test" by the dataset's own split. None takes imagesTr of nnU-Net's
            layout, and every case of MAMA-MIA's.

    Raises:
        SynBTError: If the folder has neither layout, or no usable case, or no such split.
    """
    if split not in (None, "train", "test"):
        raise SynBTError(f"A dataset's split is 'train' or 'test', not {split!r}.")
    if detect_layout(folder) == "nnunet":
        return read_nnunet_raw(folder, split=split or "train")
    return read_mama_mia(folder, split=split)
