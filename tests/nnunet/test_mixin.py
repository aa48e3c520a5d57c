from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from nnunet_dataset import Dataset, FlatSynBT
from synbt_aug.errors import SynBTError
from synbt_aug_nnunet.mixin import SynBTMixin
from synbt_aug_nnunet.planning import packed_plans
from synbt_aug_nnunet.trainers import nnUNetTrainerSynBT, nnUNetTrainerSynBT_p0

Make = Callable[..., Any]


def first_batch(trainer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """One batch as the workers give it, and as the network gets it."""
    seen: dict[str, Any] = {}
    batch = next(trainer.dataloader_train)
    given = {**batch, "data": batch["data"].clone(), "target": packed_plans(batch)[0].clone()}
    original = nnUNetTrainer.train_step

    def catch(self: Any, ready: dict[str, Any]) -> Any:
        seen.update(ready)
        return original(self, ready)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nnUNetTrainer, "train_step", catch)
        trainer.train_step(batch)
    return given, seen


def no_intensity_changes(trainer: Any) -> None:
    """Leave only what a comparison with the worker's batch survives."""
    kept = [
        step
        for step in trainer._synbt_augmentation.on_device.transforms
        if type(step).__name__ in ("RemoveLabelTransform", "DownsampleSegForDSTransform")
        or "Regions" in type(step).__name__
    ]
    trainer._synbt_augmentation.on_device.transforms[:] = kept


# --- what is injected, where ---


def test_workers_hand_over_plain_labels_and_the_network_gets_scales(nnunet: Make) -> None:
    trainer = nnunet(Dataset(outside=True))
    trainer.on_train_start()
    given, ready = first_batch(trainer)
    assert given["target"].shape == (2, 1, 56, 72, 72) and given["target"].dtype == torch.int16
    assert [tuple(t.shape[2:]) for t in ready["target"]] == [(56, 72, 72), (28, 36, 36)]
    assert all(int(t.min()) >= 0 for t in ready["target"])


