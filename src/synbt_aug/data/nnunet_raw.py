"""nnU-Net v2 raw datasets: `imagesTr/CASE_0000.nii.gz`, `labelsTr/CASE.nii.gz`, `dataset.json`.

Reads the files' names, not their voxels. Folds come from nnU-Net's own `splits_final.json`: a
split made here could put a case of nnU-Net's validation fold into our training.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from synbt_aug.data.layout import CaseFiles, DatasetFiles, shorten
from synbt_aug.errors import SynBTError
from synbt_aug.files import read_json, write_json

_TUMOR_WORDS = ("tumor", "tumour", "lesion", "cancer", "mass")


def read_nnunet_raw(folder: str | os.PathLike[str], *, split: str = "train") -> DatasetFiles:
    """List the cases of a raw dataset.

    Channels and the tumor's label may be named in a `"synbt"` section of dataset.json
    (`pre_channel`, `post_channel`, `tumor_label`); otherwise channel 0 is pre-contrast and all
    later ones are post-contrast.

    Args:
        folder: The `DatasetXXX_Name` folder.
        split: "train" for imagesTr, "test" for imagesTs.

    Raises:
        SynBTError: If this is no such dataset, or it has fewer than two channels.
    """
    folder = Path(folder)
    described = read_json(folder / "dataset.json", "nnU-Net's dataset.json")
    channels = described.get("channel_names", described.get("modality", {}))
    if len(channels) < 2:
        raise SynBTError(
            f"SynBT needs two channels, pre- and post-contrast, but {folder.name} names "
            f"{len(channels)} in dataset.json ({shorten([str(c) for c in channels.values()])})."
        )
    settings = described.get("synbt", {})
    pre = int(settings.get("pre_channel", 0))
    post = settings.get("post_channel")
    posts = [int(post)] if post is not None else [c for c in range(len(channels)) if c != pre]
    if not all(0 <= c < len(channels) for c in (pre, *posts)):
        raise SynBTError(
            f'The "synbt" section of {folder / "dataset.json"} names channels {pre} and {post}, '
            f"but the dataset has {len(channels)}."
        )
    ending = str(described.get("file_ending", ".nii.gz"))
    if ending not in (".nii.gz", ".nii"):
        raise SynBTError(f"{folder.name} stores {ending} files; SynBT reads .nii.gz and .nii.")
    tumor_label = _tumor_label(folder, described.get("labels", {}), settings.get("tumor_label"))
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
        folds = read_json(place, "nnU-Net's list of folds")
        if not 0 <= fold < len(folds):
            raise SynBTError(f"{place} has folds 0 to {len(folds) - 1}, not {fold}.")
        return frozenset(folds[fold]["train"]), frozenset(folds[fold]["val"])
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


def _tumor_label(folder: Path, labels: dict[str, Any], asked: Any) -> int | None:
    if asked is not None:
        return int(asked)
    singles = {name: value for name, value in labels.items() if isinstance(value, int) and value}
    singles.pop("ignore", None)
    if len(singles) <= 1:
        return next(iter(singles.values()), None)
    tumors = [n for n in singles if any(word in n.lower() for word in _TUMOR_WORDS)]
    if len(tumors) == 1:
        return int(singles[tumors[0]])
    raise SynBTError(
        f"{folder.name} has the labels {', '.join(singles)}: which one is the tumor? Add "
        f'"synbt": {{"tumor_label": VALUE}} to {folder / "dataset.json"}.'
    )


def _case_names(images: Path, ending: str) -> list[str]:
    if not images.is_dir():
        raise SynBTError(f"An nnU-Net raw dataset needs {images.name}, but {images} is no folder.")
    pattern = re.compile(r"(.+)_\d{4}" + re.escape(ending))
    matches = (pattern.fullmatch(path.name) for path in images.iterdir() if path.name[0] != ".")
    return sorted({match.group(1) for match in matches if match})
