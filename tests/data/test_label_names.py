"""Which labels are tumor, and which are breast tissue, by whole words of their names."""

from __future__ import annotations

from typing import Any

import pytest

from synbt_aug.data.label_names import breast_labels_of, label_values, tumor_label_of
from synbt_aug.errors import SynBTError


def labelled(**labels: Any) -> dict[str, Any]:
    return {"labels": {"background": 0} | {k.replace("_", " "): v for k, v in labels.items()}}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (labelled(tumor=1), 1),
        (labelled(tumor=1.0), 1),
        (labelled(tumor="1"), 1),
        (labelled(breast=[1, 2], tumor=[2]), 2),
        (labelled(target=3), 3),
        (labelled(tumor=1, ignore=2), 1),
        (labelled(benign_lesion=1, malignant=2), 2),
        ({"labels": {"background": 0, "non-mass": 1, "malignant": 2}}, 2),
        (labelled(mass=1, malignancy=2), 2),
        (labelled(tumor=1, peritumoral_edema=2), 1),
        (labelled(cyst=1, primary_tumour=2), 2),
        (labelled(massive_vessel=1, lesions=2), 2),
        (labelled(non_malignant_mass=1, cancer=2), 2),
        (labelled(no_tumor=1, vessel=2, tumor=3), 3),
        ({"labels": {"background": 0, "nonMass": 1, "vessel": 2}}, 1),
        ({"labels": {"background": 0}}, None),
        ({}, None),
    ],
)
def test_the_tumor_is_told_by_its_name(labels: dict[str, Any], expected: int | None) -> None:
    assert tumor_label_of(labels) == expected


@pytest.mark.parametrize(
    "labels",
    [
        labelled(breast=1),
        labelled(tumor=[1, 2], necrosis=[2]),
        labelled(tumor=[1, 2]),
        labelled(left_tumor=1, right_tumor=2),
        {"labels": {"background": 0, "mass": 1, "non-mass": 2}},
        labelled(tumor=1, lesion=2),
        labelled(tumor=1, malignant=2),
        labelled(peritumoral=1, vessel=2),
        labelled(benign_lesion=1, cyst=2),
    ],
)
def test_a_tumor_label_is_not_guessed(labels: dict[str, Any]) -> None:
    with pytest.raises(SynBTError, match="which one is the tumor. Set SYNBT_TUMOR_LABEL"):
        tumor_label_of(labels)


def test_a_tumor_label_that_is_not_there_is_refused() -> None:
    labels = labelled(mass=1, vessel="2")
    assert tumor_label_of(labels, 2) == 2
    with pytest.raises(SynBTError, match=r"mass \(1\), vessel \(2\)\), got 7"):
        tumor_label_of(labels, 7)


def test_the_value_asked_for_may_be_one_of_a_region() -> None:
    labels = labelled(whole=[1, 2], core=2)
    assert tumor_label_of(labels, 1) == 1
    with pytest.raises(SynBTError, match=r"whole \(1, 2\), core \(2\)\), got 3"):
        tumor_label_of(labels, 3)


@pytest.mark.parametrize("value", [1.5, "one", None, True, -1, [1, 2.5]])
def test_a_label_that_is_no_whole_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(SynBTError, match="need whole numbers from 0 on, but Breast has tumor: "):
        label_values(labelled(tumor=value), "Breast")


def test_breast_tissue_is_told_by_its_name() -> None:
    labels = {
        "background": 0, "breast tumor": 1, "FGT": 2, "vessel": 3, "breast": 4, "ignore": 5,
        "breast implant": 6, "lymph gland": 7, "fatigue": 8, "England": 9, "adipose": [10, 2],
        "fat necrosis": 11, "benign breast lesion": 12,
    }  # fmt: skip
    assert breast_labels_of({"labels": labels}, 1) == (2, 4, 10)
