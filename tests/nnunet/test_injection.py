from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

from analytic import breast, painter, seeded
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.texture import PaintingJob
from synbt_aug.tumor.placement import draw_seed
from synbt_aug_nnunet.augmentation import SplitAugmentation
from synbt_aug_nnunet.epoch_counts import EpochCounts
from synbt_aug_nnunet.injection import BatchInjection, save_examples

MM = (1.0, 1.0, 1.0)
CPU = torch.device("cpu")
NOTHING = SplitAugmentation(ComposeTransforms([]), ComposeTransforms([]))
ALWAYS = InjectionSettings(probability=1.0, diameter_mm=9.0)


def batch(count: int = 2) -> dict[str, Any]:
    images = torch.stack([breast(seed=k).image for k in range(count)])
    labels = torch.zeros((count, 1, *breast().shape), dtype=torch.int16)
    return {"data": images, "target": labels, "keys": [f"case{k}" for k in range(count)]}


def test_references_are_looked_up_by_case() -> None:
    reference = measure_reference(breast().image * 3 + 7)
    injection = BatchInjection(
        SynBTInjector(ALWAYS, painter()), NOTHING, {"case1": reference}, MM, CPU
    )
    _, injected = injection(batch(), seeded())
    assert injected is not None
    first, second = (r.recipe for r in injected.results if r is not None)
    assert first is not None and second is not None
    assert second["reference"] == reference.to_dict() != first["reference"]


def test_a_case_without_references_is_left_alone_and_counted() -> None:
    injection = BatchInjection(SynBTInjector(ALWAYS, painter()), NOTHING, {"case0": None}, MM, CPU)
    given = batch()
    before = given["data"].clone()
    ready, injected = injection(given, seeded())
    assert injected is not None and injected.painted == (False, True)
    assert torch.equal(ready["data"][0], before[0])
    assert not torch.equal(ready["data"][1], before[1])
    why = Counter({"case without intensity references": 1})
    assert injection.pop_counts() == EpochCounts(2, 2, 1, 0, why, Counter({"injected": 1}))


