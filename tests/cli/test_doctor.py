from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def dataset(scans: Path, tmp_path: Path) -> Path:
    """The phantom's scans as a MAMA-MIA folder of one case."""
    folder = tmp_path / "data"
    (folder / "images/P1").mkdir(parents=True)
    (folder / "segmentations/expert").mkdir(parents=True)
    shutil.copy(scans / "pre.nii.gz", folder / "images/P1/p1_0000.nii.gz")
    shutil.copy(scans / "post.nii.gz", folder / "images/P1/p1_0001.nii.gz")
    shutil.copy(scans / "tumor.nii.gz", folder / "segmentations/expert/P1.nii.gz")
    return folder


def with_faint_tumor(dataset: Path, gain: float) -> None:
    """Scale the post-contrast signal inside the tumor."""
    post = dataset / "images/P1/p1_0001.nii.gz"
    scan, mask = nib.load(post), nib.load(dataset / "segmentations/expert/P1.nii.gz")
    values = np.asarray(scan.dataobj, dtype=np.float32)
    values[np.asarray(mask.dataobj) > 0] *= gain
    nib.save(nib.Nifti1Image(values, scan.affine), post)


def test_a_healthy_machine_and_dataset(synbt: Callable, weights: Path, dataset: Path) -> None:
    said = synbt("doctor", dataset, "--weights", weights, "--quick")
    assert said.code == 0, said.out
    for words in (
        "torch",
        "weights",
        "3 templates",
        "mama-mia layout, 1 cases, 1 with masks",
        "P1",
    ):
        assert words in said.out


def test_a_tumor_that_is_no_brighter_in_post_is_a_doubt_and_no_defect(
    synbt: Callable, weights: Path, dataset: Path
) -> None:
    post = dataset / "images/P1/p1_0001.nii.gz"
    with_faint_tumor(dataset, gain=0.2)
    said = synbt("doctor", dataset, "--weights", weights, "--quick")
    assert said.code == 0, said.out
    (line,) = (line for line in said.out.splitlines() if "no brighter in post than in pre" in line)
    assert line.split()[:2] == ["??", "P1"]
    # One and the same scan twice is no doubt.
    shutil.copy(dataset / "images/P1/p1_0000.nii.gz", post)
    said = synbt("doctor", dataset, "--weights", weights, "--quick")
    assert said.code == 1 and "pre and post are the same scan" in said.out


@pytest.mark.usefixtures("plain")
def test_a_tumor_is_painted_to_try(synbt: Callable, weights: Path) -> None:
    said = synbt("doctor", "--weights", weights)
    assert said.code == 0 and "an 18 mm tumor on" in said.out


