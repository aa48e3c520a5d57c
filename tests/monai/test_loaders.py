"""Workers, threads and caches: no tumor twice, the same run for the same seed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from monai.data import (
    CacheDataset,
    DataLoader,
    Dataset,
    SmartCacheDataset,
    ThreadDataLoader,
    decollate_batch,
)
from monai.data.utils import worker_init_fn
from monai.transforms import Compose, Flipd

from synbt_aug_monai import SynBTTumord

pytestmark = [
    pytest.mark.usefixtures("flat"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

Sample = Callable[..., dict[str, Any]]
SAMPLES = 3


def pipeline(seed: int = 0) -> Compose:
    steps = [Flipd(["image", "label"], 0), SynBTTumord(prob=1.0, diameter_mm=8.0)]
    return Compose(steps).set_random_state(seed)


def recipes(loader: Any) -> list[str]:
    return [recipe for batch in loader for recipe in batch["synbt_recipe"]]


def run(cases: list[dict[str, Any]], workers: int, seed: int, kind: Any = DataLoader) -> list[str]:
    dataset = Dataset(cases, pipeline(seed))
    generator = torch.Generator().manual_seed(seed)
    return recipes(kind(dataset, batch_size=1, num_workers=workers, generator=generator))


@pytest.mark.parametrize("workers", [0, 2, 4])
def test_no_sample_is_painted_twice_alike_and_a_seed_gives_the_run_again(
    sample: Sample, workers: int
) -> None:
    # The same case again and again: what differs is drawn.
    cases = [sample()] * SAMPLES
    first, again, other = run(cases, workers, 1), run(cases, workers, 1), run(cases[:1], workers, 2)
    assert "" not in first and len(set(first)) == SAMPLES
    assert first == again
    assert other[0] not in first


def test_torch_s_own_loader_is_fine_with_monai_s_worker_init_fn(sample: Sample) -> None:
    dataset = Dataset([sample()] * SAMPLES, pipeline())
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=None,
        num_workers=2,
        worker_init_fn=worker_init_fn,
        generator=torch.Generator().manual_seed(0),
    )
    found = [item["synbt_recipe"] for item in loader]
    assert "" not in found and len(set(found)) == SAMPLES


class Told(torch.utils.data.Dataset[str]):
    """What is warned in a worker."""

    def __init__(self, case: dict[str, Any], transform: SynBTTumord) -> None:
        self.case, self.transform = case, transform

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> str:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.transform(self.case)
        return " ".join(str(w.message) for w in caught)


def test_torch_s_own_loader_without_it_is_told(sample: Sample) -> None:
    dataset = Told(sample(), SynBTTumord(prob=1.0, diameter_mm=8.0))
    plain = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=2)
    for text in plain:
        assert "random state was not set in this loader worker" in text
        assert "worker_init_fn=monai.data.utils.worker_init_fn" in text
    seeded = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=2, worker_init_fn=worker_init_fn
    )
    assert list(seeded) == ["", ""]
    alone = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=0)
    assert list(alone) == ["", ""]


def test_a_thread_loader_paints_what_the_plain_one_paints(sample: Sample) -> None:
    cases = [sample(k) for k in range(2)]
    assert run(cases, 0, 3, ThreadDataLoader) == run(cases, 0, 3)


def test_a_cache_keeps_what_comes_before_and_each_epoch_draws_anew(sample: Sample) -> None:
    dataset = CacheDataset([sample()], pipeline(), progress=False)
    kept = dataset._cache[0]
    assert "synbt_recipe" not in kept and len(kept["image"].applied_operations) == 1
    before = kept["image"].clone()
    epochs = [dataset[0] for _ in range(3)]
    assert len({epoch["synbt_recipe"] for epoch in epochs}) == 3
    assert torch.equal(kept["image"], before) and not kept["label"].any()


def test_a_smart_cache_draws_anew_too(sample: Sample) -> None:
    dataset = SmartCacheDataset(
        [sample(k) for k in range(3)],
        pipeline(),
        replace_rate=0.5,
        cache_num=2,
        num_init_workers=1,
        num_replace_workers=1,
        progress=False,
    )
    dataset.start()
    found = [dataset[0]["synbt_recipe"], dataset[0]["synbt_recipe"]]
    dataset.shutdown()
    assert "" not in found and found[0] != found[1]


def test_a_batch_comes_apart_into_its_samples(sample: Sample) -> None:
    loader = DataLoader(Dataset([sample(0), sample(1)], pipeline()), batch_size=2)
    (batch,) = loader
    parts = decollate_batch(batch)
    assert [part["synbt_recipe"] for part in parts] == batch["synbt_recipe"]
    assert torch.equal(parts[1]["image"], batch["image"][1])
