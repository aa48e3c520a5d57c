"""Site maps of cases: kept on disk, and as voxels that travel with a patch."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analytic import breast, find_tissue
from nnunet_dataset import Dataset
from synbt_aug.host import Host
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import measure_reference
from synbt_aug_nnunet.site_maps import CaseSites, WithSites, case_sites, sites_of_patch

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


def test_a_case_s_map_is_that_of_the_whole_case(cases: Any, tmp_path: Path) -> None:
    sites = found(cases, tmp_path)
    volume = cases.read("a")
    whole = Host.of(volume).sites_by(find_tissue)
    voxels = sites.voxels("a", volume.shape)
    assert voxels.shape == volume.shape and voxels.dtype == np.int16
    there = sites_of_patch(torch.from_numpy(voxels).float(), volume.spacing)
    assert torch.equal(there.allowed, whole.allowed)
    share = whole.weight / whole.weight.max()
    assert (there.weight - share).abs().max() < 0.003
    assert torch.allclose(there.depth_mm[there.allowed], whole.depth_mm[whole.allowed], atol=1e-4)


def test_a_part_of_the_map_is_the_map_of_a_part(cases: Any, tmp_path: Path) -> None:
    voxels = torch.from_numpy(found(cases, tmp_path).voxels("a", cases.read("a").shape)).float()
    whole = sites_of_patch(voxels, (1.0, 1.0, 1.0))
    part = sites_of_patch(voxels[10:50, 20:60, 8:48], (1.0, 1.0, 1.0))
    assert torch.equal(part.allowed, whole.allowed[5:25, 10:30, 4:24])
    turned = sites_of_patch(voxels.transpose(0, 1), (1.0, 1.0, 1.0))
    assert torch.equal(turned.allowed, whole.allowed.transpose(0, 1))


def test_a_patch_without_breast_holds_no_site() -> None:
    nothing = sites_of_patch(torch.zeros(40, 40, 40), (1.0, 1.0, 1.0))
    assert nothing.reason is not None and nothing.reason.startswith("no site: ")
    outside = sites_of_patch(torch.full((40, 40, 40), -1.0), (1.0, 1.0, 1.0))
    assert outside.reason == nothing.reason


def test_maps_are_found_once_and_anew_for_other_settings_or_files(
    cases: Any, tmp_path: Path
) -> None:
    kept = found(cases, tmp_path)
    assert kept.missing(["a", "b", "c"]) == []
    other = CaseSites(kept.folder, cases, InjectionSettings(only_free_side=True))
    assert other.missing(["a", "b"]) == ["a", "b"]
    (kept.folder / "b.npz").write_bytes(b"half a file")
    assert kept.missing(["a", "b", "c"]) == ["b"]
    assert not kept.voxels("b", (4, 4, 4)).any()
    found(cases, tmp_path)
    assert kept.missing(["a", "b", "c"]) == []


def test_the_dataset_brings_the_map_and_is_nnunet_s_in_all_else(cases: Any, tmp_path: Path) -> None:
    plain = cases.dataset_class(str(cases.folder), ["a", "b"])
    both = pickle.loads(pickle.dumps(WithSites(plain, found(cases, tmp_path))))
    assert list(both.identifiers) == ["a", "b"]
    data, segmentation, sites, properties = both.load_case("a")
    assert sites.shape == data.shape[1:] == breast().shape and sites.any()
    assert np.array_equal(np.asarray(segmentation), np.asarray(plain.load_case("a")[1]))
    assert "class_locations" in properties
