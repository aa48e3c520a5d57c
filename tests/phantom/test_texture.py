"""Random fields: statistics, mm, and independence of the order of calls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from synbt_aug.phantom.texture import (
    Grid,
    Randomness,
    blur,
    bounding_box,
    cell_walls,
    distance_inside_mm,
    foam,
    grain,
    sample,
    smooth_noise,
    upsample,
)


def test_smooth_noise_has_about_unit_variance() -> None:
    g = torch.Generator().manual_seed(3)
    field = smooth_noise((60, 60, 60), np.array([3.0, 3.0, 3.0]), generator=g, octaves=2)
    assert float(field.mean()) == pytest.approx(0.0, abs=0.1)
    assert float(field.std()) == pytest.approx(1.0, abs=0.25)


def test_smooth_noise_bends_everywhere_and_not_at_knots_alone() -> None:
    g = torch.Generator().manual_seed(4)
    line = smooth_noise((400, 1, 1), np.array([20.0, 1.0, 1.0]), generator=g)[:, 0, 0]
    bend = torch.diff(line, n=2).abs()
    # Between linear knots 20 voxels apart 19 of 20 second differences are 0.
    assert float((bend < 0.05 * bend.max()).float().mean()) < 0.25


def test_smooth_noise_correlates_as_far_as_linear_knots_a_cell_apart() -> None:
    g = torch.Generator().manual_seed(5)
    lines = smooth_noise((2000, 40, 1), np.array([16.0, 1.0, 1.0]), generator=g)[:, :, 0]
    beside = float((lines[8:] * lines[:-8]).mean() / (lines**2).mean())
    # Linear knots correlate over half a cell by 23/48 over 2/3.
    assert beside == pytest.approx(23 / 48 / (2 / 3), abs=0.08)


def test_a_blur_adds_the_variance_it_names() -> None:
    field = torch.zeros(41, 9, 9)
    field[20, 4, 4] = 1.0
    line = blur(field, (2.0, 0.0, 0.0))[:, 4, 4]
    x = torch.arange(41.0) - 20
    assert float(line.sum()) == pytest.approx(1.0, abs=1e-5)
    assert float((line * x**2).sum()) == pytest.approx(4.0, rel=1e-4)


def test_a_blur_leaves_its_input_and_a_constant_unchanged() -> None:
    field = torch.full((6, 7, 8), 3.0)
    torch.testing.assert_close(blur(field, (1.5, 0.4, 0.9)), field)
    assert bool((field == 3.0).all())


def test_distance_is_in_mm_on_thick_voxels() -> None:
    mask = torch.zeros(20, 20, 20, dtype=torch.bool)
    mask[:, :, 4:] = True
    depth = distance_inside_mm(mask, (1.0, 1.0, 3.0), step=1)
    assert float(depth[10, 10, 4]) == 3.0
    assert float(depth[10, 10, 9]) == 18.0


def test_the_foam_bank_does_not_depend_on_the_order_of_calls() -> None:
    first = cell_walls(1).clone()
    cell_walls.cache_clear()
    cell_walls(2)
    assert torch.equal(cell_walls(1), first)


def test_larger_cells_are_farther_from_their_walls() -> None:
    axis = torch.linspace(-20, 20, 30)
    x, y, z = axis[:, None, None], axis[None, :, None], axis[None, None, :]
    small = foam(0, 5.0, x, y, z, np.zeros(3)).mean()
    large = foam(0, 15.0, x, y, z, np.zeros(3)).mean()
    assert 2.0 < float(large / small) < 4.0


def test_stages_are_independent_and_repeat() -> None:
    first, second = Randomness.stages(5, 2)
    again, _ = Randomness.stages(5, 2)
    draw = first.uniform(0, 1)
    assert draw == again.uniform(0, 1)
    assert draw != second.uniform(0, 1)
    assert torch.equal(
        torch.randn(4, generator=first.fields), torch.randn(4, generator=again.fields)
    )


def test_a_crop_keeps_its_place_in_mm() -> None:
    grid = Grid((10, 12, 14), (1.0, 2.0, 0.5), (-5.0, 0.0, -3.5))
    part = grid.crop((slice(2, 6), slice(3, 9), slice(0, 4)))
    assert part.shape == (4, 6, 4)
    assert torch.equal(part.axis(1), grid.axis(1)[:, 3:9])
    assert part.index((-3.0, 6.0, -3.5)).tolist() == [0.0, 0.0, 0.0]


def test_the_bounding_box_of_nothing_is_none() -> None:
    mask = torch.zeros(4, 5, 6, dtype=torch.bool)
    assert bounding_box(mask) is None
    mask[1:3, 2, 4:] = True
    assert bounding_box(mask) == (slice(1, 3), slice(2, 3), slice(4, 6))


def test_grain_has_unit_variance_and_the_width_asked_for_on_any_voxels() -> None:
    generator = torch.Generator().manual_seed(3)
    for spacing in ((1.0, 1.0, 1.0), (0.5, 1.0, 2.0)):
        field = grain(Grid((48, 48, 48), spacing), 1.0, generator=generator)
        assert float(field.std()) == pytest.approx(1.0, rel=0.01)
        for dim, step in enumerate(spacing):
            n = 48
            beside = (field.narrow(dim, 0, n - 1) * field.narrow(dim, 1, n - 1)).mean()
            # Noise under a Gaussian of SD s correlates over d by exp(-d^2 / (4 s^2)).
            assert float(beside) == pytest.approx(np.exp(-(step**2) / 4), abs=0.08)


@pytest.mark.parametrize(("coarse", "fine"), [((3, 5, 2), (17, 1, 40)), ((4, 4, 4), (4, 9, 3))])
def test_upsampling_is_that_of_torch(coarse: tuple[int, ...], fine: tuple[int, ...]) -> None:
    field = torch.randn(coarse, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(field[None, None], size=fine, mode="trilinear", align_corners=True)
    torch.testing.assert_close(upsample(field, fine), expected[0, 0], rtol=0, atol=1e-5)


def test_a_list_of_points_reads_what_the_grid_reads() -> None:
    textures = torch.randn(2, 6, 6, 6, generator=torch.Generator().manual_seed(0))
    x, y, z = torch.meshgrid(*(torch.linspace(-1.2, 1.2, n) for n in (4, 5, 3)), indexing="ij")
    whole = sample(textures, x, y, z)
    listed = sample(textures, x.flatten(), y.flatten(), z.flatten())
    assert whole.shape == (2, 4, 5, 3)
    assert torch.equal(whole.flatten(1), listed)
    assert torch.equal(sample(textures[0], x, y, z), whole[0])
