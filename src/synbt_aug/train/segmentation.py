"""Train a tumor segmenter, with or without synthetic tumors; keep what validates best.

The result is a folder with `best.safetensors`, the weights of the best mean Dice over the
validation cases, and `best.json`: the network, every setting in force, the digests of what
painted, and the Dice at each validation. Validation sees real tumors alone.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from monai.losses import DiceCELoss

from synbt_aug.data.cohort import TrainingCase
from synbt_aug.errors import SynBTError
from synbt_aug.loop.training_loop import TrainingRun, fresh_weights, make_fabric
from synbt_aug.loop.training_step import descend, learning_rate, set_learning_rate
from synbt_aug.support.case_ids import PRIVACY, case_keys, patient_of
from synbt_aug.support.files import write_json
from synbt_aug.train.crops import TrainingCase as CropCase
from synbt_aug.train.crops import resident
from synbt_aug.train.files import save_network
from synbt_aug.train.held_out import names_of, refuse_unlabelled
from synbt_aug.train.identity import identity_of_cases
from synbt_aug.train.segmentation_predict import Predictor, dice
from synbt_aug.train.segmentation_preset import SegmentationPreset
from synbt_aug.train.segmentation_samples import SampleSource
from synbt_aug.train.segmentation_synthetic import (
    REAL_ONLY,
    Painter,
    SyntheticPlan,
    make_painter,
)
from synbt_aug.train.segmenters import Segmenter
from synbt_aug.tumor.bank import TumorBank

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)


@dataclass
class BestSoFar:
    """The validations of a run, as a checkpoint keeps them.

    Args:
        dice: The best mean Dice; -1 before the first validation.
        step: Steps made when it was reached.
        history: Steps and mean Dice of each validation, in order.
    """

    dice: float = -1.0
    step: int = 0
    history: list[list[float]] = field(default_factory=list)

    def note(self, step: int, value: float) -> bool:
        """Add a validation; says whether it is the best. The first of equals stays."""
        self.history.append([step, value])
        better = value > self.dice
        if better:
            self.dice, self.step = value, step
        return better

    def validated(self, step: int) -> bool:
        """Whether the weights after so many steps were validated."""
        return bool(self.history) and int(self.history[-1][0]) == step

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.dice, self.step = float(state["dice"]), int(state["step"])
        self.history = [list(entry) for entry in state["history"]]


def train_segmentation(
    cases: Sequence[TrainingCase],
    validation: Sequence[TrainingCase],
    preset: SegmentationPreset,
    output_dir: str | Path,
    *,
    network: str = "unet",
    field_of_view: str = "volume",
    plan: SyntheticPlan = REAL_ONLY,
    painter: Painter | None = None,
    bank: TumorBank | str | Path | None = None,
    supplement: Sequence[TrainingCase] | None = None,
    held_out: Sequence[str] = (),
    max_time_s: float | None = None,
    resume: bool = False,
    seed: int = 0,
    devices: int = 1,
    num_nodes: int = 1,
    precision: str | None = None,
    accelerator: str = "auto",
    save_every_s: float = 300.0,
    log_every: int = 50,
) -> Path:
    """Train and write the weights that validate best.

    Args:
        cases: What to learn from; only read.
        validation: What the best weights are chosen by.
        preset: Every number of the training.
        output_dir: Folder of checkpoints, logs and the result.
        network: "unet", "nnunet" or "swinunetr".
        field_of_view: "volume" or "patch".
        plan: Which synthetic tumors come in.
        painter: Paints them; None loads what the plan names.
        bank: Tumor bank where no painter is given: a bank, its file, or "shipped"; None cuts one
            from the training cases.
        supplement: Cases that candidates for painting are cut from, in place of the training's.
        held_out: Names of further cases that the generator must not have seen, such as the test's.
        max_time_s: Time box. None: the preset's epochs alone.
        resume: Continue an interrupted run of the same settings and cases.
        seed: Of everything drawn.
        devices: Devices a node; they share the samples of a step.
        num_nodes: Nodes.
        precision: As Lightning Fabric names it; None picks it.
        accelerator: As Lightning Fabric names it.
        save_every_s: Seconds between checkpoints.
        log_every: Steps averaged for one line of the log.

    Returns:
        The path of `best.safetensors`.

    Raises:
        SynBTError: If there is no case to train or validate on, a case has no mask, a name is
            unknown, the sides do not fit the network, the samples of a step cannot be shared among
            the devices, training or generator saw held-out cases, the folder holds another run, or
            the time ends before the learning rate has warmed up.
        Interrupted: After Ctrl-C or SIGTERM, when the checkpoint is written.
    """
    output_dir = Path(output_dir)
    shape = preset.network(network)
    sides = preset.sides(field_of_view)
    if any(side % shape.divisor for side in sides):
        raise SynBTError(
            f"{network} halves its input: it needs sides that are multiples of {shape.divisor}, "
            f"but the {field_of_view} is {sides} voxels. Change the preset's field of view."
        )
    if not len(validation):
        raise SynBTError("The best weights are chosen by validation cases: give --val or --fold.")
    names = names_of(validation)
    learned = {*names_of(cases), *(names_of(supplement) if supplement is not None else ())}
    apart = {patient_of(name) for name in (*names, *held_out)}
    if both := [name for name in learned if patient_of(name) in apart]:
        raise SynBTError(
            f"{len(both)} training cases are held-out cases, too ({min(both)}, ...): take them "
            f"out of one."
        )
    for part in (cases, validation, supplement or ()):
        refuse_unlabelled(part)
    fabric = make_fabric(
        devices=devices, num_nodes=num_nodes, precision=precision, accelerator=accelerator
    )
    if painter is None:
        painter = make_painter(
            plan, cases, held_out=[*names, *held_out], bank=bank, device=fabric.device
        )
    kept: Sequence[CropCase] = resident(cases, fabric.device)
    source = SampleSource(
        kept,
        preset,
        field_of_view,
        plan,
        painter,
        supplement=supplement,
        seed=seed,
        device=fabric.device,
    )
    if len(source) % fabric.world_size:
        raise SynBTError(
            f"{fabric.world_size} devices share the {len(source)} samples of a step: give --batch "
            f"a number with which that comes out even, or fewer --devices."
        )
    with fresh_weights(seed):
        segmenter = Segmenter(shape)
    settings = {
        "preset": preset.to_dict(),
        "network": network,
        "field_of_view": field_of_view,
        "synthetic": plan.to_dict(),
        "generator": painter.facts() if painter is not None else None,
        "seed": seed,
        "supplement": None if supplement is None else identity_of_cases(supplement),
        "images": identity_of_cases(cases),
        "cases": case_keys(case.name for case in cases),
        "validation": case_keys(names),
    }
    _train(
        fabric,
        segmenter,
        source,
        validation,
        settings,
        output_dir,
        max_time_s=max_time_s,
        resume=resume,
        save_every_s=save_every_s,
        log_every=log_every,
    )
    return output_dir / "best.safetensors"


def _train(
    fabric: Fabric,
    segmenter: Segmenter,
    source: SampleSource,
    validation: Sequence[TrainingCase],
    settings: Mapping[str, Any],
    output_dir: Path,
    *,
    max_time_s: float | None,
    resume: bool,
    save_every_s: float,
    log_every: int,
) -> None:
    preset, best = source.preset, BestSoFar()
    segmenter = segmenter.to(fabric.device)
    optimizer = torch.optim.AdamW(
        segmenter.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay
    )
    network, optimizer = fabric.setup(segmenter, optimizer)
    # Ours: the paper names no loss. Dice of the tumor and cross-entropy, as nnU-Net's; means over
    # samples, so that devices' means average to that of the whole batch.
    measure = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)
    predictor = Predictor(segmenter, preset, settings["field_of_view"], autocast=fabric.autocast)
    every = preset.validate_every * preset.steps_of_an_epoch(len(source.cases))
    mine = range(fabric.global_rank, len(source), fabric.world_size)

    def facts(run: TrainingRun) -> dict[str, Any]:
        training = {
            "steps": run.step,
            "seconds": round(run.elapsed_s, 1),
            "finished": run.finished and best.validated(run.step),
        }
        return {**settings, "best": best.state_dict(), "training": training}

    def tell(run: TrainingRun) -> None:
        if best.history:
            told = {"settings": segmenter.settings.to_dict(), **facts(run), "privacy": PRIVACY}
            write_json(output_dir / "best.json", told)

    def validate(run: TrainingRun) -> None:
        value = _mean_dice(fabric, predictor, validation)
        if best.note(run.step, value) and fabric.is_global_zero:
            save_network(segmenter, output_dir, "best", facts(run))
        logger.info("step %d: validation Dice %.4f (best %.4f)", run.step, value, best.dice)
        run.save()

    run = TrainingRun(
        fabric,
        output_dir,
        name="segmentation",
        parts={"segmenter": segmenter, "optimizer": optimizer, "best": best},
        settings=settings,
        max_steps=preset.steps(len(source.cases)),
        min_steps=preset.warmup_steps,
        max_time_s=max_time_s,
        seed=settings["seed"],
        resume=resume,
        save_every_s=save_every_s,
        log_every=log_every,
        on_save=tell,
    )
    with run:
        for step in run:
            # Before the step and not after it: a checkpoint says how many steps were made.
            if step and step % every == 0 and not best.validated(step):
                validate(run)
            rate = learning_rate(
                preset.learning_rate,
                step,
                run.progress,
                warmup_steps=preset.warmup_steps,
                decay_from=preset.decay_from,
            )
            set_learning_rate(optimizer, rate)
            images, labels, painted = source.batch(step, mine)
            loss = measure(network(images).float(), labels)
            made = descend(fabric, loss, network, optimizer)
            # Each device has its own samples, and may be the one with all the painted ones.
            here = torch.stack([loss.detach(), painted.mean().to(loss)])
            whole = fabric.all_reduce(here, reduce_op="mean")
            assert isinstance(whole, torch.Tensor)
            run.log(loss=whole[0], skipped=not made, synthetic=whole[1])
        if run.finished and not best.validated(run.step):
            validate(run)


def _mean_dice(fabric: Fabric, predictor: Predictor, cases: Sequence[TrainingCase]) -> float:
    """Mean Dice; the devices share the cases."""
    own = range(fabric.global_rank, len(cases), fabric.world_size)
    found = [dice(predictor(cases[k].q), cases[k].tumor.cpu() > 0) for k in own]
    total = torch.tensor(float(sum(found)), dtype=torch.float64, device=fabric.device)
    if fabric.world_size > 1:
        torch.distributed.all_reduce(total)
    return float(total) / len(cases)
