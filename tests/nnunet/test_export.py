from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("nnunetv2")

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
    nnUNetTrainerNoMirroring,
)

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json
from synbt_aug_nnunet import trainers
from synbt_aug_nnunet.export import export_model, plain_trainer_for
from synbt_aug_nnunet.mixin import SynBTMixin
from synbt_aug_nnunet.results import RECORD
from synbt_aug_nnunet.tiny_plan import write_tiny_plan

PLANS, CONFIGURATION = "nnUNetPlansTiny", "3d_fullres"
Make = Callable[..., Path]


def checkpoint_of(trainer: str, weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What nnU-Net 2.8 writes, from a GPU."""
    return {
        "network_weights": weights,
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01, "momentum": 0.99}]},
        "grad_scaler_state": {"scale": 65536.0, "_growth_tracker": 4},
        "logging": {
            "mean_fg_dice": [np.float32(0.5), np.float64(0.25)],
            "dice_per_class_or_region": [[np.float32(0.5)]],
            "epoch_start_timestamps": [1795467125.8],
        },
        "_best_ema": np.float32(0.5),
        "current_epoch": 1,
        "init_args": {
            "configuration": CONFIGURATION,
            "fold": 0,
            "device": torch.device("cuda", 0),
            "plans": {"plans_name": PLANS},
        },
        "trainer_name": trainer,
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


def random_weights() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {
        "whole": torch.randn(3, 4, generator=draw),
        "half": torch.randn(5, generator=draw).to(torch.bfloat16),
        "odd": torch.tensor([float("nan"), float("inf"), -0.0]),
    }


@pytest.fixture
def results(tmp_path: Path) -> Make:
    """Makes a results folder: one checkpoint_final.pth for each fold and trainer named."""

    def make(trainer: str = "nnUNetTrainerSynBT_1epoch", **folds: str) -> Path:
        folder = tmp_path / "Dataset901_Phantoms" / f"{trainer}__{PLANS}__{CONFIGURATION}"
        for fold, name in (folds or {"fold_0": trainer}).items():
            (folder / fold).mkdir(parents=True)
            content = checkpoint_of(name, random_weights())
            torch.save(content, folder / fold / "checkpoint_final.pth")
            write_json(folder / fold / RECORD, {"learned_from": {"seed": 7}})
        for file in ("dataset", "plans", "dataset_fingerprint"):
            write_json(folder / f"{file}.json", {"this is": file})
        return folder

    return make


def load(path: Path) -> dict[str, Any]:
    """As nnU-Net loads it: these files were written a moment ago, right here."""
    with torch.serialization.safe_globals(
        [np.dtype, type(np.dtype("f4")), type(np.dtype("f8")), np.float64(0).__reduce__()[0]]
    ):
        return torch.load(path, weights_only=True)


def test_only_the_trainers_name_changes(results: Make, tmp_path: Path) -> None:
    source = results()
    done = export_model(source, tmp_path / "out")
    assert done.folder == tmp_path / "out" / f"nnUNetTrainer__{PLANS}__{CONFIGURATION}"
    assert (done.trainer, done.exported_as) == ("nnUNetTrainerSynBT_1epoch", "nnUNetTrainer")
    before = load(source / "fold_0/checkpoint_final.pth")
    after = load(done.folder / "fold_0/checkpoint_final.pth")
    assert after.pop("trainer_name") == "nnUNetTrainer"
    assert before.pop("trainer_name") == "nnUNetTrainerSynBT_1epoch"
    ours, theirs = after.pop("network_weights"), before.pop("network_weights")
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name].view(torch.uint8), tensor.view(torch.uint8))
    assert after == before
    for file in ("dataset.json", "plans.json", "dataset_fingerprint.json", f"fold_0/{RECORD}"):
        assert (done.folder / file).read_bytes() == (source / file).read_bytes()


def test_every_fold_is_exported_unless_one_is_named(results: Make, tmp_path: Path) -> None:
    name = "nnUNetTrainerSynBT"
    source = results(name, fold_0=name, fold_3=name, fold_all=name)
    assert export_model(source, tmp_path / "each").folds == ("0", "3", "all")
    done = export_model(source, tmp_path / "one", folds=["3"])
    assert [path.name for path in done.folder.glob("fold_*")] == ["fold_3"]


def test_every_trainer_of_ours_has_a_class_of_nnunets_below_it() -> None:
    ours = [name for name in vars(trainers) if name.startswith("nnUNetTrainerSynBT")]
    assert "nnUNetTrainerSynBT" in ours
    for name in ours:
        mirrors = "NoMirroring" not in name
        assert plain_trainer_for(name) == "nnUNetTrainer" + ("" if mirrors else "NoMirroring")


def test_the_nearest_class_of_nnunets_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(SynBTMixin, nnUNetTrainerNoMirroring):
        pass

    monkeypatch.setattr(trainers, "Mine", Mine, raising=False)
    assert plain_trainer_for("Mine") == "nnUNetTrainerNoMirroring"


def test_a_network_that_plain_nnunet_does_not_build_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Mine(SynBTMixin, nnUNetTrainer):
        @staticmethod
        def build_network_architecture(*arguments: object) -> None:
            """Another network."""

    monkeypatch.setattr(trainers, "Mine", Mine, raising=False)
    with pytest.raises(SynBTError, match="Mine builds a network of its own, which nnUNetTrainer"):
        plain_trainer_for("Mine")


def test_a_plain_model_needs_no_export(results: Make, tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="trained by nnUNetTrainer, .* it needs no export"):
        export_model(results("nnUNetTrainer"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_trainer_that_nobody_knows_is_named(results: Make, tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="nnUNetTrainerElsewhere, which neither synbt-aug nor"):
        export_model(results("nnUNetTrainerElsewhere"), tmp_path)


def test_folds_of_different_trainers_are_not_mixed(results: Make, tmp_path: Path) -> None:
    source = results(fold_0="nnUNetTrainerSynBT_1epoch", fold_1="nnUNetTrainer")
    with pytest.raises(SynBTError, match="nnUNetTrainer, nnUNetTrainerSynBT_1epoch.* with --fold"):
        export_model(source, tmp_path)


def test_a_missing_checkpoint_lists_those_there(results: Make, tmp_path: Path) -> None:
    source = results()
    message = "no checkpoint_final.pth in fold_2. Choose from fold_0/checkpoint_final.pth"
    with pytest.raises(SynBTError, match=message):
        export_model(source, tmp_path, folds=["2"])
    with pytest.raises(SynBTError, match="no checkpoint_best.pth in any fold"):
        export_model(source, tmp_path, checkpoint="checkpoint_best.pth")


def test_a_wrong_folder_is_told_what_to_name_instead(results: Make, tmp_path: Path) -> None:
    source = results()
    with pytest.raises(SynBTError, match=f"It holds {source.name}: name one of these"):
        export_model(source.parent, tmp_path)
    with pytest.raises(SynBTError, match="There is no folder"):
        export_model(tmp_path / "nowhere", tmp_path)


def test_nothing_is_overwritten(results: Make, tmp_path: Path) -> None:
    source = results()
    done = export_model(source, tmp_path / "out")
    (done.folder / "fold_0/checkpoint_final.pth").write_bytes(b"mine")
    with pytest.raises(SynBTError, match="exists already and is not overwritten"):
        export_model(source, tmp_path / "out")
    assert (done.folder / "fold_0/checkpoint_final.pth").read_bytes() == b"mine"


def test_an_export_that_fails_leaves_nothing(
    results: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    source = results()
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        export_model(source, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_code_in_a_checkpoint_is_not_run(results: Make, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    source = results()
    torch.save({"trainer_name": Trap()}, source / "fold_0/checkpoint_final.pth")
    with pytest.raises(SynBTError, match="without running code from it"):
        export_model(source, tmp_path / "out")
    assert not (tmp_path / "sprung").exists()


def test_nnunet_builds_the_network_of_an_export(results: Make, tmp_path: Path) -> None:
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    configuration = {"normalization_schemes": ["ZScoreNormalization"] * 2, "batch_size": 2}
    plans = {"plans_name": "nnUNetPlans", "label_manager": "LabelManager"}
    plans["configurations"] = {CONFIGURATION: configuration}  # type: ignore[assignment]
    write_json(tmp_path / "nnUNetPlans.json", plans)
    tiny = read_json(write_tiny_plan(tmp_path, features=(4, 8)))
    dataset = {
        "labels": {"background": 0, "tumor": 1},
        "channel_names": {"0": "pre", "1": "post"},
        "file_ending": ".nii.gz",
    }
    built = nnUNetTrainer.build_network_architecture(
        PlansManager(tiny), PlansManager(tiny).get_configuration(CONFIGURATION), 2, 2, False
    )
    source = results()
    write_json(source / "plans.json", tiny)
    write_json(source / "dataset.json", dataset)
    content = checkpoint_of("nnUNetTrainerSynBT_1epoch", built.state_dict())
    torch.save(content, source / "fold_0/checkpoint_final.pth")

    done = export_model(source, tmp_path / "out")
    predictor = nnUNetPredictor(device=torch.device("cpu"))
    predictor.initialize_from_trained_model_folder(str(done.folder), (0,), "checkpoint_final.pth")
    assert predictor.trainer_name == "nnUNetTrainer"
    patch = torch.randn(1, 2, 32, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(predictor.network.eval()(patch), built.eval()(patch))
