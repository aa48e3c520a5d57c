from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from small_scans import save, signal
from synbt_aug.data.nifti import read_label, read_scan
from synbt_aug.data.raw_dataset import (
    PaintedPlaces,
    only_labelled,
    read_raw_case,
    read_raw_dataset,
    write_raw_case,
)
from synbt_aug.errors import SynBTError
from synbt_aug.settings.dataset import places_of, settings_for
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.volume import Synthesis

LABELS = {"background": 0, "breast": 1, "tumor": 2, "node": 3}
PLACES = PaintedPlaces(scans=(2, 0), tumor_label=2, open_labels=(1,))


@pytest.fixture
def three_channels(nnunet_folder: Callable[..., Path]) -> Path:
    """Post, T2 and pre of two cases, with breast, tumor and node in the first one's label."""
    folder = nnunet_folder(channels=3, labels=LABELS)
    described = folder / "dataset.json"
    described.write_text(
        described.read_text()
        .replace('"c0"', '"post"')
        .replace('"c1"', '"T2"')
        .replace('"c2"', '"pre"')
    )
    label = np.zeros_like(signal(0), dtype=np.uint8)
    label[2:6], label[3, 3, 3], label[7, 7, 7] = 1, 2, 3
    save(folder / "labelsTr/a.nii.gz", label)
    return folder


def test_a_case_is_read_with_its_own_channels_and_labels(three_channels: Path) -> None:
    dataset = read_raw_dataset(three_channels)
    case = read_raw_case(dataset, dataset.files.cases[0], PLACES)
    pre, post = (read_scan(case.channels[c]).values() for c in (2, 0))
    assert np.array_equal(case.volume.image[0].numpy(), pre)
    assert np.array_equal(case.volume.image[1].numpy(), post)
    assert case.volume.tumor is not None and int(case.volume.tumor.sum()) == 1
    # Breast may be painted over, a node may not.
    assert case.volume.forbidden is not None and int(case.volume.forbidden.sum()) == 1
    assert case.real_tumor.sum() == 1
    roi = read_raw_case(dataset, dataset.files.cases[0], replace(PLACES, roi_labels=(1,)))
    assert torch.equal(roi.volume.roi, torch.from_numpy(case.label == 1))  # type: ignore[arg-type]


def test_a_painted_copy_differs_in_the_painted_channels_and_the_label_alone(
    three_channels: Path, tmp_path: Path
) -> None:
    dataset = read_raw_dataset(three_channels)
    case = read_raw_case(dataset, dataset.files.cases[0], PLACES)
    support = torch.zeros(case.volume.shape, dtype=torch.bool)
    support[5, 5, 4:7] = True
    tumor = support.clone()
    tumor[5, 5, 6] = False
    image = case.volume.image.clone()
    image[:, support] += 7
    painted = Synthesis(image, tumor, support)
    post, t2, pre = write_raw_case(case, painted, tmp_path, tmp_path / "new.nii.gz", "new")
    assert [path.name for path in (post, t2, pre)] == [f"new_000{c}.nii.gz" for c in range(3)]
    assert t2.read_bytes() == case.channels[1].read_bytes()
    for path, source in ((post, case.channels[0]), (pre, case.channels[2])):
        change = read_scan(path).values() - read_scan(source).values()
        assert np.array_equal(change, 7 * support.numpy())
    label = read_label(tmp_path / "new.nii.gz").stored
    expected = case.label.copy()
    expected[5, 5, 4:6] = 2
    assert np.array_equal(label, expected)


def test_further_phases_are_written_and_subtractions_computed_again(
    nnunet_folder: Callable[..., Path], tmp_path: Path
) -> None:
    # Pre, post, a later phase, and post less pre.
    folder = nnunet_folder(channels=4)
    pre, post = (read_scan(folder / f"imagesTr/a_000{c}.nii.gz") for c in (0, 1))
    difference = (post.values() - pre.values()).transpose(2, 1, 0)
    save(folder / "imagesTr/a_0003.nii.gz", difference.astype(np.float32))
    save(folder / "labelsTr/a.nii.gz", np.zeros(difference.shape, np.uint8))
    described = folder / "dataset.json"
    text = described.read_text()
    for c, name in enumerate(("pre", "post", "post2", "sub")):
        text = text.replace(f'"c{c}"', f'"{name}"')
    described.write_text(text)
    dataset = read_raw_dataset(folder)
    settings = settings_for(dataset.described, InjectionSettings)
    places = places_of(settings)
    assert (places.scans, places.subtractions) == ((0, 1, 2), (3,))
    case = read_raw_case(dataset, dataset.files.cases[0], places)
    assert case.volume.further == 1
    support = torch.zeros(case.volume.shape, dtype=torch.bool)
    support[5, 5, 4:7] = True
    image = case.volume.image.clone()
    image[:, support] += torch.tensor([[7], [29], [20]]).to(image.dtype)
    painted = Synthesis(image, support, support)
    *scans, sub = write_raw_case(case, painted, tmp_path, None, "new")
    for path, source, change in zip(scans, case.channels, (7, 29, 20), strict=False):
        differs = read_scan(path).values() - read_scan(source).values()
        assert np.array_equal(differs, change * support.numpy())
    differs = read_scan(sub).values() - read_scan(case.channels[3]).values()
    assert np.allclose(differs, 22 * support.numpy(), atol=1e-2)
    odd = replace(places, scans=(0, 2), subtractions=(3,))
    with pytest.raises(SynBTError, match="a_0003.nii.gz was to be a subtraction .* explain"):
        other = read_raw_case(dataset, dataset.files.cases[0], odd)
        write_raw_case(other, replace(painted, image=image[[0, 2]]), tmp_path, None, "odd")


def test_a_case_as_it_is_is_copied_byte_for_byte(three_channels: Path, tmp_path: Path) -> None:
    dataset = read_raw_dataset(three_channels)
    case = read_raw_case(dataset, dataset.files.cases[0], PLACES)
    copies = write_raw_case(case, None, tmp_path, None, "new")
    assert [p.read_bytes() for p in copies] == [p.read_bytes() for p in case.channels]


def test_mama_mia_becomes_pre_and_the_first_post_phase(mama_mia_folder: Path) -> None:
    dataset = read_raw_dataset(mama_mia_folder)
    assert dataset.described["channel_names"] == {"0": "pre", "1": "post"}
    first = dataset.files.cases[0]
    assert dataset.channel_files(first) == (first.pre, first.posts[0])
    case = read_raw_case(dataset, first, PaintedPlaces())
    assert set(np.unique(case.label)) <= {0, 1}


def test_cases_without_a_mask_are_left_out(three_channels: Path) -> None:
    (three_channels / "labelsTr/b.nii.gz").unlink()
    files = read_raw_dataset(three_channels).files
    assert [case.name for case in only_labelled(files).cases] == ["a"]
    (three_channels / "labelsTr/a.nii.gz").unlink()
    with pytest.raises(SynBTError, match="no case with a mask"):
        only_labelled(read_raw_dataset(three_channels).files)
