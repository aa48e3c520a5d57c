"""`synbt train segmentation`: a tumor segmenter, with or without synthetic tumors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synbt_aug.cli import train, training
from synbt_aug.cli.console import counting, note, seconds
from synbt_aug.errors import SynBTError

if TYPE_CHECKING:
    from synbt_aug.data.cohort import Cohort
    from synbt_aug.train.held_out import CasesOnDisk

Part = Annotated[str | None, typer.Option(help="Likewise, train or test.")]


def segmentation(
    data: train.Data,
    output: train.Output,
    val: Annotated[
        Path | None, typer.Option(help="Dataset whose cases choose the best weights; or --fold.")
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option(min=0, help="Train on this fold of nnU-Net's splits, validate on its rest."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="Dataset to score at the end; validation cases are left out."),
    ] = None,
    network: Annotated[str, typer.Option(help="unet, nnunet or swinunetr.")] = "unet",
    field_of_view: Annotated[
        str, typer.Option(help="volume (128x192x192 mm) or patch (64x64x64 mm).")
    ] = "volume",
    synthetic: Annotated[
        str, typer.Option(help="none, diffusion, syntumor or copy_paste, painted on the fly.")
    ] = "none",
    mode: Annotated[
        str,
        typer.Option(help="replace: paint into the samples; add: into as many further ones."),
    ] = "replace",
    probability: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of painting; default .5 with replace, 1 with add."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="shipped (the default), or a weights folder.")
    ] = None,
    bank: Annotated[
        str | None,
        typer.Option(help="A tumor bank file, or shipped; default: the training cases' tumors."),
    ] = None,
    preset: Annotated[str, typer.Option(help="paper, small or tiny.")] = "paper",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Real samples a step, over all devices together.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the preset's.")] = None,
    split: train.Split = None,
    val_split: Part = None,
    val_cases: Annotated[
        int | None, typer.Option(help="Validate on so many of them, always the same ones.")
    ] = None,
    test_split: Part = None,
    max_time: train.MaxTime = None,
    resume: train.Resume = False,
    devices: train.Devices = 1,
    num_nodes: train.Nodes = 1,
    precision: train.Precision = None,
    accelerator: train.Accelerator = "auto",
    seed: train.Seed = 0,
) -> None:
    """Train a segmenter of tumors; the best weights on the validation cases are kept.

    Further settings of the tumors are read from SYNBT_* variables. With --test
    the best weights' Dice, HD95 and surface distances go to OUTPUT/scores.json.
    """
    train._check_extra()
    from synbt_aug.settings.injection import InjectionSettings
    from synbt_aug.support.case_ids import patient_of
    from synbt_aug.train.held_out import CasesOnDisk, case_names
    from synbt_aug.train.segmentation import train_segmentation
    from synbt_aug.train.segmentation_preset import segmentation_preset
    from synbt_aug.train.segmentation_synthetic import SyntheticPlan

    chosen = segmentation_preset(preset)
    chosen = dataclasses.replace(
        chosen, batch=batch or chosen.batch, epochs=epochs or chosen.epochs
    )
    chosen.network(network), chosen.sides_mm(field_of_view)
    injection = InjectionSettings.gather()
    if weights is not None:
        injection = dataclasses.replace(injection, weights=weights)
    plan = SyntheticPlan(synthetic, mode, probability, injection)
    if (val is None) == (fold is None):
        raise SynBTError("The best weights are chosen by validation cases: give --val or --fold.")
    max_time_s = None if max_time is None else seconds(max_time)
    training.check_folder(output, "segmentation", resume)
    tested = [] if test is None else case_names(test, split=test_split)
    with training.told_how_to_go_on(output, "segmentation", resume):
        cases = train._cases(data, fold=fold, split=split, seed=seed)
        validation = _validation(data, val, fold, val_split, val_cases)
        patients = {patient_of(case.name) for case in validation}
        tested = [name for name in tested if patient_of(name) not in patients]
        if test is not None and not tested:
            raise SynBTError(
                f"Every case of {test} is a validation case: none is left to test on. Name another "
                f"dataset or --test-split, or draw fewer --val-cases."
            )
        # Listed now: a mask that is missing would else be told of after the training.
        held_out = None if test is None else CasesOnDisk(test, tested, split=test_split)
        best = train_segmentation(
            cases,
            validation,
            chosen,
            output,
            network=network,
            field_of_view=field_of_view,
            plan=plan,
            bank=bank,
            held_out=tested,
            max_time_s=max_time_s,
            resume=resume,
            seed=seed,
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,
            accelerator=accelerator,
        )
    training.told_weights(best)
    if held_out is not None and training.first_rank():
        _score(output, held_out, preset, field_of_view, on_cpu=accelerator == "cpu")


def _validation(
    data: Path, val: Path | None, fold: int | None, split: str | None, count: int | None
) -> Cohort:
    """The validation cases, with the first post-contrast scan."""
    from synbt_aug.data import load_cohort
    from synbt_aug.data.nnunet_raw import read_fold
    from synbt_aug.train.held_out import case_names, drawn_apart

    if fold is not None:
        folder, names = data, list(read_fold(data, fold)[1])
    else:
        assert val is not None
        folder, names = val, case_names(val, split=split)
    if count is not None:
        names = drawn_apart(names, count)[0]
    with counting("Reading validation cases") as on_case:
        cohort = load_cohort(folder, names=names, split=split, first_post=True, on_case=on_case)
    if len(cohort) < len(names):
        note(f"Warning: {len(names) - len(cohort)} of {len(names)} validation cases are left out:")
        for line in cohort.skipped[:10]:
            note(f"  {line}")
    return cohort


def _score(
    output: Path, cases: CasesOnDisk, preset: str, field_of_view: str, *, on_cpu: bool
) -> None:
    import torch

    from synbt_aug.evaluate.segmentation import summarize
    from synbt_aug.support.files import write_json
    from synbt_aug.train.segmentation_predict import Predictor, score_cases
    from synbt_aug.train.segmentation_preset import segmentation_preset
    from synbt_aug.train.segmenters import load_trained

    on_gpu = torch.cuda.is_available() and not on_cpu
    segmenter = load_trained(output).to("cuda" if on_gpu else "cpu")
    predictor = Predictor(segmenter, segmentation_preset(preset), field_of_view)
    scores = summarize(score_cases(predictor, cases))
    write_json(output / "scores.json", scores.to_dict())
    for metric, mean in scores.means.items():
        if mean is not None:
            note(f"{metric}: {mean.mean:.4f} [{mean.low:.4f}, {mean.high:.4f}], {mean.count} cases")
