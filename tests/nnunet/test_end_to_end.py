"""nnU-Net's own commands, as a user types them, with the shipped weights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from synbt_aug.data.phantom_cohort import write_phantom_cohort
from synbt_aug.phantom import PhantomSettings
from synbt_aug_nnunet.tiny_plan import write_tiny_plan

DATASET = "Dataset903_Phantom"
TRAINER = "nnUNetTrainerSynBT_1epoch"


def run(command: str, root: Path, **variables: str) -> str:
    folders = {f"nnUNet_{name}": str(root / name) for name in ("raw", "preprocessed", "results")}
    small = {"nnUNet_n_proc_DA": "1", "nnUNet_def_n_proc": "1", "OMP_NUM_THREADS": "1"}
    name, *arguments = command.split()
    done = subprocess.run(
        [str(Path(sys.executable).parent / name), *arguments],
        env={**os.environ, **folders, **small, **variables},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_plan_train_predict_and_export_with_nnunets_commands(tmp_path: Path) -> None:
    settings = PhantomSettings(shape=(80, 80, 64), diameter_mm=18.0)
    write_phantom_cohort(tmp_path / "raw" / DATASET, range(1_000_200, 1_000_205), settings=settings)
    for name in ("preprocessed", "results"):
        (tmp_path / name).mkdir()
    run("nnUNetv2_plan_and_preprocess -d 903 -c 3d_fullres -npfp 1 -np 1", tmp_path)
    write_tiny_plan(tmp_path / "preprocessed" / DATASET, patch=(64, 80, 80))
    train = f"nnUNetv2_train 903 3d_fullres 0 -tr {TRAINER} -p nnUNetPlansTiny -device cpu"
    said = run(
        train, tmp_path,
        SYNBT_NUM_ITERATIONS_PER_EPOCH="6", SYNBT_NUM_VAL_ITERATIONS_PER_EPOCH="2",
        SYNBT_FIT_CASES="1", SYNBT_STEPS="4", SYNBT_PROBABILITY="1", SYNBT_DIAMETER_MM="15",
    )  # fmt: skip
    assert "SynBT fit:" in said and "fit: unknown" not in said
    line = re.search(r"SynBT: painted (\d+) of 12 samples.*an iteration", said)
    assert line is not None and int(line[1]) >= 1, said
    assert "error" not in line[0], line[0]
    model = tmp_path / "results" / DATASET / f"{TRAINER}__nnUNetPlansTiny__3d_fullres"
    assert (model / "fold_0/checkpoint_final.pth").is_file()
    assert (model / "fold_0/synbt.json").is_file()

    scans = tmp_path / "scans"
    scans.mkdir()
    for channel in ("0000", "0001"):
        file = f"phantom_1000200_{channel}.nii.gz"
        (scans / file).symlink_to(tmp_path / "raw" / DATASET / "imagesTr" / file)
    how = "-f 0 -device cpu -npp 1 -nps 1 --disable_tta"
    run(
        f"nnUNetv2_predict -i {scans} -o {tmp_path / 'ours'} -d 903 -c 3d_fullres -tr {TRAINER} "
        f"-p nnUNetPlansTiny {how}",
        tmp_path,
    )
    run(f"synbt nnunet-export {model} -o {tmp_path / 'export'}", tmp_path)
    plain = next((tmp_path / "export").rglob("plans.json")).parent
    assert plain.name.startswith("nnUNetTrainer__")
    # With the hook off, nnU-Net knows none of our trainers.
    run(
        f"nnUNetv2_predict_from_modelfolder -i {scans} -o {tmp_path / 'plain'} -m {plain} {how}",
        tmp_path,
        SYNBT_NO_HOOK="1",
    )
    ours, theirs = (
        np.asarray(nib.load(tmp_path / name / "phantom_1000200.nii.gz").dataobj)
        for name in ("ours", "plain")
    )
    assert np.array_equal(ours, theirs)
