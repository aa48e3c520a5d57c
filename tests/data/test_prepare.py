from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from monai.transforms import LoadImaged

from mama_mia_folder import AXIAL, BROKEN, RADIUS_MM, STEPS, make_folder, middle, oblique, places
from synbt_aug.data.cohort import load_cohort
from synbt_aug.data.detect import read_dataset
from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.data.nnunet_raw import read_fold
from synbt_aug.data.prepare import Prepared, prepare_mama_mia
from synbt_aug.data.prepare_plan import PrepareSettings, plan_cases
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, read_json_list, write_json

SETTINGS = PrepareSettings(validation=3)
TRAINING = {"DUKE_001", "DUKE_002", "ISPY1_1001", "ISPY2_100899", "NACT_01"}
HERE = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("download"))


@pytest.fixture(scope="module")
def prepared(download: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared") / "Dataset105_MAMAMIA"
    return prepare_mama_mia(download, folder, SETTINGS, workers=1)


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _read(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pre, post, label and affine of a training case, as stored, in (x, y, z)."""
    pre = nib.load(folder / f"imagesTr/{name}_0000.nii.gz")
    post = nib.load(folder / f"imagesTr/{name}_0001.nii.gz")
    label = nib.load(folder / f"labelsTr/{name}.nii.gz")
    assert np.array_equal(pre.affine, post.affine) and np.array_equal(pre.affine, label.affine)
    return *(np.asarray(image.dataobj) for image in (pre, post, label)), pre.affine


def test_official_parts_are_kept_and_counted(prepared: Prepared) -> None:
    assert prepared.cases == {
        "training": {"DUKE": 2, "ISPY1": 1, "ISPY2": 1, "NACT": 1},
        "validation": {"DUKE": 2, "ISPY1": 1},
        "test": {"DUKE": 2, "ISPY1": 1},
    }
    assert (prepared.made, prepared.kept) == (11, 0)


def test_what_cannot_be_used_is_told_with_its_reason(prepared: Prepared) -> None:
    assert [one.case for one in prepared.skipped] == sorted(BROKEN)
    for one in prepared.skipped:
        assert BROKEN[one.case] in one.reason
    parts = {one.case: one.part for one in prepared.skipped}
    assert (parts["DUKE_003"], parts["NACT_03"], parts["DUKE_999"]) == ("training", "test", None)
    summary = read_json(prepared.folder / "summary.json")
    assert [one["case"] for one in summary["skipped"]] == sorted(BROKEN)
    page = (prepared.folder / "summary.md").read_text(encoding="utf-8")
    assert "| training | 2 | 1 | 1 | 1 | 5 |" in page
    assert "| ISPY1_1002 | training | no mask in segmentations/expert |" in page


def test_the_folder_reads_as_an_nnunet_dataset(prepared: Prepared) -> None:
    training, validation = read_fold(prepared.folder, 0)
    assert training == TRAINING and len(validation) == 3
    cases = read_dataset(prepared.folder).cases
    assert {case.name for case in cases} == training | validation
    assert all(case.label is not None and case.tumor_label == 1 for case in cases)
    assert all(case.label is not None for case in read_dataset(prepared.folder, split="test").cases)
    described = read_json(prepared.folder / "dataset.json")
    assert described["channel_names"] == {"0": "pre", "1": "post"}
    assert described["numTraining"] == 8


def test_the_folder_loads_as_a_cohort(prepared: Prepared) -> None:
    cohort = load_cohort(prepared.folder, fold=0, workers=1)
    assert {case.name for case in cohort} == TRAINING and not cohort.skipped
    for case in cohort:
        (tumor,) = case.instances
        assert case.source_spacing == pytest.approx((1, 1, 1))
        assert tumor.diameter_mm == pytest.approx(2 * RADIUS_MM, abs=0.7)


def test_nnunet_finds_the_dataset_whole(prepared: Prepared) -> None:
    pytest.importorskip("nnunetv2")
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    verify_dataset_integrity(str(prepared.folder), num_processes=1)


def test_monai_loads_the_datalist(prepared: Prepared) -> None:
    split = prepared.folder / "dataset_split.json"
    sizes = {}
    for part in ("training", "validation", "test"):
        entries = load_decathlon_datalist(split, data_list_key=part, base_dir=prepared.folder)
        sizes[part] = len(entries)
    assert sizes == {"training": 5, "validation": 3, "test": 3}
    loaded = LoadImaged(("image", "label"), ensure_channel_first=True)(entries[0])
    assert loaded["image"].shape[0] == 2 and loaded["label"].shape[0] == 1
    assert loaded["image"].shape[1:] == loaded["label"].shape[1:]


@pytest.mark.parametrize("name", sorted(TRAINING - {"ISPY2_100899"}))
def test_signal_and_tumor_stay_where_they_are_in_the_scanner(prepared: Prepared, name: str) -> None:
    pre, post, label, affine = _read(prepared.folder, name)
    assert np.allclose(np.linalg.norm(affine[:3, :3], axis=0), 1)
    where = places(affine, pre.shape)
    phase = read_json(prepared.folder / "summary.json")["phases"][name]
    inner = (slice(3, -3),) * 3
    expected = 1000 + where @ np.array(STEPS)
    # A fifth of a millimeter, and rounding.
    assert np.abs(pre - expected)[inner].max() < 0.2 * np.linalg.norm(STEPS) + 1
    assert np.abs(post - pre.astype(int) - 100 * phase).max() <= 1
    centre = where[label > 0].mean(axis=0)
    away = np.linalg.norm(where - centre, axis=-1)
    assert label[away < RADIUS_MM - 1].all() and not label[away > RADIUS_MM + 1].any()


def test_a_turned_scan_keeps_its_direction_and_first_voxel(prepared: Prepared) -> None:
    affine, shape = oblique()
    *_, label, prepared_affine = _read(prepared.folder, "NACT_01")
    spacing = np.array([0.7, 0.7, 1.5])
    assert np.allclose(prepared_affine[:3, :3] * spacing, affine[:3, :3], atol=1e-5)
    assert np.allclose(prepared_affine[:3, 3], affine[:3, 3], atol=1e-5)
    assert label.shape == (21, 22, 21)
    centre = places(prepared_affine, label.shape)[label > 0].mean(axis=0)
    assert np.linalg.norm(centre - middle(affine, shape)) < 0.5


def test_regions_filled_with_zeros_stay_zero_and_nothing_overshoots(prepared: Prepared) -> None:
    pre, post, *_ = _read(prepared.folder, "ISPY2_100899")
    affine, shape = AXIAL
    # The first third along x is filled; its last voxel lies at 9 voxels of 0.8 mm.
    assert not pre[:8].any() and not post[:8].any()
    assert pre[9:].all() and post[9:].all()
    source = 1000 + places(affine, shape) @ np.array(STEPS)
    assert pre.min() == 0 and pre.max() <= source.max() + 0.5


def test_whole_numbers_stay_whole_and_others_stay_float(prepared: Prepared) -> None:
    assert _read(prepared.folder, "DUKE_001")[0].dtype == np.int16
    assert _read(prepared.folder, "NACT_01")[0].dtype == np.int16
    assert _read(prepared.folder, "ISPY2_100899")[0].dtype == np.float32
    assert _read(prepared.folder, "DUKE_001")[2].dtype == np.uint8


def test_training_draws_a_phase_and_others_take_the_first(
    prepared: Prepared, download: Path, tmp_path: Path
) -> None:
    phases = read_json(prepared.folder / "summary.json")["phases"]
    assert all(phase == 1 for name, phase in phases.items() if name not in TRAINING)
    drawn = set()
    for seed in range(4):
        settings = replace(SETTINGS, seed=seed, folds=0)
        other = prepare_mama_mia(download, tmp_path / str(seed), settings, workers=1)
        assert len(read_json_list(other.folder / "splits_final.json")) == 1
        drawn.add(read_json(other.folder / "summary.json")["phases"]["DUKE_002"])
    assert len(drawn) > 1 and drawn <= set(range(1, 8))


def test_with_all_phases_a_patient_is_never_on_both_sides(download: Path, tmp_path: Path) -> None:
    settings = replace(SETTINGS, phases="all", folds=3)
    prepared = prepare_mama_mia(download, tmp_path, settings, workers=1)
    # Post phases: 2 + 7 of DUKE, 2, 5 and 3 of the others; one each of the rest.
    assert sum(prepared.cases["training"].values()) == 19
    assert {"DUKE_002_phase1", "DUKE_002_phase7"} <= read_fold(tmp_path, 0)[0]
    held_out: list[str] = []
    for fold in range(1, 4):
        train, val = read_fold(tmp_path, fold)
        patients = [{name.split("_phase")[0] for name in names} for names in (train, val)]
        assert not patients[0] & patients[1] and patients[0] | patients[1] == TRAINING
        held_out += val
    assert sorted(held_out) == sorted(read_fold(tmp_path, 0)[0])


def test_a_second_folder_of_a_patient_is_told_by_its_own_spelling() -> None:
    cases = [
        CaseFiles(name, Path(f"{name}_0000.nii"), (Path(f"{name}_0001.nii"),), Path("mask.nii"))
        for name in ("DUKE_001", "duke_001")
    ]
    files = DatasetFiles(Path(), "mama-mia", tuple(cases))
    planned, skipped = plan_cases(files, {"duke_001": "test"}, SETTINGS)
    assert [case.pre.name for case in planned] == ["DUKE_001_0000.nii"]
    assert [(one.case, one.reason) for one in skipped] == [
        ("duke_001", "a second folder of DUKE_001")
    ]


def test_a_mended_file_is_made_by_the_next_run_and_no_other(
    prepared: Prepared, download: Path, tmp_path: Path
) -> None:
    source, folder = tmp_path / "download", tmp_path / "prepared"
    shutil.copytree(download, source)
    shutil.copytree(prepared.folder, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nii.gz")}
    held_out = [read_fold(folder, fold)[1] for fold in range(6)]
    for phase in range(3):
        sound = source / f"images/DUKE_999/duke_999_{phase:04d}.nii.gz"
        shutil.copy(sound, source / f"images/DUKE_003/duke_003_{phase:04d}.nii.gz")
    seen: list[tuple[int, int]] = []
    again = prepare_mama_mia(
        source, folder, SETTINGS, workers=1, on_case=lambda *done: seen.append(done)
    )
    assert (again.made, again.kept) == (1, 11)
    assert seen[0] == (11, 14) and seen[-1] == (14, 14)
    assert "DUKE_003" in read_fold(folder, 0)[0]
    assert [read_fold(folder, fold)[1] - {"DUKE_003"} for fold in range(6)] == held_out
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_a_case_whose_source_changed_is_made_anew_or_goes(
    prepared: Prepared, download: Path, tmp_path: Path
) -> None:
    source, folder = tmp_path / "download", tmp_path / "prepared"
    shutil.copytree(download, source)
    shutil.copytree(prepared.folder, folder)
    for path in (source / "images/DUKE_001").glob("duke_001_*"):
        path.write_bytes(path.read_bytes()[:-400])
    # A source that is gone takes nothing with it.
    shutil.rmtree(source / "images/NACT_01")
    again = prepare_mama_mia(source, folder, SETTINGS, workers=1)
    assert read_fold(folder, 0)[0] == TRAINING - {"DUKE_001"}
    assert not list(folder.rglob("DUKE_001*"))
    assert "DUKE_001" in [one.case for one in again.skipped]
    assert "NACT_01" not in [one.case for one in again.skipped]


KILLED = """
import multiprocessing, os, signal, sys
from pathlib import Path
import torch
from synbt_aug.data import prepared_case
from synbt_aug.data.prepare import prepare_mama_mia
from synbt_aug.data.prepare_plan import PrepareSettings

def kill(done, total):
    if done >= 4:
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

def write_two(path, *arguments, write=prepared_case.write_volume, written=[]):
    written.append(path)
    if len(written) == 14:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, *arguments)

if __name__ == "__main__":
    torch.set_num_threads(1)
    workers = int(sys.argv[3])
    if workers == 1:
        prepared_case.write_volume = write_two
    prepare_mama_mia(
        sys.argv[1], sys.argv[2], PrepareSettings(validation=3),
        workers=workers, on_case=kill if workers > 1 else None,
    )
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_without_redoing_or_losing_a_case(
    prepared: Prepared, download: Path, tmp_path: Path, workers: int
) -> None:
    script, folder = tmp_path / "killed.py", tmp_path / "prepared"
    script.write_text(KILLED, encoding="utf-8")
    command = [sys.executable, str(script), str(download), str(folder), str(workers)]
    killed = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    assert killed.returncode == -9, killed.stderr
    for pid in killed.stdout.split():
        _await_end(int(pid))
    assert not (folder / "dataset.json").exists()
    records = [path.stem for path in (folder / "prepared").iterdir()]
    assert 2 <= len(records) < 11
    before = {
        path: path.stat().st_mtime_ns
        for name in records
        for path in folder.rglob(f"{name}*.nii.gz")
    }
    again = prepare_mama_mia(download, folder, SETTINGS, workers=1)
    assert (again.made, again.kept) == (11 - len(records), len(records))
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert _digests(folder) == _digests(prepared.folder)


def _await_end(pid: int, seconds: float = 10.0) -> None:
    """Wait until a process is gone: no worker outlives its parent."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{pid}/stat").is_file() and " Z " in Path(f"/proc/{pid}/stat").read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"worker {pid} outlived its parent")


def test_other_settings_are_refused_and_named(
    prepared: Prepared, download: Path, tmp_path: Path
) -> None:
    with pytest.raises(SynBTError, match=r"other settings \(seed 0, now 5\).*-o"):
        prepare_mama_mia(download, prepared.folder, replace(SETTINGS, seed=5))
    source = tmp_path / "download"
    shutil.copytree(download, source)
    (source / "train_test_splits.csv").write_text(
        "train_split,test_split\nDUKE_001,DUKE_010\n,DUKE_011\n,DUKE_012\n,DUKE_013\n"
    )
    with pytest.raises(SynBTError, match=r"other settings \(train_test_splits\.csv "):
        prepare_mama_mia(source, prepared.folder, SETTINGS)


def test_a_folder_of_something_else_is_left_alone(download: Path, tmp_path: Path) -> None:
    (tmp_path / "imagesTr").mkdir()
    with pytest.raises(SynBTError, match="folder of its own.*holds imagesTr"):
        prepare_mama_mia(download, tmp_path, SETTINGS)
    with pytest.raises(SynBTError, match="folder of its own.*holds images"):
        prepare_mama_mia(download, download, SETTINGS)


def test_a_missing_or_contradictory_split_is_told(download: Path, tmp_path: Path) -> None:
    source = tmp_path / "download"
    shutil.copytree(download, source)
    split = source / "train_test_splits.csv"
    split.write_text("train_split,test_split\nDUKE_001,duke_010\nDUKE_010,DUKE_011\n")
    with pytest.raises(SynBTError, match="DUKE_010 is in both"):
        prepare_mama_mia(source, tmp_path / "out", SETTINGS)
    split.unlink()
    with pytest.raises(SynBTError, match=r"needs train_test_splits\.csv.*Copy it from"):
        prepare_mama_mia(source, tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_any_usable_case_is_an_error(download: Path, tmp_path: Path) -> None:
    source = tmp_path / "download"
    shutil.copytree(download, source)
    for path in (source / "images").rglob("*_0000.*"):
        path.write_bytes(b"not a scan")
    with pytest.raises(SynBTError, match="No case of .* can be used. The first one: DUKE_001"):
        prepare_mama_mia(source, tmp_path / "out", SETTINGS, workers=1)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(SynBTError, match="--phases is one of draw, all, not 'first'"):
        PrepareSettings(phases="first")
    with pytest.raises(SynBTError, match="--folds is 0 for none, or at least 2, not 1"):
        PrepareSettings(folds=1)


@pytest.mark.parametrize(
    "record", [[1], {"case": "DUKE_001"}, {"case": "DUKE_001", "made_from": 3}]
)
def test_a_record_of_another_shape_is_named(
    prepared: Prepared, download: Path, tmp_path: Path, record: object
) -> None:
    folder = tmp_path / "prepared"
    shutil.copytree(prepared.folder, folder)
    write_json(folder / "prepared/NACT_77.json", record)
    with pytest.raises(SynBTError, match=r"NACT_77\.json was to be the record of a prepared case"):
        prepare_mama_mia(download, folder, SETTINGS, workers=1)
    write_json(folder / "prepare.json", ["settings"])
    with pytest.raises(SynBTError, match=r"prepare\.json was to be .* but holds a list"):
        prepare_mama_mia(download, folder, SETTINGS, workers=1)