def test_broken_weights_and_cases_are_said_and_counted(
    synbt: Callable, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(weights, damaged)
    with (damaged / "bank.npz").open("ab") as file:
        file.write(b"x")
    pre, post = (dataset / f"images/P1/p1_000{i}.nii.gz" for i in (0, 1))
    shutil.copy(pre, tmp_path / "swap")
    shutil.copy(post, pre)
    shutil.copy(tmp_path / "swap", post)
    said = synbt("doctor", dataset, "--weights", damaged, "--quick")
    assert said.code == 1
    assert "damaged: its SHA-256 is not the manifest's" in said.out
    assert "no brighter in post than in pre" in said.out


@pytest.mark.usefixtures("plain")
def test_whether_the_weights_fit_the_dataset_is_said_figure_by_figure(
    synbt: Callable, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = as_nnunet(dataset, tmp_path / "Dataset001_Breast", 3)
    said = synbt("doctor", folder, "--weights", weights)
    # An untrained codec fits nothing; that is no defect of the machine.
    assert said.code == 0, said.out
    (line,) = (line for line in said.out.splitlines() if "SynBT fit:" in line)
    assert line.split()[0] == "!!"
    assert "SynBT fit: poor (3 cases, 3 tumors painted again): " in line
    typed = [line for line in said.out.splitlines() if "type next" in line]
    assert f"synbt train autoencoder --init {weights} --data {folder} -o" in typed[0]
    assert f"synbt doctor {folder} --weights {weights} --weights fitted/weights" in typed[-1]
    for figure in ("tissue", "order", "contrast", "enhancement", "repainting", "grain"):
        assert f"  {figure}  " in said.out
    assert "3 of 3 tumors brighter in post than pre" in said.out


@pytest.mark.usefixtures("plain")
def test_one_case_is_not_enough_for_a_verdict(
    synbt: Callable, weights: Path, dataset: Path
) -> None:
    said = synbt("doctor", dataset, "--weights", weights)
    assert said.code == 0, said.out
    (line,) = (line for line in said.out.splitlines() if "SynBT fit:" in line)
    assert line.split()[0] == "??"
    assert "SynBT fit: undecided (1 case, 1 tumor painted again)" in line
    assert "type next" not in said.out


@pytest.mark.usefixtures("plain")
def test_two_sets_of_weights_are_compared_side_by_side(
    synbt: Callable, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(weights, other)
    said = synbt("doctor", dataset, "--weights", weights, "--weights", other)
    assert said.code == 0, said.out
    assert said.out.count("SynBT fit: undecided") == 2
    table = [line for line in said.out.splitlines() if "│ grain" in line]
    (cells,) = [line.split("│")[2:4] for line in table]
    # Copies: the same figures in both columns.
    assert cells[0].strip() == cells[1].strip() and "(undecided)" in cells[0]
    assert "none of them fits better than another" in said.out


@pytest.mark.usefixtures("plain")
def test_weights_named_twice_are_looked_at_once(
    synbt: Callable, weights: Path, dataset: Path
) -> None:
    said = synbt("doctor", dataset, "--weights", weights, "--weights", weights)
    assert said.out.count("SynBT fit:") == 1 and "│" not in said.out


def as_nnunet(
    dataset: Path,
    folder: Path,
    cases: int,
    broken: int | None = None,
    channels: tuple[str, ...] = ("pre", "post"),
) -> Path:
    """The one case several times over as an nnU-Net raw dataset; further channels are post."""
    (folder / "imagesTr").mkdir(parents=True)
    for number in range(cases):
        for channel in range(len(channels)):
            target = folder / f"imagesTr/C{number}_000{channel}.nii.gz"
            shutil.copy(dataset / f"images/P1/p1_000{min(channel, 1)}.nii.gz", target)
            if number == broken:
                target.write_bytes(target.read_bytes()[:200])
    names: dict[str, Any] = {"labels": {"background": 0, "tumor": 1}}
    names |= {"channel_names": {str(k): name for k, name in enumerate(channels)}}
    names |= {"numTraining": cases, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(names))
    (folder / "labelsTr").mkdir()
    for number in range(cases):
        tumor = dataset / "segmentations/expert/P1.nii.gz"
        shutil.copy(tumor, folder / f"labelsTr/C{number}.nii.gz")
    return folder


@pytest.mark.usefixtures("plain")
def test_cases_of_an_nnunet_dataset_are_read_and_a_broken_one_is_left_out(
    synbt: Callable, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = as_nnunet(dataset, tmp_path / "Dataset001_Breast", 3, broken=1)
    said = synbt("doctor", folder, "--weights", weights)
    assert said.code == 1
    assert "(2 cases, 2 tumors painted again)" in said.out
    # Once, though the dataset's check and the fit both read it.
    assert said.out.count("cannot be read") == 1


def test_channels_that_a_training_would_not_paint_are_named(
    synbt: Callable, weights: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = ("pre", "post 1", "MIP", "Ktrans")
    folder = as_nnunet(dataset, tmp_path / "Dataset001_Breast", 1, channels=channels)
    said = synbt("doctor", folder, "--weights", weights, "--quick")
    assert said.code == 1
    assert "would be missing in 2: MIP, 3: Ktrans, where real ones show" in said.out
    assert "SYNBT_UNPAINTED_CHANNELS=allow" in said.out
    monkeypatch.setenv("SYNBT_UNPAINTED_CHANNELS", "allow")
    said = synbt("doctor", folder, "--weights", weights, "--quick")
    assert said.code == 0
    assert "not painted: 2: MIP, 3: Ktrans; they contradict the label" in said.out


def test_a_series_is_named_and_no_defect(
    synbt: Callable, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    channels = ("post 1", "T2", "pre", "post 2")
    folder = as_nnunet(dataset, tmp_path / "D", 1, channels=channels)
    said = synbt("doctor", folder, "--weights", weights, "--quick")
    assert said.code == 0, said.out
    assert "SynBT paints 2: pre, 0: post 1, 3: post 2; not painted: 1: T2." in said.out


def test_other_sequences_are_named_and_no_defect(
    synbt: Callable, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = as_nnunet(dataset, tmp_path / "D", 1, channels=("pre", "post", "T2"))
    said = synbt("doctor", folder, "--weights", weights, "--quick")
    assert said.code == 0 and "not painted: 2: T2." in said.out


def test_quick_leaves_the_fit_out(synbt: Callable, weights: Path, dataset: Path) -> None:
    assert "SynBT fit" not in synbt("doctor", dataset, "--weights", weights, "--quick").out
