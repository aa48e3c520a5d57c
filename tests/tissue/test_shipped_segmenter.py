"""The segmenter in the wheel, on phantoms that no training saw (seeds from a million on)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.tissue import TissueLabel, TissueMap, tissue_labels
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.tissue.sites import find_sites

FIELDS = {
    "1 mm": PhantomSettings(shape=(160, 160, 112)),
    "thick sagittal slices": PhantomSettings(shape=(54, 200, 140), spacing=(3.0, 0.8, 0.8)),
    "no fat suppression": PhantomSettings(
        shape=(108, 108, 76), spacing=(1.5, 1.5, 1.5), fat_saturation=False
    ),
}


@cache
def found_and_true(field: str) -> tuple[TissueMap, TissueMap]:
    phantom = make_phantom(1_000_005, FIELDS[field])
    # Another axis order than any reader gives.
    pre = torch.from_numpy(phantom.pre.astype(np.float32)).permute(2, 0, 1).flip(1)
    truth = torch.from_numpy(tissue_labels(phantom.labels, phantom.breast)).permute(2, 0, 1)
    x, y, z = phantom.spacing
    found = load_segmenter()(pre, (z, x, y))
    return found, TissueMap.of_labels(truth.flip(1), (z, x, y))


def breast_of(tissue: TissueMap) -> torch.Tensor:
    return (tissue.labels == TissueLabel.FAT) | (tissue.labels == TissueLabel.GLAND)


@pytest.mark.parametrize("field", FIELDS)
def test_the_breast_is_found(field: str) -> None:
    found, true = (breast_of(tissue) for tissue in found_and_true(field))
    assert 2 * int((found & true).sum()) / int(found.sum() + true.sum()) > 0.85


@pytest.mark.parametrize("field", FIELDS)
def test_gland_is_likelier_where_gland_is(field: str) -> None:
    found, true = found_and_true(field)
    gland = found.probability[TissueLabel.GLAND]
    inside, beside = (
        float(gland[true.labels == v].mean()) for v in (TissueLabel.GLAND, TissueLabel.FAT)
    )
    assert inside > 2 * beside


@pytest.mark.parametrize("field", FIELDS)
def test_a_tumor_starts_in_the_breast(field: str) -> None:
    found, true = found_and_true(field)
    sites = find_sites(found)
    assert sites.reason is None
    assert float(sites.weight[breast_of(true)].sum() / sites.weight.sum()) > 0.97
