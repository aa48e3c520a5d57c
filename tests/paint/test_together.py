"""Windows of one batch: by shape on a CPU, in one joint shape on an accelerator."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from analytic import (
    FlatTexture,
    breast,
    copy_paste_painter,
    diffusion_painter,
    ellipsoid,
    ground_of,
    painter,
    seeded,
)
from pretend_accelerator import FAR
from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.plan import Plan
from synbt_aug.errors import SynBTError
from synbt_aug.grid.window import Shape, Window
from synbt_aug.host import Host
from synbt_aug.paint import together
from synbt_aug.paint.together import batches, joined, laid_out
from synbt_aug.runner import Series, run
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Spacing

CPU = torch.device("cpu")
MM: Spacing = (1.0, 1.0, 1.0)


def small_and_long(volume: BreastVolume) -> list[Tensor]:
    """Two masks whose windows differ in shape."""
    mm = volume.spacing
    middle = (34, 36, 37)
    return [ellipsoid(volume.shape, middle, radii, mm) for radii in ((5, 5, 5), (6, 5, 14))]


def running(
    synthesizer: TumorSynthesizer, masks: list[Tensor], spacing: Spacing = MM
) -> list[Series]:
    found = []
    for k, mask in enumerate(masks):
        host = Host.of(breast(spacing, seed=k))
        ground = ground_of(host)
        margin = synthesizer.texture.hole_margin_mm
        decided = decide_all(
            ground, [Wish(mask=mask)], synthesizer.bank, margin, seeded(k), fringe=False
        )
        found.append(Series(host, decided, ground))
    return found


def of_shape(shape: Shape, benign: bool = False) -> Plan:
    recipe = TumorRecipe("distractor" if benign else "tumor", Window((0, 0, 0), shape, MM), 1)
    nothing = torch.zeros(1, 1, 1, 1)
    return Plan(recipe, LabelShape(nothing, nothing, (5.0,)))


def grouped(shapes: list[Shape], device: torch.device) -> list[list[int]]:
    hosts = [Host.of(breast())] * len(shapes)
    return list(batches(hosts, {k: of_shape(one) for k, one in enumerate(shapes)}, device))


def test_a_cpu_paints_a_shape_a_batch_and_an_accelerator_all_at_once() -> None:
    shapes: list[Shape] = [(48, 48, 48), (64, 48, 48), (48, 48, 48)]
    assert grouped(shapes, CPU) == [[0, 2], [1]]
    assert grouped(shapes, FAR) == [[1, 0, 2]]
    assert grouped([(128, 128, 128)] * 2, FAR) == [[0, 1]]


def test_a_batch_is_split_where_memory_asks_for_it() -> None:
    # In their joint shape two of these are 128 mm cubes, three would be half more than allowed.
    shapes: list[Shape] = [(128, 128, 48), (48, 128, 128), (128, 48, 128)]
    assert grouped(shapes, FAR) == [[0, 1], [2]]
    assert grouped([(96, 96, 96)] * 3, CPU) == [[0, 1], [2]]
    # Small ones do not share the box of a large one if that costs a batch more.
    assert grouped([(48, 48, 48), (128, 128, 128), (48, 48, 48), (112, 112, 112)], FAR) == [
        [1, 3],
        [0, 2],
    ]


def test_distractors_are_painted_by_themselves_by_their_own_texture() -> None:
    hosts = [Host.of(breast())] * 2
    plans = {0: of_shape((48, 48, 48)), 1: of_shape((64, 64, 64), benign=True)}
    assert list(batches(hosts, plans, FAR)) == [[0], [1]]


@pytest.mark.parametrize("spacing", [MM, (2.0, 0.7, 0.83)])
def test_what_is_painted_in_a_larger_window_has_the_shape_and_place_decided(
    spacing: Spacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks = small_and_long(breast(spacing))
    own, shared = painter(FlatTexture(grain=0.0)), painter(FlatTexture(grain=0.0))
    apart = running(own, masks, spacing)
    run(own.painter, apart, attempts=False)
    monkeypatch.setattr(together, "joins_shapes", lambda device: True)
    both = running(shared, masks, spacing)
    run(shared.painter, both, attempts=False)
    assert len(own.texture.batches) == 2 and len(shared.texture.batches) == 1  # type: ignore[attr-defined]
    for one, other in zip(apart, both, strict=True):
        (alone,), (joint,) = one.results(), other.results()
        assert alone.painted and joint.painted
        assert torch.equal(alone.tumor, joint.tumor)
        assert torch.equal(alone.support, joint.support)
    assert "painted_in" in both[0].results()[0].recipe["tumors"][0]  # type: ignore[index]
    assert "painted_in" not in both[1].results()[0].recipe["tumors"][0]  # type: ignore[index]


@pytest.mark.parametrize("texture", ["flat", "copy_paste"])
@pytest.mark.parametrize("spacing", [MM, (2.0, 0.7, 0.83)])
def test_a_recipe_of_a_joint_batch_is_replayed_bitwise(
    texture: str, spacing: Spacing, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesizer = painter() if texture == "flat" else copy_paste_painter()
    both = running(synthesizer, small_and_long(breast(spacing)), spacing)
    with monkeypatch.context() as patched:
        patched.setattr(together, "joins_shapes", lambda device: True)
        run(synthesizer.painter, both, attempts=False)
    for k, series in enumerate(both):
        done = synthesizer.together(series.first, series.results(), 0)
        recipe = json.loads(json.dumps(done.recipe))
        assert ("painted_in" in recipe["tumors"][0]) is (k == 0)
        again = synthesizer.replay(breast(spacing, seed=k), recipe)
        assert torch.equal(again.image, done.image) and torch.equal(again.tumor, done.tumor)


def test_the_networks_paint_again_what_they_painted_in_a_larger_window() -> None:
    synthesizer = diffusion_painter()
    small, long = running(synthesizer, small_and_long(breast()))
    plans = [one for series in (small, long) for one in series.decided if isinstance(one, Plan)]
    plan = joined(plans)[0]
    assert plan.recipe.painted_in is not None
    written = synthesizer.painter.paint([small.host], [plan]).result(0)
    done = replace(written, recipe={"tumors": [plan.recipe.to_dict()]})
    whole = synthesizer.together(small.host, [done], 0)
    assert whole.recipe is not None
    again = synthesizer.replay(breast(), whole.recipe)
    assert torch.equal(again.image, whole.image)
    # Other noise, and more around it: not what its own window gives.
    alone = synthesizer.painter.paint([small.host], [plans[0]]).result(0)
    assert not torch.equal(alone.image, whole.image)


def test_who_tries_again_tries_in_the_window_decided() -> None:
    plan = joined([of_shape((48, 48, 48)), of_shape((64, 64, 64))])[0]
    assert plan.recipe.painted_in is not None
    (alone,) = joined([plan])
    assert alone.recipe.painted_in is None and laid_out(alone) is alone


@pytest.mark.parametrize(
    "larger",
    [
        {"site": [0, 0, 0], "window_mm": [48, 48, 32]},
        {"site": [1, 0, 0], "window_mm": [64, 64, 64]},
        {"site": [0, 0, 0], "window_mm": [50, 50, 50]},
        {"site": [0, 0, 0], "window_mm": [128, 128, 1000]},
        {"site": [0, 0, 0]},
        "everywhere",
    ],
)
def test_a_larger_window_that_is_none_is_refused(larger: object) -> None:
    values = of_shape((48, 48, 48)).recipe.to_dict() | {"painted_in": larger}
    with pytest.raises(SynBTError, match="Pass an unchanged recipe.json"):
        TumorRecipe.from_dict(values, MM)