def test_tumors_are_painted_into_pre_and_post_with_their_label(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_PROBABILITY", "1")
    monkeypatch.setenv("SYNBT_DIAMETER_MM", "9")
    trainer = nnunet()
    trainer.on_train_start()
    no_intensity_changes(trainer)
    injected = 0
    # nnU-Net draws its patches unseeded, and some hold no site.
    for _ in range(8):
        if injected >= 2:
            break
        given, ready = first_batch(trainer)
        old, new = given["target"].clamp_min(0), ready["target"][0]
        for k in range(2):
            added = (new[k] == 1) & (old[k] != 1)
            changed = (ready["data"][k] != given["data"][k]).any(0)
            if not bool(added.any()):
                assert not bool(changed.any())
                continue
            injected += 1
            assert int(added.sum()) == pytest.approx(np.pi / 6 * 9**3, rel=0.15)
            post = (ready["data"][k, 1] - given["data"][k, 1])[added[0]]
            assert float(post.mean()) > 0
            # Real tumors keep their label and their voxels.
            assert bool((new[k][old[k] == 1] == 1).all())
            assert not bool((changed & (old[k, 0] == 1)).any())
    assert injected >= 2
    assert trainer._synbt_injection.pop_counts().painted == injected


def test_four_channels_anisotropic_and_sagittal_get_tumors_in_the_right_channels(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_PROBABILITY", "1")
    monkeypatch.setenv("SYNBT_DIAMETER_MM", "12")
    spacing = (0.7, 2.0, 0.7)
    dataset = Dataset(
        channels=("T2", "post", "pre", "DWI"), spacing=spacing, patch=(80, 36, 100), batch_size=3
    )
    trainer = nnunet(dataset)
    trainer.on_train_start()
    no_intensity_changes(trainer)
    assert (trainer.synbt_settings.pre_channel, trainer.synbt_settings.post_channel) == (2, 1)
    sizes: list[float] = []
    for _ in range(6):
        given, ready = first_batch(trainer)
        changed = (ready["data"] != given["data"]).flatten(2).any(2)
        assert not bool(changed[:, [0, 3]].any())
        added = (ready["target"][0] == 1) & (given["target"] != 1)
        sizes += [int(a.sum()) * float(np.prod(spacing)) for a in added if bool(a.any())]
        if sizes:
            break
    assert sizes
    for volume in sizes:
        assert (6 * volume / np.pi) ** (1 / 3) == pytest.approx(12, abs=0.7)


def test_regions_and_the_ignore_label_reach_the_loss(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_PROBABILITY", "1")
    monkeypatch.setenv("SYNBT_DIAMETER_MM", "9")

    def label_breast(data: np.ndarray, segmentation: np.ndarray) -> None:
        segmentation[(segmentation == 0) & (data[0] > 60)] = 1
        segmentation[:, 60:] = 3

    labels = {"background": 0, "breast": [1, 2], "tumor": [2], "ignore": 3}
    trainer = nnunet(
        Dataset(labels=labels, regions_class_order=[1, 2], tumor=2, changes=label_breast)
    )
    trainer.on_train_start()
    no_intensity_changes(trainer)
    assert trainer.synbt_settings.paint_over == (1,)
    for _ in range(8):
        given, ready = first_batch(trainer)
        target = ready["target"][0]
        assert target.shape[1] == 3 and target.dtype == torch.bool
        breast, tumor, ignore = target.unbind(1)
        assert torch.equal(ignore, given["target"][:, 0] == 3)
        assert bool((breast | ~tumor).all()), "a tumor lies inside the breast region"
        if int(tumor.sum()) > int((given["target"] == 2).sum()):
            break
    else:
        pytest.fail("nothing was injected")


def test_the_first_injected_patches_are_saved_as_pictures(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_PROBABILITY", "1")
    monkeypatch.setenv("SYNBT_EXAMPLES", "1")
    trainer = nnunet()
    trainer.on_train_start()
    for _ in range(8):
        trainer.train_step(next(trainer.dataloader_train))
        if trainer._synbt_injection.counts.painted >= 2:
            break
    pictures = list((Path(trainer.output_folder) / "synbt_examples").glob("*.png"))
    assert len(pictures) == 1


# --- the control ---


def test_without_injection_the_losses_are_those_of_plain_nnunet_bit_by_bit(nnunet: Make) -> None:
    # With one sample a batch both draw the same random numbers in the same order.
    losses = []
    for kind in (nnUNetTrainer, nnUNetTrainerSynBT_p0):
        trainer = nnunet(Dataset(batch_size=1), kind)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            trainer.on_train_start()
            torch.manual_seed(2)
            np.random.seed(2)  # noqa: NPY002 (nnU-Net draws from it)
            losses.append(
                [float(trainer.train_step(next(trainer.dataloader_train))["loss"]) for _ in "abcd"]
            )
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 4


def test_validation_batches_are_nnunets_own(nnunet: Make) -> None:
    trainer = nnunet()
    trainer.on_train_start()
    plain = nnUNetTrainer.get_validation_transforms([[1, 1, 1]])
    kinds = [type(t) for t in trainer.dataloader_val.data_loader.transforms.transforms]
    assert kinds == [type(t) for t in plain.transforms]
    assert trainer.dataloader_val.data_loader.indices == ["d"]


# --- settings, record, refusals ---


def test_a_trainers_name_has_the_last_word(nnunet: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Named(FlatSynBT):
        synbt_fixed: ClassVar = {"num_epochs": 7}

    class NamedControl(Named):
        synbt_fixed: ClassVar = {"probability": 0.0}

    monkeypatch.setenv("SYNBT_NUM_EPOCHS", "3")
    monkeypatch.setenv("SYNBT_NUM_ITERATIONS_PER_EPOCH", "5")
    trainer = nnunet(Dataset(synbt={"probability": 0.25, "num_val_iterations_per_epoch": 2}), Named)
    trainer.initialize()
    assert trainer.num_epochs == trainer.lr_scheduler.max_steps == 7
    assert trainer.num_iterations_per_epoch == 5
    assert trainer.num_val_iterations_per_epoch == 2
    assert trainer.synbt_settings.probability == 0.25
    control = nnunet(trainer=NamedControl)
    control.initialize()
    assert control.num_epochs == 7 and control.synbt_settings.probability == 0


def test_a_users_own_trainer_keeps_its_epochs(nnunet: Make) -> None:
    class Short(nnUNetTrainer):
        def initialize(self) -> None:
            self.num_epochs = 3
            super().initialize()

    class Mine(SynBTMixin, Short):
        pass

    trainer = nnunet(trainer=Mine)
    trainer.initialize()
    assert trainer.num_epochs == 3


def test_the_settings_are_saved_and_other_settings_refused(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = nnunet()
    trainer.on_train_start()
    folder = Path(trainer.output_folder)
    record = json.loads((folder / "synbt.json").read_text())
    assert record["settings"]["probability"] == 0.5 and record["training_cases"] == 3
    trainer.save_checkpoint(str(folder / "checkpoint_latest.pth"))
    nnunet().on_train_start()
    monkeypatch.setenv("SYNBT_GENERATOR_DEVICE", "cpu")
    nnunet().on_train_start()
    monkeypatch.setenv("SYNBT_PROBABILITY", "0.75")
    with pytest.raises(SynBTError, match=r"probability: 0\.5 there, 0\.75 now"):
        nnunet().on_train_start()


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Dataset(patch=(48, 48)), "in 3D, but the configuration 3d_fullres has patches of 2"),
        (Dataset(channels=("post",)), "two channels, pre- and post-contrast"),
        (Dataset(labels={"background": 0, "x": 1, "y": 2}), "which one is the tumor"),
        (Dataset(synbt={"probabilty": 1}), "no setting called probabilty"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_training(
    nnunet: Make, dataset: Dataset, message: str
) -> None:
    with pytest.raises(SynBTError, match=message):
        nnunet(dataset).initialize()


def log_of(trainer: Any) -> str:
    return max(Path(trainer.output_folder).glob("training_log_*.txt")).read_text()


def test_a_series_is_painted_in_every_phase_and_the_log_names_what_is_painted_and_what_not(
    nnunet: Make,
) -> None:
    channels = ("post 1", "T2", "pre", "post 2", "sub")
    trainer = nnunet(Dataset(channels=channels, synbt={"probability": 1.0, "diameter_mm": 9}))
    trainer.on_train_start()
    assert (
        "SynBT paints 2: pre, 0: post 1, 3: post 2; computed again: 4: sub; not painted: 1: T2."
        in log_of(trainer)
    )
    no_intensity_changes(trainer)
    given, ready = first_batch(trainer)
    before, after = given["data"], ready["data"]
    new = (ready["target"][0] == 1) & (given["target"] != 1)
    assert new[:, 0].flatten(1).any(1).all()
    assert torch.equal(after[:, 1], before[:, 1])
    for k in range(len(after)):
        where = new[k, 0]
        for c in (0, 2, 3, 4):
            assert ((after - before)[k, c] != 0)[where].float().mean() > 0.9
            # Nothing changes but beside the new tumor.
            assert ((after - before)[k, c] != 0).sum() < 4 * where.sum()
        # What held of the subtraction, each channel scaled on its own, holds of the new one.
        x = torch.stack([before[k, 0], before[k, 2], torch.ones_like(before[k, 0])]).flatten(1)
        weights = torch.linalg.lstsq(x.T.double(), before[k, 4].flatten()[:, None].double())
        again = torch.stack([after[k, 0], after[k, 2], torch.ones_like(after[k, 0])]).flatten(1)
        expected = (again.T.double() @ weights.solution).view_as(where)
        assert (after[k, 4] - expected)[where].abs().max() < 1e-3


def test_a_subtraction_that_is_none_is_told_with_its_share_and_refused(nnunet: Make) -> None:
    def spoil(data: np.ndarray, segmentation: np.ndarray) -> None:
        data[2] = np.abs(data[2])

    trainer = nnunet(Dataset(channels=("pre", "post 1", "sub"), changes=spoil))
    with pytest.raises(SynBTError, match="missing in 2: sub, where real ones show"):
        trainer.on_train_start()
    assert "channel 2: sub is called a subtraction, but the scans that are painted explain" in (
        log_of(trainer)
    )


def test_a_subtraction_without_a_telling_name_is_recognised(nnunet: Make) -> None:
    def subtract(data: np.ndarray, segmentation: np.ndarray) -> None:
        data[2] = data[1] - data[0]

    trainer = nnunet(Dataset(channels=("pre", "post 1", "c3"), changes=subtract))
    trainer.on_train_start()
    assert "SynBT paints 0: pre, 1: post 1; computed again: 2: c3." in log_of(trainer)


def test_maps_are_refused_before_anything_is_computed_unless_they_are_allowed(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(channels=("pre", "post 1", "MIP"))
    trainer = nnunet(dataset)
    with pytest.raises(SynBTError, match="missing in 2: MIP, where real ones show"):
        trainer.on_train_start()
    assert not list(Path(trainer.output_folder).rglob("synbt*"))
    monkeypatch.setenv("SYNBT_UNPAINTED_CHANNELS", "allow")
    trainer = nnunet(dataset)
    trainer.on_train_start()
    log = max(Path(trainer.output_folder).glob("training_log_*.txt")).read_text()
    assert "SynBT paints 0: pre, 1: post 1; not painted: 2: MIP; they contradict" in log


@pytest.mark.parametrize("name", ["WEIGHTS", "BANK", "TISSUE"])
def test_a_file_that_is_not_there_is_told_before_the_cohort_is_measured(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"SYNBT_{name}", "/nonexistent")
    trainer = nnunet()
    with pytest.raises(SynBTError, match="/nonexistent"):
        trainer.on_train_start()
    assert not list(Path(trainer.preprocessed_dataset_folder_base).glob("synbt_*"))


def test_the_second_stage_of_a_cascade_is_refused(nnunet: Make) -> None:
    with pytest.raises(SynBTError, match="second stage of a cascade.*Train 3d_fullres"):
        nnunet(Dataset(previous_stage="3d_lowres")).initialize()


def test_a_dataset_without_tumors_is_refused(nnunet: Make) -> None:
    with pytest.raises(SynBTError, match="none of the 3 training cases has one of 6 mm.*shipped"):
        nnunet(Dataset(radius_mm=0), nnUNetTrainerSynBT).on_train_start()


def test_weights_that_saw_a_validation_case_are_refused(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import dataclasses

    from analytic import tiny_weights
    from synbt_aug.weights import save_weights

    leaky = dataclasses.replace(tiny_weights(), card={"cases": ["d", "e"]})
    monkeypatch.setenv("SYNBT_WEIGHTS", str(save_weights(leaky, tmp_path / "leaky")))
    with pytest.raises(SynBTError, match=r"'leaky' were trained on 1 validation cases.*\(d\)"):
        nnunet(trainer=nnUNetTrainerSynBT).on_train_start()


def test_weights_of_a_user_are_taken_by_their_name_for_their_own_fold_alone(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import dataclasses

    from analytic import tiny_weights
    from synbt_aug.weights import save_weights

    monkeypatch.setenv("SYNBT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SYNBT_WEIGHTS", "ours")
    # As `synbt adapt --fold 0` lists them: the training cases of fold 0, whose validation is d.
    card = {"cases": ["a", "b", "c"], "adapted": {"fold": 0}}
    ours = dataclasses.replace(tiny_weights(), card=card)
    save_weights(ours, tmp_path / "home" / "weights" / "ours")
    trainer = nnunet(trainer=nnUNetTrainerSynBT)
    splits = tmp_path / "preprocessed" / "Dataset900_Analytic" / "splits_final.json"
    folds = [{"train": ["a", "b", "c"], "val": ["d"]}, {"train": ["b", "c", "d"], "val": ["a"]}]
    splits.write_text(json.dumps(folds))
    trainer.on_train_start()
    with pytest.raises(SynBTError, match=r"'ours' were trained on 1 validation cases"):
        nnunet(trainer=nnUNetTrainerSynBT, fold=1).on_train_start()


# --- the rest of the life cycle ---


def test_a_training_goes_on_with_its_settings_and_measures_nothing_anew(
    nnunet: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = nnunet(Dataset(batch_dice=True))
    trainer.on_train_start()
    trainer.train_step(next(trainer.dataloader_train))
    file = str(Path(trainer.output_folder) / "checkpoint_latest.pth")
    trainer.save_checkpoint(file)
    capsys.readouterr()
    again = nnunet()
    again.load_checkpoint(file)
    again.on_train_start()
    assert again.current_epoch == 1
    assert "measuring" not in capsys.readouterr().out
    weights = [p.detach() for p in trainer.network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(weights, again.network.parameters()))
    assert json.loads((Path(again.output_folder) / "synbt.json").read_text())["templates"] >= 1


def test_fold_all_trains_on_every_case(nnunet: Make) -> None:
    trainer = nnunet(fold="all")
    trainer.on_train_start()
    assert sorted(trainer._synbt_injection.references) == ["a", "b", "c", "d"]


def test_a_read_only_dataset_is_measured_beside_the_results(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Root may write everywhere: what `os.access` says is put in its mouth.
    monkeypatch.setattr("synbt_aug_nnunet.cohort.os.access", lambda *_: False)
    trainer = nnunet()
    trainer.on_train_start()
    kept = Path(trainer.output_folder_base) / "synbt_nnUNetPlans_3d_fullres"
    assert len(list(kept.glob("*.json"))) == 3
    assert str(kept) in capsys.readouterr().out


def test_the_fit_is_told_at_the_start(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYNBT_FIT_CASES", "1")
    trainer = nnunet()
    trainer.on_train_start()
    said = capsys.readouterr().out
    assert "SynBT fit:" in said and "fit: unknown" not in said
    record = json.loads((Path(trainer.output_folder) / "synbt.json").read_text())
    assert record["fit"]["cases"] == 1


def test_a_trainer_that_keeps_its_steps_from_the_mixin_is_told(nnunet: Make) -> None:
    class OwnStep(FlatSynBT):
        def train_step(self, batch: dict[str, Any]) -> Any:
            return {"loss": np.float32(1)}

    class OwnLoaders(FlatSynBT):
        def get_training_transforms(self, *args: Any, **more: Any) -> Any:
            return nnUNetTrainer.get_training_transforms(*args, **more)

    trainer = nnunet(trainer=OwnStep)
    trainer.on_train_start()
    trainer.on_train_epoch_start()
    with pytest.raises(SynBTError, match="OwnStep has a train_step of its own"):
        trainer.on_train_epoch_end([trainer.train_step({})])
    with pytest.raises(SynBTError, match="OwnLoaders makes its data loaders without"):
        nnunet(trainer=OwnLoaders).on_train_start()


def test_an_epoch_ends_with_a_line_on_what_was_injected(
    nnunet: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = nnunet()
    trainer.on_train_start()
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    outputs = [trainer.train_step(next(trainer.dataloader_train)) for _ in range(2)]
    trainer.on_train_epoch_end(outputs)
    line = [x for x in capsys.readouterr().out.splitlines() if "SynBT:" in x][-1]
    assert "SynBT: painted " in line and "ms an iteration" in line


def test_prediction_builds_the_network_without_settings_or_weights() -> None:
    assert nnUNetTrainerSynBT.build_network_architecture is nnUNetTrainer.build_network_architecture
    assert "__init__" not in vars(SynBTMixin) and "__init__" not in vars(nnUNetTrainerSynBT)


def test_an_anisotropic_plan_augments_in_two_dimensions(nnunet: Make) -> None:
    trainer = nnunet(Dataset(spacing=(4.0, 1.0, 1.0), patch=(12, 48, 48)))
    trainer.on_train_start()
    steps = [type(s).__name__ for s in trainer._synbt_augmentation.in_workers.transforms]
    assert steps == [
        "TakeWhereabouts",
        "Convert3DTo2DTransform",
        "SpatialTransform",
        "Convert2DTo3DTransform",
        "DecideSample",
    ]
    given, ready = first_batch(trainer)
    assert ready["data"].shape == given["data"].shape


def test_the_same_seed_draws_the_same_tumors_and_ranks_draw_others() -> None:
    from synbt_aug_nnunet.planning import step_seed

    seeds = {
        step_seed(0, fold, rank, epoch, step)
        for fold in range(2)
        for rank in range(2)
        for epoch in range(3)
        for step in range(5)
    }
    assert len(seeds) == 2 * 2 * 3 * 5
    assert step_seed(0, 1, 2, 3, 4) == step_seed(0, 1, 2, 3, 4) < 2**63


# --- looking ahead ---


def two_epochs(trainer: Any) -> tuple[list[float], list[str]]:
    """Losses of two epochs of two iterations, and the log's lines on what was injected."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        trainer.on_train_start()
        torch.manual_seed(2)
        np.random.seed(2)  # noqa: NPY002 (nnU-Net draws from it)
        trainer.num_iterations_per_epoch = 2
        losses = []
        for _ in range(2):
            done = [trainer.train_step(next(trainer.dataloader_train)) for _ in range(2)]
            trainer.on_train_epoch_end(done)
            # What validation draws comes between the epochs, with and without.
            losses += [*(float(one["loss"]) for one in done), float(torch.rand(()))]
            trainer.current_epoch += 1
        trainer.on_train_end()
    return losses, re.findall(r"SynBT: painted .*; injection", log_of(trainer))


def test_looking_ahead_trains_on_the_same_tumors_bit_by_bit(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_PROBABILITY", "1")
    monkeypatch.setenv("SYNBT_DIAMETER_MM", "9")
    monkeypatch.setenv("SYNBT_EXAMPLES", "0")
    found = []
    for lookahead in ("false", "true"):
        monkeypatch.setenv("SYNBT_LOOKAHEAD", lookahead)
        trainer = nnunet(Dataset(batch_size=1))
        found.append(two_epochs(trainer))
        # nnU-Net ends its own loader.
        assert type(trainer.dataloader_train).__name__ == "SingleThreadedAugmenter"
        shutil.rmtree(trainer.output_folder)
    (losses, lines), (losses_ahead, lines_ahead) = found
    assert losses == losses_ahead and len(set(losses)) == 6
    assert lines == lines_ahead and len(lines) == 2
