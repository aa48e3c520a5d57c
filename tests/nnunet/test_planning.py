"""Deciding in workers: what is drawn, turns that are passed on, and nothing left to wait for."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from torch import Tensor

from analytic import breast, painter, seeded, small_bank, tiny_weights
from pretend_accelerator import FAR, PretendAccelerator
from synbt_aug.decide.ground import Ground
from synbt_aug.host import Host
from synbt_aug.injector import SynBTInjector
from synbt_aug.packed_plans import pack, unpack
from synbt_aug.sample_plans import NOT_DRAWN, REAL_TUMOR, SamplePlans
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import IntensityReference, measure_reference
from synbt_aug.texture import TumorInpainter
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug_nnunet.augmentation import SplitAugmentation
from synbt_aug_nnunet.injection import BatchInjection
from synbt_aug_nnunet.planning import DecideSample, TakeWhereabouts, packed_plans
from synbt_aug_nnunet.site_maps import whereabouts

MM = (1.0, 1.0, 1.0)
CPU = torch.device("cpu")
NOTHING = SplitAugmentation(ComposeTransforms([]), ComposeTransforms([]))
ALWAYS = InjectionSettings(probability=1.0, diameter_mm=9.0)


class Middle:
    """Site maps of two cases: one open in the middle of the breast, one nowhere."""

    def of(self, number: int) -> SiteMap:
        d, h, w = (n // 2 for n in breast().shape)
        weight = torch.zeros(d, h, w)
        if number == 0:
            weight[11:27, 10:26, 10:26] = 1
        return SiteMap(weight, weight > 0, (2.0, 2.0, 2.0), MM)


def everywhere() -> Tensor:
    axes = [torch.arange(n, dtype=torch.float32) for n in breast().shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def decided(
    one: DecideSample, image: Tensor | None = None, labels: Tensor | None = None, case: int = 0
) -> SamplePlans:
    return one.decide(
        breast().image if image is None else image,
        label() if labels is None else labels,
        case,
        everywhere(),
    )


def decider(settings: InjectionSettings = ALWAYS, seed: int = 0) -> DecideSample:
    return DecideSample(settings, small_bank(), 2.0, MM, Middle(), seed, fringe=True)  # type: ignore[arg-type]


def label(value: int = 0) -> Tensor:
    return torch.full((1, *breast().shape), value, dtype=torch.int16)


def no_shape(recipe: TumorRecipe) -> LabelShape:
    raise AssertionError("a shape was left out")


def test_whereabouts_go_in_as_a_second_segmentation_and_plans_come_out() -> None:
    steps = ComposeTransforms([TakeWhereabouts(), decider()])
    both = torch.cat([label(), torch.from_numpy(whereabouts(breast().shape, 0))[None]])
    ready = steps(image=breast().image, segmentation=both)
    assert set(ready) == {"image", "segmentation"}
    labels, packed = ready["segmentation"]
    assert torch.equal(labels, label()) and packed.dtype == torch.uint8
    (plan,) = unpack(packed, no_shape).plans
    assert plan.recipe.diameter_mm == 9.0
    batch = {"target": [labels[None], packed[None]]}
    assert torch.equal(packed_plans(batch)[0], labels[None])
    assert packed_plans({"target": labels[None]})[1] is None
    # Deep supervision's list is not one of plans.
    assert packed_plans({"target": [labels[None], labels[None]]})[1] is None


def test_a_turn_is_passed_on_to_a_sample_that_was_not_drawn() -> None:
    np.random.seed(3)  # noqa: NPY002
    one = decider(InjectionSettings(probability=0.5, diameter_mm=9.0))
    drawn = passed = 0
    open_now = False
    for _ in range(60):
        plans = decided(one, case=0 if open_now else 1)
        if plans.why_not == NOT_DRAWN:
            assert plans.plans == () and not plans.passed_on
        elif plans.passed_on:
            passed += 1
            assert plans.plans
        else:
            drawn += 1
            assert bool(plans.plans) is open_now
        open_now = not open_now
    # As many as were drawn where nothing is open, but for the last ones.
    assert 20 <= drawn <= 40
    assert 0.3 * drawn <= passed <= 0.7 * drawn


def test_why_nothing_is_tried_is_told() -> None:
    tumor_free = InjectionSettings(probability=1.0, only_tumor_free=True)
    marked = label()
    marked[0, 30, 30, 30] = 1
    assert decided(decider(tumor_free), labels=marked).why_not == REAL_TUMOR
    never = decider(InjectionSettings(probability=0.0))
    assert decided(never).why_not == NOT_DRAWN
    broken = breast().image.clone()
    broken[1, 0, 0, 0] = float("nan")
    said = decided(decider(), broken).why_not
    assert said == "unusable sample: its post-contrast channel holds NaN or infinite values"
    flat = torch.zeros_like(broken)
    assert "pre-contrast channel is constant" in str(decided(decider(), flat).why_not)


def test_tumors_keep_off_what_the_labels_close() -> None:
    closed = label(5)
    closed[0, :, :, 12:60] = 0
    closed[0, 38:] = 5
    painted = 0
    for seed in range(4):
        (plan,) = decided(decider(seed=seed), labels=closed).plans
        support = Ground((*breast().shape,), MM, lambda _: None).holding(plan).taken  # type: ignore[arg-type, return-value]
        assert support is not None
        painted += int(support.sum())
        assert not bool((support & (closed[0] == 5)).any())
    assert painted > 0


def batch_of(plans: list[SamplePlans]) -> dict[str, Any]:
    count = len(plans)
    images = torch.stack([breast(seed=k).image for k in range(count)])
    packed = torch.stack([pack(one, 2**21) for one in plans])
    labels = torch.stack([label() for _ in range(count)])
    return {"data": images, "target": [labels, packed], "keys": [f"case{k}" for k in range(count)]}


def references(count: int) -> dict[str, IntensityReference | None]:
    return {f"case{k}": measure_reference(breast(seed=k).image) for k in range(count)}


def test_what_workers_decide_is_painted_and_counted_once_an_epoch() -> None:
    one = decider()
    plans = [
        decided(one, breast(seed=0).image),
        SamplePlans(why_not=NOT_DRAWN),
        decided(one, breast(seed=2).image, case=1),
    ]
    given = batch_of(plans)
    before = given["data"].clone()
    injection = BatchInjection(SynBTInjector(ALWAYS, painter()), NOTHING, references(3), MM, CPU)
    ready, injected = injection(given, seeded())
    assert injected is not None
    assert [torch.equal(a, b) for a, b in zip(ready["data"], before)] == [False, True, True]
    assert [bool(t.any()) for t in ready["target"]] == [True, False, False]
    assert injected.results[1] is None and injected.painted == (True, False, False)
    counts = injection.pop_counts()
    assert (counts.samples, counts.drawn, counts.painted, counts.passed_on) == (3, 2, 1, 0)
    assert counts.things["injected"] == 1 and list(counts.why.values()) == [1]
    again = injection.pop_counts()
    assert (again.drawn, again.painted, again.things.total()) == (0, 0, 0)


def test_the_recipe_of_what_a_worker_decided_paints_it_again() -> None:
    plans = [decided(decider())]
    given = batch_of(plans)
    injection = BatchInjection(SynBTInjector(ALWAYS, painter()), NOTHING, references(1), MM, CPU)
    ready, injected = injection(given, seeded())
    assert injected is not None and injected.results[0] is not None
    recipe = injected.results[0].recipe
    assert recipe is not None
    again = painter().replay(breast(), recipe)
    assert torch.equal(again.image, ready["data"][0])
    assert torch.equal(again.tumor, ready["target"][0, 0] == 1)


def test_a_case_without_references_is_left_alone_and_counted() -> None:
    plans = [decided(decider())]
    injection = BatchInjection(SynBTInjector(ALWAYS, painter()), NOTHING, {"case0": None}, MM, CPU)
    ready, _ = injection(batch_of(plans), seeded())
    assert not ready["target"].any()
    counts = injection.pop_counts()
    assert dict(counts.why) == {"case without intensity references": 1} and counts.drawn == 1


def injected_there(diameters_mm: Sequence[float]) -> tuple[PretendAccelerator, Any, Any]:
    """A batch that workers decided, injected on a pretend accelerator and here."""
    count = len(diameters_mm)
    plans = [
        decided(decider(replace(ALWAYS, diameter_mm=mm)), breast(seed=k).image)
        for k, mm in enumerate(diameters_mm)
    ]
    assert len({one.plans[0].recipe.window.shape for one in plans}) == len(set(diameters_mm))
    known = [measure_reference(breast(seed=k).image) for k in range(count)]
    given = batch_of(plans)
    weights, synthesizer = tiny_weights(), painter()
    injector = SynBTInjector(ALWAYS, synthesizer)

    def inject(images: Tensor, labels: Tensor) -> Any:
        return injector(images, labels, MM, references=known, plans=plans)

    synthesizer.texture = TumorInpainter(
        weights.autoencoder, weights.denoiser, weights.schedule, hole_margin_mm=2.0, steps=4
    )
    here = inject(given["data"], given["target"][0])
    with PretendAccelerator() as there:
        synthesizer.device = FAR
        synthesizer.texture = TumorInpainter(
            there.put_module(copy.deepcopy(weights.autoencoder)),  # type: ignore[arg-type]
            there.put_module(copy.deepcopy(weights.denoiser)),  # type: ignore[arg-type]
            weights.schedule,
            hole_margin_mm=2.0,
            steps=4,
        )
        images, labels = there.put(given["data"]), there.put(given["target"][0])
        there.reset()
        done = inject(images, labels)
        assert there.waits == [] and there.to_host == 0
        launches, to_device = there.launches, there.to_device
        assert done.painted == here.painted
        vars(done).update(images=there.get(done.images), labels=there.get(done.labels))
        there.launches, there.to_device = launches, to_device
    return there, done, here


@pytest.mark.parametrize("count", [2, 4])
def test_a_device_is_not_waited_for_from_the_batch_to_the_painted_batch(count: int) -> None:
    there, done, here = injected_there([9.0] * count)
    # The shapes, in float32 and float16; of the noise only the seeds.
    assert there.to_device < 1.25e6 * count
    off = (done.images - here.images).abs()
    # Codes may tip over where two are equally near; hardly any do.
    assert (off < 1e-2).float().mean() > 0.999
    assert (done.labels != here.labels).float().mean() < 1e-4


def test_two_windows_of_different_shapes_launch_as_many_as_two_alike() -> None:
    alike, unlike = (injected_there([11.0, mm])[0] for mm in (11.0, 22.0))
    assert abs(unlike.launches - alike.launches) <= 20


def test_the_host_s_own_sites_are_not_asked_for() -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("the training process looks for sites")

    plans = [decided(decider())]
    synthesizer = painter()
    synthesizer.segmenter = never
    injector = SynBTInjector(ALWAYS, synthesizer)
    host = Host.of(breast())
    done = injector(
        breast().image[None], label()[None], MM, references=[host.reference], plans=plans
    )
    assert done.painted == (True,)


def test_verdicts_that_nobody_asks_for_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synbt_aug.injector._MOST_UNCOUNTED", 2)
    plans = [decided(decider())]
    injector = SynBTInjector(ALWAYS, painter())
    known = [measure_reference(breast().image)]
    held = []
    for _ in range(6):
        injector(breast().image[None], label()[None], MM, references=known, plans=plans)
        held.append(len(injector._uncounted))
    assert held == [1, 2, 0, 1, 2, 0]
    assert injector.counts["injected"] == 6
    # Where each verdict is waited for, it is counted at once.
    injector(breast().image[None], label()[None], MM, generator=seeded())
    assert injector._uncounted == []
