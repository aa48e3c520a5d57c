"""Windows of one shape, cut out of their hosts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import MM, breast, ellipsoid, ground_of, seeded, small_bank
from synbt_aug.decide.decide import decide
from synbt_aug.decide.plan import Plan
from synbt_aug.grid.window import cut
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.signal.intensity import to_linear
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume

MARGIN = 2.0
OF_12_MM = Wish(diameter_mm=12.0)


def lump() -> Tensor:
    """A mask on the breast's grid, about 12 mm wide, in its gland."""
    return ellipsoid(breast().shape, (34, 35, 37), (5, 6, 8))


def window(wish: Wish = OF_12_MM, seed: int = 0, volume: BreastVolume | None = None) -> Cut:
    host = Host.of(breast() if volume is None else volume)
    plan = decide(ground_of(host), wish, small_bank(), MARGIN, seeded(seed))
    assert isinstance(plan, Plan)
    return Cut.of([host], [plan])


def test_a_tumor_lies_on_tissue_inside_its_host() -> None:
    for seed in range(4):
        one = window(seed=seed)
        mask = one.label.distance <= 0
        known = one.known[mask].float().mean()
        assert known > 0.95


@pytest.mark.parametrize("kind", ["null", "removal"])
def test_where_no_tumor_is_painted_the_mask_is_empty_and_the_hole_is_not(kind: str) -> None:
    wish = Wish(kind, mask=lump())
    job = window(wish).job(MARGIN)
    assert not job.mask.any()
    assert bool(job.hole.any())
    values, known = job.appearance_inputs()
    assert not known.any() and not values.any()


def test_the_hole_is_the_tumor_and_its_margin() -> None:
    one = window()
    job = one.job(3.0)
    # What is painted is a millimetre larger than the label: the blend is its edge.
    assert torch.equal(job.mask[0], one.label.distance[0] <= 1.0)
    assert torch.equal(job.hole[0], one.label.distance[0] <= 3)
    assert int(job.hole.sum()) > int(job.mask.sum())


def test_linear_signal_is_the_window_of_the_mapped_host() -> None:
    one = window()
    place = one.plans[0].recipe.window
    mapped = to_linear(breast().image, one.hosts[0].reference)
    assert torch.allclose(one.linear[0], cut(mapped, place), atol=1e-5)
    assert place.spacing == MM
