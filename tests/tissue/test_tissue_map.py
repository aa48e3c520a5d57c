from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from analytic import seeded
from synbt_aug.errors import SynBTError
from synbt_aug.tissue import TissueLabel, TissueMap, grid_shape, to_grid

SHAPES = st.tuples(*[st.integers(2, 40)] * 3)
SPACINGS = st.tuples(*[st.floats(0.4, 5.0)] * 3)


@given(SHAPES, SPACINGS)
def test_the_grid_covers_the_host_in_voxels_of_about_two_mm(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    for n, mm, g in zip(shape, spacing, grid_shape(shape, spacing), strict=True):
        assert g == 1 or abs(n * mm - 2 * g) <= 1 + 1e-6


@given(SHAPES, SPACINGS)
def test_a_constant_volume_stays_constant(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    coarse = to_grid(torch.full((1, *shape), 3.0), spacing)
    assert tuple(coarse.shape[1:]) == grid_shape(shape, spacing)
    torch.testing.assert_close(coarse, torch.full_like(coarse, 3.0))


def test_whole_factors_give_means_of_blocks() -> None:
    volume = torch.arange(64.0).view(1, 4, 4, 4)
    coarse = to_grid(volume, (1.0, 1.0, 1.0))
    assert coarse[0, 0, 0, 0] == volume[0, :2, :2, :2].mean()


@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 2, 4), (3, 1, 1)])
def test_blocks_of_any_sides_and_type_are_averaged(
    factors: tuple[int, int, int], dtype: torch.dtype
) -> None:
    # More planes than are taken at once, and some of them empty.
    d, h, w = (n * f for n, f in zip((19, 5, 6), factors, strict=True))
    volume = torch.randint(0, 200, (1, d, h, w), generator=seeded()).to(dtype)
    volume[:, d // 4 : -d // 4] = 0
    f_d, f_h, f_w = factors
    coarse = to_grid(volume, (2.0 / f_d, 2.0 / f_h, 2.0 / f_w))
    torch.testing.assert_close(coarse, F.avg_pool3d(volume.float(), factors))


def test_coarse_slices_are_interpolated_to_the_grid() -> None:
    ramp = torch.arange(8.0).view(1, 8, 1, 1).expand(1, 8, 4, 4)
    fine = to_grid(ramp, (4.0, 1.0, 1.0))[0, :, 0, 0]
    assert fine.shape == (16,)
    # Linear between the slices' middles, which lie 2 grid voxels apart.
    torch.testing.assert_close(fine[1:-1].diff(), torch.full((13,), 0.5))


def test_known_labels_come_back_from_their_map() -> None:
    labels = torch.zeros(8, 8, 8, dtype=torch.uint8)
    labels[:, :, 4:] = TissueLabel.GLAND
    tissue = TissueMap.of_labels(labels, (1.0, 1.0, 1.0))
    assert torch.equal(tissue.at_host(), labels)
    assert tissue.factors == (2.0, 2.0, 2.0)
    assert tissue.grid_mm == (2.0, 2.0, 2.0)
    torch.testing.assert_close(tissue.probability.sum(0), torch.ones(4, 4, 4))


def test_a_voxel_of_mixed_tissue_says_so() -> None:
    labels = torch.zeros(2, 2, 2, dtype=torch.uint8)
    labels[0, 0, 0] = TissueLabel.FAT
    share = TissueMap.of_labels(labels, (1.0, 1.0, 1.0)).probability[TissueLabel.FAT]
    assert share.item() == 1 / 8


def test_four_tissues_are_refused() -> None:
    with pytest.raises(SynBTError, match=r"needs probabilities of shape \(5, d, h, w\)"):
        TissueMap(torch.zeros(4, 2, 2, 2), (4, 4, 4), (1.0, 1.0, 1.0))
