from __future__ import annotations

import hashlib
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from synbt_aug.data.cohort import load_cohort
from synbt_aug.data.detect import read_dataset
from synbt_aug.data.mama_mia import read_splits
from synbt_aug.data.nifti import read_mask, read_scan
from synbt_aug.data.phantom_cohort import COHORT_FILE, generator_of, write_phantom_cohort
from synbt_aug.errors import SynBTError
from synbt_aug.phantom import GENERATOR_VERSION, PhantomSettings, make_phantom
from synbt_aug.support.files import read_json, write_json

SMALL = PhantomSettings(shape=(64, 56, 48), spacing=(2.0, 2.0, 2.0))


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.nii.gz"))
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    return write_phantom_cohort(folder, range(2), settings=SMALL, workers=1)


def test_files_hold_the_phantom_in_z_y_x(cohort: Path) -> None:
    phantom = make_phantom(1, SMALL)
    case = read_dataset(cohort).cases[1]
    pre = read_scan(case.pre)
    assert case.name == "phantom_0000001"
    assert pre.shape == (48, 56, 64) and pre.spacing == pytest.approx((2, 2, 2))
    assert np.array_equal(pre.stored, phantom.pre.transpose(2, 1, 0))
    assert np.array_equal(read_scan(case.posts[0]).stored, phantom.post[0].transpose(2, 1, 0))
    assert case.label is not None
    assert np.array_equal(read_mask(case.label, pre), phantom.tumor.transpose(2, 1, 0))


def test_a_cohort_loads_for_training(cohort: Path) -> None:
    cases = load_cohort(cohort, workers=1)
    assert len(cases) == 2
    assert all(case.q.shape == (2, 96, 112, 128) for case in cases)
    assert all(case.instances for case in cases)


def test_notes_tell_what_was_drawn(cohort: Path) -> None:
    notes = read_json(cohort / "phantoms" / "phantom_0000000.json")
    assert notes["seed"] == 0
    assert notes["density"] in "abcd"
    assert notes["lesions"]


