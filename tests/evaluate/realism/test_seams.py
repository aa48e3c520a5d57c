from __future__ import annotations

import pytest
import torch

from analytic import seeded
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.seams import seam_energy


def test_noise_has_no_seams() -> None:
    noise = torch.randn(2, 64, 64, 64, generator=seeded())
    assert seam_energy(noise, 16) == pytest.approx(1, abs=0.02)


def test_a_known_step_at_the_borders_adds_its_square() -> None:
    # White noise of SD 1 steps by 2 in the mean square; patches that lie 1 apart add 1.
    error = torch.randn(1, 128, 64, 64, generator=seeded())
    error[:, 64:] += 1
    steps = {axis: error.diff(dim=axis).square() for axis in (1, 2, 3)}
    at_border = steps[1][:, 63].mean()
    assert seam_energy(error, 64) == pytest.approx(float(at_border) / 2, rel=0.03)
    assert seam_energy(error, 64) == pytest.approx(1.5, rel=0.05)


def test_steps_between_latent_cells_are_no_seams() -> None:
    cells = torch.randn(1, 16, 16, 16, generator=seeded())
    error = cells.repeat_interleave(4, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert seam_energy(error, 16) == pytest.approx(1, abs=0.1)
    # Held against all planes, three of four of which have no step, it would be 4.


def test_only_steps_inside_the_mask_count() -> None:
    error = torch.randn(1, 32, 32, 32, generator=seeded())
    inside = torch.zeros(32, 32, 32, dtype=torch.bool)
    inside[:, :, :14] = True
    spoiled = error.clone()
    spoiled[..., 16:] += 100
    assert seam_energy(spoiled, 16, where=inside) == seam_energy(error, 16, where=inside)
    assert seam_energy(spoiled, 16) > 100


def test_a_volume_of_one_patch_has_no_borders() -> None:
    with pytest.raises(SynBTError, match="longer than a patch of 64"):
        seam_energy(torch.zeros(2, 64, 64, 64), 64)
