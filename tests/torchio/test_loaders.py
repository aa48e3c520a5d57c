"""Loaders and the queue: nothing twice, the same from the same seed, however workers start."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
import torchio as tio
from torch import Tensor

from analytic import breast_image, tiny_weights
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.torchio import INTENSITY_KEY, RecordIntensity, SynBTTumor
from synbt_aug.weights import save_weights
from torchio_subjects import empty_label, subject_of, subjects

COUNT = 4


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights that any process can load; far too small to paint a tumor that shows."""
    return str(save_weights(tiny_weights(), tmp_path_factory.mktemp("tiny") / "weights"))


def null_paint(folder: str) -> SynBTTumor:
    """Paints with weights of any quality: what is to be seen in a null paint is nothing."""
    return SynBTTumor(p=1, weights=folder, null_paint=1.0, steps=1, diameter_mm=7.0)


def epoch(
    transform: tio.Transform,
    workers: int,
    seed: int = 0,
    context: str | None = None,
    count: int = COUNT,
) -> list[Tensor]:
    """Images and labels of one pass over one and the same subject, shape (4, D, H, W) each."""
    torch.manual_seed(seed)
    dataset = tio.SubjectsDataset([subject_of()] * count, transform=transform)
    start = multiprocessing.get_context(context) if workers else None
    loader = tio.SubjectsLoader(
        dataset, batch_size=2, num_workers=workers, multiprocessing_context=start
    )
    found = []
    for batch in loader:
        parts = [batch[name]["data"] for name in ("pre", "post", "label")]
        found += list(torch.cat([part.float() for part in parts], dim=1))
    return found


def different(samples: list[Tensor]) -> int:
    return len({sample.numpy().tobytes() for sample in samples})


@pytest.mark.usefixtures("flat")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("workers", [0, 2, 4])
def test_no_sample_comes_twice_and_a_seed_brings_all_of_them_back(workers: int) -> None:
    transform = SynBTTumor(p=1, diameter_mm=9.0)
    first, again, other = (epoch(transform, workers, seed, "fork") for seed in (0, 0, 1))
    assert len(first) == COUNT and different(first) == COUNT
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert different(first + other) == 2 * COUNT
    assert all(int(sample[2].sum()) == 382 for sample in first)


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_workers_that_start_from_nothing_load_the_weights_themselves(
    context: str, tiny_folder: str
) -> None:
    samples = epoch(null_paint(tiny_folder), 1, context=context, count=4)
    assert different(samples) == 4
    before = breast_image()
    assert not any(torch.equal(sample[:2], before) for sample in samples)


@pytest.mark.usefixtures("flat")
def test_cases_with_and_without_a_tumor_make_one_batch() -> None:
    label = tio.LabelMap(tensor=empty_label(dtype=torch.int32)[None])
    label.data[0, 40, 30, 30] = 1
    both = [subject_of(), subject_of()]
    both[0].add_image(label, "label")
    torch.manual_seed(1)
    for p in (0.0, 0.5, 1.0):
        dataset = tio.SubjectsDataset(both, transform=SynBTTumor(p=p, diameter_mm=9.0))
        for order in ([0, 1], [1, 0]):
            (batch,) = tio.SubjectsLoader(dataset, batch_size=2, sampler=order)
            assert batch["label"]["data"].shape == (2, 1, 56, 72, 72)


@pytest.mark.parametrize("workers", [0, 2])
def test_patches_of_a_queue_are_painted_reproducible_and_carry_their_references(
    workers: int, tiny_folder: str
) -> None:
    def patches(seed: int) -> list[Any]:
        torch.manual_seed(seed)
        chain = tio.Compose([RecordIntensity(), null_paint(tiny_folder)])
        queue = tio.Queue(
            tio.SubjectsDataset(subjects(3), transform=chain),
            max_length=4,
            samples_per_volume=2,
            sampler=tio.UniformSampler(24),
            num_workers=workers,
            shuffle_subjects=False,
            shuffle_patches=False,
        )
        return list(tio.SubjectsLoader(queue, batch_size=1))

    first, again = patches(0), patches(0)
    assert len(first) == 6
    for one, two in zip(first, again):
        assert torch.equal(one["post"]["data"], two["post"]["data"])
        assert torch.equal(one["location"], two["location"])
    assert different([batch["post"]["data"] for batch in first]) == 6
    expected = measure_reference(breast_image(seed=0))
    assert first[0][INTENSITY_KEY][0, 1].tolist() == [expected.low[1], expected.high[1]]


def test_the_weights_folder_of_these_tests_is_loaded_once_a_process(
    tiny_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synbt_aug import shared_synthesizer

    loaded = []
    load = shared_synthesizer.load_weights

    def counted(name: str | Path) -> Any:
        loaded.append(name)
        return load(name)

    shared_synthesizer.forget_shared_synthesizers()
    monkeypatch.setattr(shared_synthesizer, "load_weights", counted)
    for transform in (null_paint(tiny_folder), null_paint(tiny_folder)):
        epoch(transform, workers=0, count=2)
    assert loaded == [tiny_folder]
