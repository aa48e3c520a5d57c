from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

from analytic import breast, painter, seeded
from synbt_aug.injection_settings import InjectionSettings
from synbt_aug.injector import SynBTInjector
from synbt_aug.intensity import measure_reference
from synbt_aug.texture import PaintingJob
from synbt_aug_nnunet.augmentation import SplitAugmentation
from synbt_aug_nnunet.injection import BatchInjection, epoch_line, save_examples

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
    counts = injection.pop_counts()
    assert counts == {"case without intensity references": 1, "injected": 1}


def test_out_of_memory_around_the_painting_leaves_the_whole_batch() -> None:
    class Full(SynBTInjector):
        def __call__(self, *args: Any, **more: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    injection = BatchInjection(Full(ALWAYS, painter()), NOTHING, {}, MM, CPU)
    given = batch()
    before = given["data"].clone()
    ready, _ = injection(given, seeded())
    assert torch.equal(ready["data"], before)
    assert injection.pop_counts() == {"out of memory": 2}


def test_without_an_injector_a_batch_is_only_augmented() -> None:
    given = batch()
    ready, injected = BatchInjection(None, NOTHING, {}, MM, CPU)(given, seeded())
    assert injected is None
    assert torch.equal(ready["data"], given["data"]) and ready["keys"] == given["keys"]


def test_out_of_memory_leaves_the_real_sample_and_is_counted() -> None:
    class OutOfMemory:
        name, hole_margin_mm, needs_signal = "full", 2.0, False

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
    line = epoch_line(injection.pop_counts(), injection.pop_milliseconds())
    assert "0 injected, 2 skipped (out of memory 2)" in line


def test_counts_and_times_are_those_since_the_last_line() -> None:
    injection = BatchInjection(SynBTInjector(ALWAYS, painter()), NOTHING, {}, MM, CPU)
    injection(batch(), seeded())
    assert injection.pop_counts()["injected"] == 2
    assert injection.pop_counts() == Counter()
    assert injection.pop_milliseconds()["injection"] > 0
    assert injection.pop_milliseconds() == {"injection": 0.0, "augmentation": 0.0}


def test_the_line_names_reasons_by_their_number() -> None:
    counts = {"injected": 5, "null": 2, "not drawn": 9, "no site": 1, "not visible enough": 3}
    assert epoch_line(counts, {"injection": 12.4, "augmentation": 3.6}) == (
        "SynBT: 5 injected, 2 null paints, 4 skipped (not visible enough 3, no site 1), 9 left as "
        "they are; injection 12 ms + augmentation 4 ms an iteration"
    )


def test_satellites_are_told_and_are_no_failures() -> None:
    counts = {"injected": 5, "satellite": 7, "satellite left out": 2}
    assert epoch_line(counts, {}).startswith("SynBT: 5 injected, 7 satellites, 0 left as they are")


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
