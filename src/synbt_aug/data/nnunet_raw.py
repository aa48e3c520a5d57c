"""nnU-Net v2 raw datasets: `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`, `dataset.json`.

Reads the files' names, not their voxels. Folds come from nnU-Net's own `splits_final.json`; where
it has not made one yet, they are those that it will make (`standard_split`).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synbt_aug.data.channels import channels_of
from synbt_aug.data.dataset_json import read_dataset_json
from synbt_aug.data.label_names import tumor_label_of
from synbt_aug.data.layout import CaseFiles, DatasetFiles, shorten
from synbt_aug.data.standard_split import standard_fold
from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.support.files import read_json_list, write_json
from synbt_aug.support.number import check_whole

logger = logging.getLogger(__name__)


def read_nnunet_raw(folder: str | os.PathLike[str], *, split: str = "train") -> DatasetFiles:
    """List the cases of a raw dataset.

    Channels and the tumor's label may be named in a `"synbt"` section of dataset.json
    (`pre_channel`, `post_channel`, `tumor_label`); otherwise their names say (`channels_of`).

    Args:
        folder: The `DatasetXXX_Name` folder.
        split: "train" for imagesTr, "test" for imagesTs.

    Raises:
        SynBTError: If this is no such dataset, or it has fewer than two channels.
    """
    folder = Path(folder)
    described = read_dataset_json(folder)
    settings = described.get("synbt", {})
    channels = channels_of(
        described,
        _asked(settings, "pre_channel"),
        _asked(settings, "post_channel"),
        where=folder.name,
    )
    ending = str(described.get("file_ending", ".nii.gz"))
    if ending not in (".nii.gz", ".nii"):
        raise SynBTError(f"{folder.name} stores {ending} files; SynBT reads .nii.gz and .nii.")
    tumor_label = tumor_label_of(described, _asked(settings, "tumor_label"), where=folder.name)
    images = folder / ("imagesTr" if split == "train" else "imagesTs")
    labels = folder / ("labelsTr" if split == "train" else "labelsTs")
    cases, skipped = [], []
    count = len(channels.names)
    for name, files in _case_files(images, ending).items():
        if len(files) != count:
            expected = [f"{name}_{c:04d}{ending}" for c in range(count)]
            missing = [file for file in expected if not (images / file).is_file()]
            told = f"no {', '.join(missing)}" if missing else f"{len(files)} files"
            skipped.append(f"{name}: {told}; the dataset has {count} channels")
            continue
        label = labels / f"{name}{ending}"
        cases.append(
            CaseFiles(
                name=name,
                pre=files[channels.pre],
                posts=tuple(files[c] for c in channels.posts),
                label=label if label.is_file() else None,
                tumor_label=tumor_label,
                split=split,
            )
        )
    if not cases:
        raise SynBTError(
            f"{images} holds no case with files like CASE_0000{ending} and CASE_0001{ending}"
            f"{f' ({shorten(skipped, 3)})' if skipped else ''}."
        )
    return DatasetFiles(folder, "nnunet", tuple(cases), tuple(skipped))


def read_fold(folder: str | os.PathLike[str], fold: int) -> tuple[frozenset[str], frozenset[str]]:
    """Training and validation names of a fold, from nnU-Net's `splits_final.json`.

    Looked for in the dataset's folder, then in `$nnUNet_preprocessed/<dataset>`. Where neither
    has one the fold is of nnU-Net's standard split, if that is what nnU-Net will make.

    Raises:
        SynBTError: If there is no such file and nnU-Net may make another one, or no such fold.
    """
    folder = Path(folder)
    places = [folder / "splits_final.json"]
    if preprocessed := os.environ.get("nnUNet_preprocessed"):  # noqa: SIM112
        places.append(Path(preprocessed) / folder.resolve().name / "splits_final.json")
    for place in places:
        if not place.is_file():
            continue
        folds = read_json_list(place, "nnU-Net's list of folds")
        if not 0 <= fold < len(folds):
            raise SynBTError(f"{place} has folds 0 to {len(folds) - 1}, not {fold}.")
        try:
            return frozenset(folds[fold]["train"]), frozenset(folds[fold]["val"])
        except (KeyError, TypeError) as error:
            raise SynBTError(
                f"{place} was to be nnU-Net's list of folds, each with train and val, but fold "
                f"{fold} has not both. Delete it: nnU-Net makes it again."
            ) from error
    try:
        beside = places[1].parent if len(places) > 1 else None
        found = standard_fold(read_nnunet_raw(folder), read_dataset_json(folder), beside, fold)
    except ExtraMissingError:
        raise
    except SynBTError as error:
        raise SynBTError(
            f"A fold needs nnU-Net's splits_final.json; looked for "
            f"{shorten([str(p) for p in places])}. {error} Run nnUNetv2_plan_and_preprocess and "
            f"start one training, or copy the file there."
        ) from error
    logger.info("Fold %d of nnU-Net's standard split: it has made none of its own yet", fold)
    return found


def write_dataset_json(
    folder: str | os.PathLike[str], *, cases: int, channels: list[str], description: str = ""
) -> Path:
    """Write a `dataset.json` for background 0 and tumor 1."""
    described: dict[str, Any] = {
        "channel_names": {str(i): name for i, name in enumerate(channels)},
        "labels": {"background": 0, "tumor": 1},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    if description:
        described["description"] = description
    return write_json(Path(folder) / "dataset.json", described)


def _asked(section: Mapping[str, Any], name: str) -> int | None:
    """A number in the `"synbt"` section; text is read, too."""
    value = section.get(name)
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    return None if value is None else check_whole(f"{name} in dataset.json", value, 0)


def _case_files(images: Path, ending: str) -> dict[str, list[Path]]:
    """The files of each case in the order of their numbers, which is that of the channels."""
    if not images.is_dir():
        raise SynBTError(f"An nnU-Net raw dataset needs {images.name}, but {images} is no folder.")
    pattern = re.compile(r"(.+)_\d{4}" + re.escape(ending))
    found: dict[str, list[Path]] = {}
    for path in sorted(images.iterdir()):
        match = pattern.fullmatch(path.name)
        if match and not path.name.startswith("."):
            found.setdefault(match.group(1), []).append(path)
    return dict(sorted(found.items()))
