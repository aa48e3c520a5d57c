"""A model folder of nnU-Net, as its trainer leaves one, run by nnU-Net's predictor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("nnunetv2")

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from nnunet_dataset import Dataset, plans_of
from small_scans import save, signal
from synbt_aug.data.nifti import read_label
from synbt_aug.evaluate.predictors import NnunetModel, predicted_file

TUMOR_LABEL = 2


@pytest.fixture
def everything_is_tumor(tmp_path: Path) -> Path:
    """A network whose last layer says "tumor" whatever it sees."""
    plans = plans_of(Dataset(patch=(16, 16, 16)))
    labels = {"background": 0, "breast": 1, "tumor": TUMOR_LABEL}
    channels = {"0": "pre", "1": "post"}
    described = {"channel_names": channels, "labels": labels, "file_ending": ".nii.gz"}
    manager = PlansManager(plans)
    network = nnUNetTrainer.build_network_architecture(
        manager, manager.get_configuration("3d_fullres"), 2, 3, False
    )
    weights = network.state_dict()
    for name in weights:
        if "seg_layers" in name:
            weights[name].zero_()
            if name.endswith("bias"):
                weights[name][TUMOR_LABEL] = 1.0
    folder = tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(described))
    content = {
        "network_weights": weights,
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres"},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(content, folder / "fold_0" / "checkpoint_final.pth")
    return folder


def test_nnunets_predictor_segments_a_folder(everything_is_tumor: Path, tmp_path: Path) -> None:
    images, output = tmp_path / "images", tmp_path / "output"
    output.mkdir()
    for name in "ab":
        for channel in range(2):
            save(images / f"{name}_{channel:04d}.nii.gz", signal(channel))
    model = NnunetModel(everything_is_tumor, mirroring=False)
    assert model.tumor_label == TUMOR_LABEL
    model.predict(images, output, tmp_path / "log")
    for name in "ab":
        assert (read_label(predicted_file(output, name)).values() == TUMOR_LABEL).all()
    # What it prints is the log's, not the screen's.
    assert "There are 2 cases" in (tmp_path / "log").read_text()


def test_another_checkpoint_is_another_model(everything_is_tumor: Path) -> None:
    before = NnunetModel(everything_is_tumor).identity()
    checkpoint = everything_is_tumor / "fold_0" / "checkpoint_final.pth"
    checkpoint.write_bytes(checkpoint.read_bytes() + b" ")
    assert NnunetModel(everything_is_tumor).identity() != before