def test_complete_cases_are_kept_and_missing_ones_made(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_phantom_cohort(tmp_path, range(2), settings=SMALL, workers=1)
    before = _digests(tmp_path)
    (tmp_path / "labelsTr/phantom_0000001.nii.gz").unlink()
    kept = (tmp_path / "labelsTr/phantom_0000000.nii.gz").stat().st_mtime_ns
    write_phantom_cohort(
        tmp_path, range(2), settings=SMALL, workers=1, on_case=lambda *done: seen.append(done)
    )
    assert _digests(tmp_path) == before
    assert (tmp_path / "labelsTr/phantom_0000000.nii.gz").stat().st_mtime_ns == kept
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("layout", ["nnunet", "mama-mia"])
def test_nothing_unfinished_lies_where_cases_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    seen: list[set[str]] = []
    write = nib.save

    def spy(image: object, path: Path) -> None:
        write(image, path)
        listed = [*tmp_path.rglob("images*/**/*"), *tmp_path.rglob("*labels*/**/*")]
        listed += tmp_path.rglob("segmentations/**/*")
        seen.append({one.name for one in listed if one.is_file()})

    monkeypatch.setattr(nib, "save", spy)
    write_phantom_cohort(tmp_path, range(2), settings=SMALL, layout=layout, workers=1)
    # Pre, post and label of each: nothing of a case is there before all of it can be.
    case = {name for name in seen[3] if name.lower().startswith("phantom_0000000")}
    assert len(case) == 3 and seen == [set()] * 3 + [case] * 3
    assert not list(tmp_path.glob(".*"))


def test_what_a_killed_run_left_is_removed_and_another_run_s_is_not(tmp_path: Path) -> None:
    killed, at_work = tmp_path / ".unfinished-killed", tmp_path / ".unfinished-at-work"
    for folder in (killed, at_work):
        folder.mkdir()
        (folder / "phantom_0000007_0000.nii.gz").touch()
    os.utime(killed, (0, 0))
    write_phantom_cohort(tmp_path, [0], settings=SMALL, workers=1)
    assert at_work.is_dir() and not killed.exists()


OTHERS = {
    "a user's nnU-Net dataset": ("dataset.json", "nnunet"),
    "its images alone": ("imagesTr/case_0000.nii.gz", "nnunet"),
    "a MAMA-MIA download": ("images/DUKE_001/duke_001_0000.nii.gz", "mama-mia"),
    "a split": ("train_test_splits.csv", "mama-mia"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_dataset_is_not_added_to(tmp_path: Path, other: str) -> None:
    name, layout = OTHERS[other]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"mine": 1}')
    with pytest.raises(SynBTError, match="cohort needs a folder of its own.*-o"):
        write_phantom_cohort(tmp_path, [0], settings=SMALL, layout=layout, workers=1)
    assert path.read_text() == '{"mine": 1}'
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("found", [[1, 2], "text", {"settings": [3]}, {}])
def test_settings_of_another_shape_are_refused_by_the_file_s_name(
    tmp_path: Path, found: object
) -> None:
    write_json(tmp_path / "phantoms.json", found)
    with pytest.raises(SynBTError, match=r"phantoms\.json was to be|other settings \("):
        write_phantom_cohort(tmp_path, [0], settings=SMALL, workers=1)


def test_several_processes_write_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    write_phantom_cohort(tmp_path, range(2), settings=SMALL, workers=2)
    assert _digests(tmp_path) == _digests(cohort)


def test_a_cohort_of_other_settings_is_not_added_to(cohort: Path) -> None:
    other = PhantomSettings(shape=(64, 56, 48), spacing=(2.0, 2.0, 2.0), density="a")
    with pytest.raises(SynBTError, match=r"other settings \(density\)"):
        write_phantom_cohort(cohort, range(2), settings=other)
    with pytest.raises(SynBTError, match=r"other settings \(layout\)"):
        write_phantom_cohort(cohort, range(2), settings=SMALL, layout="mama-mia")


def test_a_cohort_of_another_generator_is_not_added_to(cohort: Path, tmp_path: Path) -> None:
    made_with = read_json(cohort / COHORT_FILE)
    assert made_with["generator"] == GENERATOR_VERSION
    # Cohorts of the first generator do not name theirs.
    write_json(tmp_path / COHORT_FILE, {k: v for k, v in made_with.items() if k != "generator"})
    with pytest.raises(SynBTError, match=r"other settings \(generator\)"):
        write_phantom_cohort(tmp_path, range(2), settings=SMALL)


def test_a_cohort_tells_its_generator(cohort: Path, tmp_path: Path) -> None:
    assert generator_of(cohort) == GENERATOR_VERSION
    assert generator_of(tmp_path) is None
    write_json(tmp_path / COHORT_FILE, {"layout": "nnunet"})
    assert generator_of(tmp_path) == 1


def test_the_mama_mia_layout_has_phases_and_a_split(tmp_path: Path) -> None:
    settings = PhantomSettings(shape=(64, 56, 48), spacing=(2.0, 2.0, 2.0), times_s=(90.0, 300.0))
    write_phantom_cohort(tmp_path, [3, 1_000_000], settings=settings, layout="mama-mia", workers=1)
    dataset = read_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["PHANTOM_0000003", "PHANTOM_1000000"]
    assert [len(case.posts) for case in dataset.cases] == [2, 2]
    assert all(case.label is not None for case in dataset.cases)
    assert read_splits(tmp_path) == {"phantom_0000003": "train", "phantom_1000000": "test"}


def test_an_unknown_layout_and_an_empty_cohort_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="one of nnunet, mama-mia, not 'bids'"):
        write_phantom_cohort(tmp_path, range(2), layout="bids")
    with pytest.raises(SynBTError, match="at least one phantom"):
        write_phantom_cohort(tmp_path, [])