def test_out_of_memory_around_the_painting_leaves_the_whole_batch() -> None:
    class Full(SynBTInjector):
        def __call__(self, *args: Any, **more: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    injection = BatchInjection(Full(ALWAYS, painter()), NOTHING, {}, MM, CPU)
    given = batch()
    before = given["data"].clone()
    ready, _ = injection(given, seeded())
    assert torch.equal(ready["data"], before)
    assert injection.pop_counts() == EpochCounts(2, 2, 0, 0, Counter({"out of memory": 2}))


def test_without_an_injector_a_batch_is_only_augmented() -> None:
    given = batch()
    ready, injected = BatchInjection(None, NOTHING, {}, MM, CPU)(given, seeded())
    assert injected is None
    assert torch.equal(ready["data"], given["data"]) and ready["keys"] == given["keys"]


def test_out_of_memory_leaves_the_real_sample_and_is_counted() -> None:
    class OutOfMemory:
        name, hole_margin_mm, needs_signal, replaces = "full", 2.0, False, False

        def __call__(self, job: PaintingJob) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

        def recipe(self) -> dict[str, object]:
            return {}

    from analytic import find_tissue, tiny_weights
    from synbt_aug.synthesizer import TumorSynthesizer

    synthesizer = TumorSynthesizer(tiny_weights(), texture=OutOfMemory(), tissue=find_tissue)
    injection = BatchInjection(SynBTInjector(ALWAYS, synthesizer), NOTHING, {}, MM, CPU)
    given = batch()
    before = given["data"].clone()
    ready, _ = injection(given, seeded())
    assert torch.equal(ready["data"], before) and not bool(ready["target"].any())
    assert injection.pop_counts() == EpochCounts(2, 2, 0, 0, Counter({"out of memory": 2}))


def full(count: int, *free: int) -> dict[str, Any]:
    """A batch in which only some samples have room: the others are forbidden everywhere."""
    given = batch(count)
    given["target"][[k for k in range(count) if k not in free]] = 5
    return given


def chances(seed: int, count: int) -> list[float]:
    """What an injector draws for the samples of a batch: chance, kind and seed of each."""
    generator, found = seeded(seed), []
    for _ in range(count):
        found.append(float(torch.rand(2, generator=generator)[0]))
        draw_seed(generator)
    return found


def half(**more: Any) -> BatchInjection:
    settings = InjectionSettings(probability=0.5, diameter_mm=9.0, **more)
    return BatchInjection(SynBTInjector(settings, painter()), NOTHING, {}, MM, CPU)


def seed_with(*drawn: bool) -> int:
    """The first seed by which chance draws exactly these samples of a batch."""
    count = len(drawn)
    return next(k for k in range(999) if [c < 0.5 for c in chances(k, count)] == list(drawn))


def test_a_sample_without_room_passes_its_turn_to_one_that_was_not_drawn() -> None:
    injection, given = half(), full(3, 1, 2)
    before = given["data"].clone()
    ready, injected = injection(given, seeded(seed_with(True, False, False)))
    assert injected is not None and injected.painted == (False, True, False)
    changed = [not torch.equal(ready["data"][k], before[k]) for k in range(3)]
    assert changed == [False, True, False]
    assert ready["target"][1].eq(1).any() and not ready["target"][2].any()
    why = Counter({"no site": 1})
    assert injection.pop_counts() == EpochCounts(3, 1, 1, 1, why, Counter({"injected": 1}))


def test_a_turn_waits_for_the_next_batch_with_room_and_ends_with_the_epoch() -> None:
    one, other = seed_with(True, True), seed_with(False, False)
    injection = half()
    injection(full(2), seeded(one))
    assert injection(full(2), seeded(other))[1].painted == (False, False)  # type: ignore[union-attr]
    assert injection(full(2, 1), seeded(other))[1].painted == (False, True)  # type: ignore[union-attr]
    counts = injection.pop_counts()
    assert (counts.samples, counts.drawn, counts.painted, counts.passed_on) == (6, 2, 1, 1)
    # One turn was left; the next epoch begins without it.
    assert injection(full(2, 0, 1), seeded(other))[1].painted == (False, False)  # type: ignore[union-attr]


def test_where_all_drawn_samples_have_room_nothing_else_is_painted() -> None:
    injection, given = half(), batch(3)
    _, injected = injection(given, seeded(seed_with(True, False, True)))
    alone = SynBTInjector(injection.injector.settings, painter())  # type: ignore[union-attr]
    expected = alone(
        batch(3)["data"], batch(3)["target"], generator=seeded(seed_with(True, False, True))
    )
    assert injected is not None and injected.painted == (True, False, True)
    assert torch.equal(injected.images, expected.images)
    assert injection.pop_counts().passed_on == 0


def test_the_share_asked_for_is_met_where_some_samples_have_no_room() -> None:
    injection = half()
    for step in range(24):
        injection(full(2, 0), seeded(step))
    counts = injection.pop_counts()
    # Of 48 samples 24 have room: what was drawn is painted, less the turns still waiting.
    alone = sum(chances(step, 2)[0] < 0.5 for step in range(24))
    assert alone < counts.painted <= counts.drawn <= 2 * alone + 8
    assert counts.painted >= counts.drawn - 3
    assert counts.why == Counter({"no site": counts.drawn - alone})


def test_samples_with_a_real_tumor_are_counted_where_they_are_to_be_left_alone() -> None:
    injection, given = half(only_tumor_free=True), batch(2)
    given["target"][0, 0, 30:34, 30:34, 30:34] = 1
    injection(given, seeded(seed_with(True, True)))
    counts = injection.pop_counts()
    assert (counts.drawn, counts.painted) == (2, 1)
    assert counts.why == {"holds a real tumor": 1}


def test_counts_and_times_are_those_since_the_last_line() -> None:
    injection = BatchInjection(SynBTInjector(ALWAYS, painter()), NOTHING, {}, MM, CPU)
    injection(batch(), seeded())
    assert injection.pop_counts().painted == 2
    assert injection.pop_counts() == EpochCounts()
    assert injection.pop_milliseconds()["injection"] > 0
    assert injection.pop_milliseconds() == {"injection": 0.0, "augmentation": 0.0}


def test_pictures_are_saved_of_painted_samples_alone(tmp_path: Path) -> None:
    given = batch(3)
    given["target"][1] = 5  # nothing may be painted there
    injection = BatchInjection(SynBTInjector(ALWAYS, painter()), NOTHING, {}, MM, CPU)
    before = given["data"].clone()
    _, injected = injection(given, seeded())
    assert injected is not None
    saved = save_examples(tmp_path / "x", injected, before, given["keys"], MM, (0, 1), most=5)
    assert saved == 2
    names = sorted(p.name for p in (tmp_path / "x").glob("*.png"))
    assert names == ["01-case0.png", "02-case2.png"]
