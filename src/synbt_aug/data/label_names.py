"""Which values of a dataset's labels are tumor, and which are breast tissue, by their names.

Words count whole: a "peritumoral" rim is no tumor, and a "non-mass" no mass.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from synbt_aug.data.name_words import words_of
from synbt_aug.errors import SynBTError
from synbt_aug.support.number import check_whole

_TUMOR = {
    "tumor", "tumors", "tumour", "tumours", "lesion", "lesions", "cancer", "cancers", "mass",
    "masses", "neoplasm", "carcinoma", "breastcancer", "breasttumor", "nonmass", "nme",
}  # fmt: skip

#: Of these names no other word can make a doubt.
_MALIGNANT = {"malignant", "malignancy", "malignancies", "cancer", "cancers", "carcinoma"}
#: Findings that may or may not be the tumor.
_FINDING = {"lesion", "lesions", "mass", "masses", "nonmass", "nme"}

_BENIGN = {"benign", "cyst", "cysts", "fibroadenoma", "fibroadenomas", "normal", "healthy"}
_NEGATIONS = {"non", "no", "not", "without"}

_BREAST = {
    "breast", "breasts", "fibroglandular", "fgt", "gland", "glands", "glandular", "parenchyma",
    "fat", "adipose",
}  # fmt: skip

#: Of the breast, but no place for a tumor.
_NO_TISSUE = {
    "implant", "implants", "node", "nodes", "lymph", "salivary", "skin", "nipple", "muscle",
    "pectoral", "chest", "wall", "vessel", "vessels", "vein", "veins", "artery", "arteries", "scar",
    "seroma", "clip", "marker", "necrosis",
}  # fmt: skip


def label_values(
    described: Mapping[str, Any], where: str = "The dataset"
) -> dict[str, tuple[int, ...]]:
    """The values of each label; several for a region of nnU-Net's region training.

    Args:
        described: The content of dataset.json.
        where: The dataset's name, for errors.

    Raises:
        SynBTError: If a value is no whole number; `1.0` and `"1"` are one.
    """
    found = {}
    for name, value in described.get("labels", {}).items():
        several = value if isinstance(value, (list, tuple)) else [value]
        found[name] = tuple(_whole(name, one, where) for one in several)
    return found


def _whole(name: str, value: Any, where: str) -> int:
    try:
        return check_whole(name, float(value) if isinstance(value, str) else value, 0)
    except ValueError as error:
        raise SynBTError(
            f"Labels in dataset.json need whole numbers from 0 on, but {where} has {name}: "
            f"{value!r}."
        ) from error


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
    named = {
        name: values
        for name, values in label_values(described, where).items()
        if name.lower() not in ("background", "ignore") and values != (0,)
    }
    single = {name: values for name, values in named.items() if len(values) == 1}
    if asked is not None:
        if named and not any(asked in values for values in named.values()):
            raise SynBTError(
                f"tumor_label needs a label of {where} ({_listed(named)}), got {asked}."
            )
        return asked
    if not named:
        return None
    tumors = _tumors(list(named))
    if not tumors and len(named) == len(single) == 1 and not any(map(is_breast, named)):
        tumors = list(named)
    if len(tumors) == 1 and tumors[0] in single:
        return single[tumors[0]][0]
    raise SynBTError(
        f"{where} has the labels {_listed(named)}: which one is the tumor? Set SYNBT_TUMOR_LABEL "
        f'to its value, or add "synbt": {{"tumor_label": VALUE}} to dataset.json.'
    )


def _tumors(names: list[str]) -> list[str]:
    """Those that are tumors by their names; "malignant" beside mere findings is no doubt."""
    tumors = [name for name in names if _is_tumor(name)]
    malignant = [name for name in tumors if _MALIGNANT & set(words_of(name))]
    others = [name for name in tumors if name not in malignant]
    if len(malignant) == 1 and all(_FINDING & set(words_of(name)) for name in others):
        return malignant
    return tumors


def _is_tumor(name: str) -> bool:
    words = words_of(name)
    pairs = list(pairwise(("", *words)))
    if _BENIGN & set(words) or ("non", "malignant") in pairs:
        return False
    # A non-mass is a finding of its own; what else is negated is none.
    return ("non", "mass") in pairs or any(
        word in _TUMOR | _MALIGNANT and before not in _NEGATIONS for before, word in pairs
    )


def breast_labels_of(described: Mapping[str, Any], tumor_label: int | None) -> tuple[int, ...]:
    """Labels that are breast tissue by their names: places for tumors, as the background is.

    Args:
        described: The content of dataset.json.
        tumor_label: Not among them.

    Raises:
        SynBTError: As for `label_values`.
    """
    found = {
        value
        for name, values in label_values(described).items()
        if is_breast(name)
        for value in values
    }
    return tuple(sorted(found - {0, tumor_label}))


def is_breast(name: str) -> bool:
    """Whether a label of this name is tissue of the breast."""
    words = set(words_of(name))
    return bool(_BREAST & words) and not (_NO_TISSUE & words or _BENIGN & words or _is_tumor(name))


def _listed(labels: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} ({', '.join(map(str, v))})" for name, v in labels.items())
