"""Gland by the signal: what shows is found, what does not show stays the network's."""

from __future__ import annotations

import numpy as np
import pytest

from synbt_aug.tissue import gland_by_signal as gland_by_signal_module
from synbt_aug.tissue.gland_by_signal import gland_by_signal

SIDE = 32
MM = (2.0, 2.0, 2.0)
INSIDE = np.zeros((SIDE,) * 3, bool)
INSIDE[2:-2, 2:-2, 2:-2] = True


def ball(centre: tuple[int, int, int], radius: float) -> np.ndarray:
    at = np.indices((SIDE,) * 3) - np.array(centre).reshape(3, 1, 1, 1)
    return np.asarray((at**2).sum(0) <= radius**2)


#: Where gland is; where the network, which sees nothing, takes it to be; a place in its middle
#: where there is none.
TRUTH = ball((10, 16, 16), 6) & INSIDE
BELIEVED = np.where(ball((15, 16, 16), 8), 0.7, 0.2)
MISTAKEN = ball((15, 16, 16), 8) & ~TRUTH


def level(pre: float = 0.4, post: float = 0.6, noise: float = 0.1) -> np.ndarray:
    """Fat at .2 and .25, gland at these, and noise as a share of the signal."""
    numbers = np.random.default_rng(0)
    scan = np.stack([np.where(TRUTH, pre, 0.2), np.where(TRUTH, post, 0.25)])
    return np.asarray(scan * np.exp(noise * numbers.normal(size=scan.shape)), np.float32)


def dice(found: np.ndarray) -> float:
    likely = found >= 0.5
    return float(2 * (likely & TRUTH).sum() / (likely.sum() + TRUTH.sum()))


# Brighter than fat that is suppressed, darker than fat that is not, and alike before contrast.
@pytest.mark.parametrize("pre, post", [(0.4, 0.6), (0.1, 0.14), (0.2, 0.5)])
def test_gland_that_shows_is_found_where_it_is(pre: float, post: float) -> None:
    assert dice(BELIEVED) < 0.7
    found = gland_by_signal(BELIEVED, INSIDE, level(pre, post), MM)
    assert found.dtype == np.float32 and dice(found) > 0.85
    assert (found[MISTAKEN] < 0.5).mean() > 0.9


def test_the_shade_of_a_coil_is_not_taken_for_gland() -> None:
    shade = np.linspace(0.5, 2.0, SIDE)[None, :, None]
    assert dice(gland_by_signal(BELIEVED, INSIDE, level() * shade, MM)) > 0.85


def test_where_nothing_shows_the_network_has_the_last_word() -> None:
    found = gland_by_signal(BELIEVED, INSIDE, level(0.2, 0.25), MM)
    assert np.array_equal(found, np.where(INSIDE, BELIEVED, 0).astype(np.float32))


@pytest.mark.parametrize("believed", [0.0, 1.0])
def test_a_tissue_that_is_hardly_there_is_not_estimated(believed: float) -> None:
    everywhere = np.full((SIDE,) * 3, believed)
    found = gland_by_signal(everywhere, INSIDE, level(), MM)
    assert np.array_equal(found, np.where(INSIDE, believed, 0).astype(np.float32))


def test_what_is_ignored_keeps_the_network_s_answer_and_tells_nothing() -> None:
    tumor = ball((22, 22, 22), 4)
    bright = level()
    bright[:, tumor] = 5.0
    found = gland_by_signal(BELIEVED, INSIDE, bright, MM, tumor)
    assert np.array_equal(found[tumor], BELIEVED[tumor].astype(np.float32))
    plain = gland_by_signal(BELIEVED, INSIDE, level(), MM, tumor)
    assert np.abs(found - plain)[INSIDE & ~tumor].max() < 1e-5


def test_what_is_darker_than_fat_is_no_gland_where_gland_is_bright() -> None:
    void = ball((22, 16, 16), 2)
    dark = level()
    dark[:, void] = 0.03
    found = gland_by_signal(BELIEVED, INSIDE, dark, MM)
    assert found[void & INSIDE].max() < 0.5 and dice(found) > 0.9


def test_outside_the_breast_there_is_no_gland() -> None:
    assert not gland_by_signal(np.ones((SIDE,) * 3), INSIDE, level(), MM)[~INSIDE].any()
    assert not gland_by_signal(BELIEVED, INSIDE, level(), MM)[~INSIDE].any()


def test_an_eighth_of_the_voxels_tells_what_all_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert np.count_nonzero(INSIDE) >= gland_by_signal_module._ENOUGH_VOXELS
    thin = gland_by_signal(BELIEVED, INSIDE, level(), MM)
    monkeypatch.setattr(gland_by_signal_module, "_ENOUGH_VOXELS", SIDE**3)
    whole = gland_by_signal(BELIEVED, INSIDE, level(), MM)
    assert not np.array_equal(thin, whole)
    assert abs(dice(thin) - dice(whole)) < 0.01
    assert ((thin >= 0.5) == (whole >= 0.5)).mean() > 0.995


@pytest.mark.parametrize("length", [1, 2, 7, 8])
def test_between_every_second_voxel_it_is_linear(length: int) -> None:
    line = np.arange(length, dtype=np.float32)
    values = line[None, :, None, None] + 10 * line[None, None, :, None] + np.zeros((2, 1, 1, 3))
    found = gland_by_signal_module._between(values[:, ::2, ::2, ::2], values.shape)
    assert found.shape == values.shape
    # Beyond the last that is known it stays as it is.
    known = 1 if length == 1 else length - 1 + length % 2
    assert np.allclose(found[:, :known, :known], values[:, :known, :known])
    assert np.allclose(found[:, -1, 0], found[:, 2 * ((length - 1) // 2), 0])
