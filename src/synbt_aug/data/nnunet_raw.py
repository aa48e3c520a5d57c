"""nnU-Net v2 raw datasets: `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`, `dataset.json`.

Reads the files' names, not their voxels. Folds come from nnU-Net's own `splits_final.json`: a
split made here could put a case of nnU-Net's validation fold into our training.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synbt_aug.data.dataset_json import read_dataset_json
from synbt_aug.data.layout import CaseFiles, DatasetFiles, shorten
from synbt_aug.errors import SynBTError
from synbt_aug.files import read_json_list, write_json

_TUMOR_WORDS = ("tumor", "tumour", "lesion", "cancer", "mass")
_BREAST_WORDS = ("breast", "fibroglandular", "fgt", "gland", "parenchyma", "fat", "adipose")


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
    pre, posts = channels_of(
        described, settings.get("pre_channel"), settings.get("post_channel"), where=folder.name
    )
    ending = str(described.get("file_ending", ".nii.gz"))
    if ending not in (".nii.gz", ".nii"):
        raise SynBTError(f"{folder.name} stores {ending} files; SynBT reads .nii.gz and .nii.")
    tumor_label = tumor_label_of(described, settings.get("tumor_label"), where=folder.name)
    images = folder / ("imagesTr" if split == "train" else "imagesTs")
    labels = folder / ("labelsTr" if split == "train" else "labelsTs")
    cases, skipped = [], []
    for name in _case_names(images, ending):
        channel = {c: images / f"{name}_{c:04d}{ending}" for c in (pre, *posts)}
        missing = [path.name for path in channel.values() if not path.is_file()]
        if missing:
            skipped.append(f"{name}: no {', '.join(missing)}")
            continue
        label = labels / f"{name}{ending}"
        cases.append(
            CaseFiles(
                name=name,
                pre=channel[pre],
                posts=tuple(channel[c] for c in posts),
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

    Looked for in the dataset's folder, then in `$nnUNet_preprocessed/<dataset>`.

    Raises:
        SynBTError: If there is no such file, or no such fold.
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
    raise SynBTError(
        f"A fold needs nnU-Net's splits_final.json; looked for {shorten([str(p) for p in places])}."
        f" Run nnUNetv2_plan_and_preprocess and start one training, or copy the file there."
    )


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


def channels_of(
    described: Mapping[str, Any],
    pre: int | None = None,
    post: int | None = None,
    *,
    where: str = "The dataset",
) -> tuple[int, tuple[int, ...]]:
    """Which channel is pre-contrast and which are post-contrast.

    What is not asked for is read from the channels' names: one that holds "pre" is
    pre-contrast, those with "post" are post-contrast. Where no name says either, channel 0 is
    pre-contrast and all others are post-contrast.

    Args:
        described: The content of dataset.json.
        pre: The channel asked for.
        post: Likewise.
        where: The dataset's name, for errors.

    Returns:
        The pre-contrast channel, and the post-contrast ones in order.

    Raises:
        SynBTError: If there are fewer than two channels, a channel asked for is not there, or
            the names contradict each other.
    """
    named = described.get("channel_names", described.get("modality", {}))
    names = {int(number): str(name).lower() for number, name in named.items()}
    listed = shorten([f"{number}: {named[str(number)]}" for number in sorted(names)])
    if len(names) < 2:
        raise SynBTError(
            f"SynBT needs two channels, pre- and post-contrast, but {where} names "
            f"{len(names)} in dataset.json ({listed})."
        )
    if wrong := [c for c in (pre, post) if c is not None and c not in names]:
        raise SynBTError(
            f"pre_channel and post_channel need channels of {where} ({listed}), got {wrong[0]}. "
            f'Set them in a "synbt" section of dataset.json or by SYNBT_PRE_CHANNEL and '
            f"SYNBT_POST_CHANNEL."
        )
    if pre is not None and pre == post:
        raise SynBTError(
            f"pre_channel and post_channel need two channels, got {pre} for both ({listed})."
        )
    if pre is None:
        pres = [c for c, name in sorted(names.items()) if "pre" in name and c != post]
        if len(pres) > 1:
            raise SynBTError(
                f"{where} has several channels called pre-contrast ({listed}): which one is it? "
                f'Set SYNBT_PRE_CHANNEL, or pre_channel in a "synbt" section of dataset.json.'
            )
        others = [c for c, name in sorted(names.items()) if "post" not in name and c != post]
        if not pres and not others:
            raise SynBTError(
                f"{where} has no pre-contrast channel ({listed}): SynBT paints a pair, pre- and "
                f"post-contrast. Set SYNBT_PRE_CHANNEL if one of these is."
            )
        pre = pres[0] if pres else others[0]
    if post is not None:
        return pre, (post,)
    posts = [c for c, name in sorted(names.items()) if "post" in name and c != pre]
    return pre, tuple(posts or [c for c in sorted(names) if c != pre])


def tumor_label_of(
    described: Mapping[str, Any], asked: int | None = None, *, where: str = "The dataset"
) -> int | None:
    """Which value of the labels is tumor.

    Args:
        described: The content of dataset.json.
        asked: The value asked for.
        where: The dataset's name, for errors.

    Returns:
        The value; None where the labels are not named at all.

    Raises:
        SynBTError: If several labels could be meant, or the one asked for is not there.
    """
    labels = described.get("labels", {})
    values = _values(labels)
    if asked is not None:
        if values and int(asked) not in values.values():
            raise SynBTError(
                f"tumor_label needs a label of {where} ({_listed(values)}), got {asked}."
            )
        return int(asked)
    tumors = [n for n in labels if _is_tumor(n) and n in values]
    parted = [n for n in labels if _is_tumor(n) and n not in values]
    if not values and not parted:
        return None
    if len(values) == 1 and not parted:
        (name,) = values
        if tumors or not any(word in name.lower() for word in _BREAST_WORDS):
            return values[name]
    if len(tumors) == 1 and not parted:
        return values[tumors[0]]
    listed = _listed({name: labels[name] for name in (*values, *parted)})
    raise SynBTError(
        f"{where} has the labels {listed}: which one is the tumor? Set "
        f'SYNBT_TUMOR_LABEL, or add "synbt": {{"tumor_label": VALUE}} to dataset.json.'
    )


def breast_labels_of(described: Mapping[str, Any], tumor_label: int | None) -> tuple[int, ...]:
    """Labels that are breast tissue by their names: places for tumors, as the background is.

    Args:
        described: The content of dataset.json.
        tumor_label: Not among them.
    """
    found = {
        value
        for name, label in described.get("labels", {}).items()
        if any(word in name.lower() for word in _BREAST_WORDS) and not _is_tumor(name)
        for value in (label if isinstance(label, (list, tuple)) else [label])
    }
    return tuple(sorted(int(value) for value in found - {0, tumor_label}))


def _is_tumor(name: str) -> bool:
    return any(word in name.lower() for word in _TUMOR_WORDS)


def _values(labels: Mapping[str, Any]) -> dict[str, int]:
    """Named label values; regions of several values (nnU-Net's region training) are left out."""
    found = {}
    for name, label in labels.items():
        value = label[0] if isinstance(label, (list, tuple)) and len(label) == 1 else label
        if isinstance(value, int) and value and name != "ignore":
            found[name] = value
    return found


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({value})" for name, value in values.items())


def _case_names(images: Path, ending: str) -> list[str]:
    if not images.is_dir():
        raise SynBTError(f"An nnU-Net raw dataset needs {images.name}, but {images} is no folder.")
    pattern = re.compile(r"(.+)_\d{4}" + re.escape(ending))
    matches = (pattern.fullmatch(path.name) for path in images.iterdir() if path.name[0] != ".")
    return sorted({match.group(1) for match in matches if match})
