"""Site maps of cases: kept on disk, and looked up from patches that know where they came from."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
from torch import Tensor

from analytic import breast, find_tissue
from nnunet_dataset import Dataset
from synbt_aug.host import Host
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.tissue.site_lookup import sites_of_patch
from synbt_aug_nnunet.site_maps import (
    MOST_CASES,
    CaseSites,
    HeldSites,
    WithSites,
    case_sites,
    read_whereabouts,
    whereabouts,
)

Make = Callable[..., Any]
SETTINGS = InjectionSettings()


@pytest.fixture
def cases(nnunet: Make) -> Any:
    trainer = nnunet(Dataset())
    trainer.initialize()
    return trainer._synbt_cases()


def found(cases: Any, folder: Path, settings: InjectionSettings = SETTINGS) -> CaseSites:
    references = {n: measure_reference(cases.read(n).image) for n in "abc"}
    return case_sites(
        cases, settings, references, find_tissue,
        fallback=folder / "sites", finds=True, workers=2, say=lambda line: None,
    )  # fmt: skip


def came_from(shape: tuple[int, ...]) -> Tensor:
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def test_a_case_s_map_is_that_of_the_whole_case(cases: Any, tmp_path: Path) -> None:
    volume = cases.read("a")
    whole = Host.of(volume).sites_by(find_tissue)
    kept = found(cases, tmp_path).of("a")
    there = sites_of_patch(kept, came_from(volume.shape), None, volume.spacing)
    assert torch.equal(there.allowed, whole.allowed)
    assert torch.allclose(there.weight, whole.weight, atol=1e-3)
    ours, theirs = there.landmarks, whole.landmarks
    assert ours is not None and theirs is not None and ours.post is not None
    box = tuple(slice(s, s + n) for s, n in zip(theirs.start, theirs.gland.shape, strict=True))
    assert torch.equal(ours.gland[box], theirs.gland)
    assert ours.noise is not None and ours.noise == theirs.noise
    inside = (slice(None), *box)
    assert torch.equal(ours.distance_mm[inside].nan_to_num(), theirs.distance_mm.nan_to_num())


def test_a_part_s_map_is_the_part_of_the_map_however_it_lies(cases: Any, tmp_path: Path) -> None:
    kept, everywhere = found(cases, tmp_path).of("a"), came_from(cases.read("a").shape)
    whole = sites_of_patch(kept, everywhere, None, (1.0, 1.0, 1.0))
    part = sites_of_patch(kept, everywhere[:, 10:50, 20:60, 8:48], None, (1.0, 1.0, 1.0))
    assert torch.equal(part.allowed, whole.allowed[5:25, 10:30, 4:24])
    turned = sites_of_patch(kept, everywhere.transpose(1, 2), None, (1.0, 1.0, 1.0))
    assert torch.equal(turned.allowed, whole.allowed.transpose(0, 1))
    valid = torch.zeros(everywhere.shape[1:], dtype=torch.bool)
    valid[:, :36] = True
    half = sites_of_patch(kept, everywhere, valid, (1.0, 1.0, 1.0))
    assert (
        torch.equal(half.allowed[:, :18], whole.allowed[:, :18]) and not half.allowed[:, 18:].any()
    )


def test_a_patch_without_breast_holds_no_site(cases: Any, tmp_path: Path) -> None:
    kept = found(cases, tmp_path).of("a")
    beyond = came_from((40, 40, 40)) + 1000
    nothing = sites_of_patch(kept, beyond, None, (1.0, 1.0, 1.0))
    assert nothing.reason is not None and nothing.reason.startswith("no site: ")


@pytest.mark.parametrize(
    ("start", "size"),
    [((0, 0, 0), (20, 24, 28)), ((3, 5, 7), (8, 6, 9)), ((-6, 2, -9), (16, 30, 20)),
     ((14, 18, 20), (12, 12, 12)), ((19, 0, 0), (5, 12, 12))],
)  # fmt: skip
def test_whereabouts_are_read_from_any_part(
    start: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    whole = whereabouts((20, 24, 28), 1505)
    box = [[s, s + n] for s, n in zip(start, size, strict=True)]
    patch = crop_and_pad_nd(whole, box, -1, cast_cropped_to=np.int16)
    assert read_whereabouts(patch) == (1505, start)


def test_no_whereabouts_are_read_where_nothing_of_the_case_is() -> None:
    assert read_whereabouts(np.full((9, 9, 9), -1, np.int16)) is None
    # nnU-Net fills a patch that lies wholly outside with zeros.
    assert read_whereabouts(np.zeros((9, 9, 9), np.int16)) is None
    assert read_whereabouts(whereabouts((3, 2, 3), 7)) is None


def test_maps_are_found_once_and_anew_for_other_settings_or_files(
    cases: Any, tmp_path: Path
) -> None:
    kept = found(cases, tmp_path)
    assert kept.missing(["a", "b", "c"]) == []
    other = CaseSites(kept.folder, cases, InjectionSettings(only_free_side=True))
    assert other.missing(["a", "b"]) == ["a", "b"]
    (kept.folder / "b.npz").write_bytes(b"half a file")
    assert kept.missing(["a", "b", "c"]) == ["b"]
    assert kept.of("b").reason is not None
    found(cases, tmp_path)
    assert kept.missing(["a", "b", "c"]) == []


def test_the_dataset_brings_whereabouts_and_is_nnunet_s_in_all_else(
    cases: Any, tmp_path: Path
) -> None:
    plain = cases.dataset_class(str(cases.folder), ["a", "b"])
    both = pickle.loads(pickle.dumps(WithSites(plain, ["b", "a"])))
    held = pickle.loads(pickle.dumps(HeldSites(found(cases, tmp_path), ["b", "a"])))
    assert list(both.identifiers) == ["a", "b"]
    data, segmentation, told, properties = both.load_case("a")
    assert told.shape == data.shape[1:] == breast().shape
    assert read_whereabouts(told) == (1, (0, 0, 0))
    assert torch.equal(held.of(1).allowed, found(cases, tmp_path).of("a").allowed)
    assert held.of(MOST_CASES).reason is not None and held.of(-1).reason is not None
    assert np.array_equal(np.asarray(segmentation), np.asarray(plain.load_case("a")[1]))
    assert "class_locations" in properties
