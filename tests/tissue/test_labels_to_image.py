from __future__ import annotations

import pytest
import torch

from synbt_aug.tissue import TissueLabel
from synbt_aug.tissue.labels_to_image import (
    AIR,
    CLUSTERS,
    FAT,
    FIRST_CLUSTER,
    GLAND,
    NIPPLE,
    REST,
    SKIN,
    TUMOR,
    VESSEL,
    LabelMap,
    draw_contrast,
    draw_crop,
    draw_image,
    mottling,
    split_rest,
    tissue_of,
)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _case() -> LabelMap:
    """Layers along the second axis: air, skin, fat, gland, fat, and the rest; a bright rest."""
    labels = torch.full((64, 64, 64), REST, dtype=torch.uint8)
    for value, start, stop in ((AIR, 0, 16), (SKIN, 16, 18), (FAT, 18, 26), (GLAND, 26, 36)):
        labels[:, start:stop] = value
    labels[:, 36:44] = FAT
    scan = torch.zeros(32, 32, 32)
    scan[:, 22:27], scan[:, 27:] = 50, 200
    return LabelMap(labels, scan, "layers")


def test_every_generation_label_has_its_tissue() -> None:
    pairs = {
        AIR: TissueLabel.BACKGROUND,
        FAT: TissueLabel.FAT,
        VESSEL: TissueLabel.FAT,
        GLAND: TissueLabel.GLAND,
        TUMOR: TissueLabel.GLAND,
        SKIN: TissueLabel.SKIN,
        NIPPLE: TissueLabel.SKIN,
        REST: TissueLabel.BEHIND,
        FIRST_CLUSTER: TissueLabel.BEHIND,
    }
    assert tissue_of(torch.tensor(list(pairs))).tolist() == [int(v) for v in pairs.values()]


def test_a_crop_has_the_wanted_sides_and_no_new_labels() -> None:
    labels, scan = draw_crop(_case(), (32, 48, 64), generator=_generator())
    assert labels.shape == scan.shape == (32, 48, 64)
    assert set(labels.unique().tolist()) <= set(_case().labels.unique().tolist())


def test_crops_are_turned_into_all_axis_orders() -> None:
    seen = set()
    for seed in range(60):
        labels, _ = draw_crop(_case(), (48, 48, 48), generator=_generator(seed))
        air = torch.nonzero(labels == AIR).float()
        rest = torch.nonzero(labels == REST).float()
        if len(air) and len(rest):
            towards = rest.mean(0) - air.mean(0)
            axis = int(towards.abs().argmax())
            seen.add((axis, bool(towards[axis] > 0)))
    assert len(seen) == 6


def test_kmeans_splits_the_rest_by_its_signal() -> None:
    case = _case()
    scan = case.scan.repeat_interleave(2, 0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    counts = set()
    for seed in range(40):
        labels, signal = split_rest(case.labels, scan, generator=_generator(seed))
        dark, bright = labels[32, 48, 32], labels[32, 62, 32]
        assert dark >= FIRST_CLUSTER and bright >= FIRST_CLUSTER and dark != bright
        assert signal[bright] > signal[dark]
        assert torch.equal(labels[:, :44], case.labels[:, :44].long())
        counts.add(len(signal) - FIRST_CLUSTER)
    assert counts == set(range(CLUSTERS[0], CLUSTERS[1] + 1))


def test_a_crop_without_a_rest_needs_no_clusters() -> None:
    labels = torch.full((16, 16, 16), FAT, dtype=torch.uint8)
    split, _ = split_rest(labels, torch.rand(16, 16, 16), generator=_generator())
    assert torch.equal(split, labels.long())


def test_fat_and_gland_can_always_be_told_apart() -> None:
    signal = torch.full((FIRST_CLUSTER + 3,), float("nan"))
    brighter = 0
    for seed in range(400):
        mean, spread = draw_contrast(signal, generator=_generator(seed))
        assert abs(mean[FAT] - mean[GLAND]) >= 0.149
        assert all(0 <= m <= 1 for m in mean) and all(0 <= s <= 0.16 for s in spread)
        brighter += mean[GLAND] > mean[FAT]
    # 260 of 400 expected, SD 10.
    assert 230 < brighter < 290


def test_what_looks_like_fat_in_the_scan_often_looks_like_fat_in_the_image() -> None:
    signal = torch.zeros(FIRST_CLUSTER + 2)
    signal[FAT], signal[FIRST_CLUSTER], signal[FIRST_CLUSTER + 1] = 100, 10, 95
    alike = [
        mean[FIRST_CLUSTER + 1] == mean[FAT]
        for mean, _ in (draw_contrast(signal, generator=_generator(k)) for k in range(300))
    ]
    assert 0.6 < sum(alike) / 300 < 0.8


def test_an_image_and_its_answer_follow_from_the_generator_alone() -> None:
    labels, scan = draw_crop(_case(), (64, 64, 64), generator=_generator(3))
    state = torch.get_rng_state()
    image, answer = draw_image(labels, scan, generator=_generator(4))
    assert torch.equal(torch.get_rng_state(), state)
    again, same = draw_image(labels, scan, generator=_generator(4))
    assert torch.equal(image, again) and torch.equal(answer, same)
    other, _ = draw_image(labels, scan, generator=_generator(5))
    assert not torch.equal(image, other)
    assert image.shape == answer.shape == (32, 32, 32)
    assert image.dtype == torch.float32 and bool(torch.isfinite(image).all())


def test_the_answer_is_the_majority_of_eight_voxels() -> None:
    case = _case()
    scan = torch.rand(64, 64, 64)
    for seed in range(20):
        _, answer = draw_image(case.labels, scan, generator=_generator(seed))
        whole = tissue_of(case.labels[::2, ::2, ::2])
        cut = answer != whole
        # Only a corner without signal may differ, and there all is background.
        assert bool((answer[cut] == TissueLabel.BACKGROUND).all())


def test_some_images_lack_a_corner() -> None:
    case = _case()
    scan = torch.rand(64, 64, 64)
    cut = []
    for seed in range(30):
        _, answer = draw_image(case.labels, scan, generator=_generator(seed))
        cut.append(bool((answer[:, 22:] == TissueLabel.BACKGROUND).any()))
    assert 0 < sum(cut) < 15


@pytest.mark.parametrize("sides", [(32, 32, 32)])
def test_a_crop_larger_than_its_case_repeats_the_edge(sides: tuple[int, int, int]) -> None:
    tiny = LabelMap(torch.full((8, 8, 8), FAT, dtype=torch.uint8), torch.zeros(4, 4, 4))
    labels, _ = draw_crop(tiny, sides, generator=_generator())
    assert bool((labels == FAT).all())


def test_mottling_is_the_scan_over_the_mean_of_its_label() -> None:
    split = torch.tensor([AIR, FAT, FAT, GLAND, GLAND])[:, None, None]
    scan = torch.tensor([9.0, 80.0, 120.0, 10.0, 190.0])[:, None, None]
    signal = torch.full((FIRST_CLUSTER,), torch.nan)
    signal[[AIR, FAT, GLAND]] = torch.tensor([1.0, 100.0, 100.0])
    # Within a factor of 2; in air none.
    assert mottling(split, scan, signal).flatten().tolist() == pytest.approx(
        [1, 0.8, 1.2, 0.5, 1.9]
    )
