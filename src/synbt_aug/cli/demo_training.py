"""The demo's second half: nnU-Net trained on phantoms with `-tr nnUNetTrainerSynBT`.

Phantoms as an nnU-Net dataset, planning, a training of a minute or two, predictions of held-out
phantoms, their scores. nnU-Net runs by its own commands, with folders of its own under the demo's:
what is in the user's `nnUNet_*` and `SYNBT_*` variables is not read, and nothing there is written.
A network of this size and training shows that the parts work together, and nothing about a gain.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synbt_aug import __version__
from synbt_aug.cli.console import console, counting, note
from synbt_aug.cli.nnunet_log import TrainingCurves, read_curves
from synbt_aug.cli.steps import Steps, run_program
from synbt_aug.errors import SynBTError

if TYPE_CHECKING:
    from synbt_aug.evaluate.segmentation import Scores
    from synbt_aug.phantom import PhantomSettings

INSTALL = "pip install 'synbt-aug[nnunet,eval]'"
DATASET, TRAINER, PLANS = "Dataset001_Phantoms", "nnUNetTrainerSynBT", "nnUNetPlansTiny"
_MODEL = f"{DATASET}/{TRAINER}__{PLANS}__3d_fullres"
# Phantoms of testing, far from those that the demo paints into.
_FIRST_TRAINING, _FIRST_HELD_OUT = 1_100_000, 1_200_000
_PICTURES = 4


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Args:
        cases: Phantoms to train with; nnU-Net's fold 0 validates on a fifth of them.
        held_out: Phantoms to predict and score.
        shape: Voxels of a phantom along X, Y, Z, of 1 mm.
        tumor_mm: Diameter of its tumor, about; small, to leave room for another one.
        patch: Voxels of a training patch along Z, Y, X.
        epochs, iterations, val_iterations: Of the training; the last two an epoch.
        probability: Of injecting into a sample.
    """

    cases: int = 10
    held_out: int = 4
    shape: tuple[int, int, int] = (96, 96, 80)
    tumor_mm: float = 18.0
    patch: tuple[int, int, int] = (64, 64, 64)
    epochs: int = 8
    # After 12 an epoch a network in two had not begun to find tumors; an iteration without an
    # injection takes half a CPU-second, one with takes three more.
    iterations: int = 25
    val_iterations: int = 2
    probability: float = 0.1

    def settings(self, weights: str) -> dict[str, str]:
        """As variables, for the trainer."""
        values: dict[str, object] = {
            "SYNBT_NUM_EPOCHS": self.epochs,
            "SYNBT_NUM_ITERATIONS_PER_EPOCH": self.iterations,
            "SYNBT_NUM_VAL_ITERATIONS_PER_EPOCH": self.val_iterations,
            "SYNBT_PROBABILITY": self.probability,
            "SYNBT_EXAMPLES": _PICTURES,
        }
        if weights != "shipped":
            from synbt_aug.weights import weights_folder

            values["SYNBT_WEIGHTS"] = str(weights_folder(weights).resolve())
        return {name: str(value) for name, value in values.items()}


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Args:
        folder: Where everything lies.
        plan: How much was done.
        device: Of nnU-Net.
        folders: nnU-Net's three variables.
        settings: The trainer's variables.
        commands: nnU-Net's commands as they were run.
        curves: What the training's log says.
        scores: Of the held-out phantoms.
        seconds: By step.
        kept: Steps that an earlier run had completed.
    """

    folder: Path
    plan: Plan
    device: str
    folders: Mapping[str, str]
    settings: Mapping[str, str]
    commands: Sequence[Sequence[str]]
    curves: TrainingCurves
    scores: Scores
    seconds: Mapping[str, float]
    kept: Sequence[str]

    @property
    def held_out(self) -> Path:
        """The raw dataset, with the held-out phantoms in imagesTs and labelsTs."""
        return self.folder / "raw" / DATASET

    @property
    def predictions(self) -> Path:
        """The predicted masks."""
        return self.folder / "predictions"

    @property
    def examples(self) -> list[Path]:
        """Pictures of training patches before and after."""
        return sorted((self.folder / "results" / _MODEL / "fold_0/synbt_examples").glob("*.png"))


def missing_packages() -> list[str]:
    """Packages that this part needs and that are not installed."""
    return [name for name in ("nnunetv2", "medpy") if importlib.util.find_spec(name) is None]


def train_on_phantoms(
    folder: Path, *, device: str, weights: str = "shipped", seed: int = 0, plan: Plan | None = None
) -> Trained:
    """Make phantoms, train, predict, score; steps that are complete there are kept.

    Args:
        folder: Of this part alone; its content is ours to replace.
        device: cpu, cuda, cuda:1, mps.
        weights: "shipped", or a weights folder.
        seed: Another seed takes other phantoms.
        plan: How much to do.

    Raises:
        StepFailed: If a command of nnU-Net's fails.
    """
    from synbt_aug.evaluate.segmentation import score_folders
    from synbt_aug_nnunet.tiny_plan import write_tiny_plan

    plan, folder = plan or Plan(), folder.resolve()
    folders = {f"nnUNet_{what}": str(folder / what) for what in ("raw", "preprocessed", "results")}
    raw, preprocessed, results = (Path(place) for place in folders.values())
    settings = plan.settings(weights)
    place, visible = nnunet_device(device, os.environ)
    workers = max(1, min(4, (os.cpu_count() or 1) // 2))
    environment = clean_environment(os.environ) | folders | settings | visible
    environment |= {
        "nnUNet_n_proc_DA": str(workers),
        "nnUNet_def_n_proc": str(workers),
        # Compiling takes longer than the training.
        "nnUNet_compile": "f",
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "Agg",
    }
    predictions = folder / "predictions"
    planning, training, predicting = commands(raw / DATASET, predictions, place, workers)
    steps = Steps(folder / "steps", {"synbt-aug": __version__, "seed": seed})
    phantoms = {"cases": plan.cases, "held out": plan.held_out, "shape": list(plan.shape)}
    phantoms["tumor_mm"] = plan.tumor_mm

    def make() -> None:
        with counting("Phantoms for nnU-Net") as tell:
            write_phantoms(raw / DATASET, plan, seed, tell)

    def prepare() -> None:
        for one in (raw, preprocessed, results):
            one.mkdir(parents=True, exist_ok=True)
        with console.status("nnU-Net plans and preprocesses"):
            run_program(planning, environment, folder / "logs/plan.log", what="nnU-Net's planning")
        write_tiny_plan(preprocessed / DATASET, name=PLANS, patch=plan.patch)

    def train() -> None:
        seen = TrainingCurves()
        with counting("Training, epochs") as tell:
            tell(0, plan.epochs)

            def on_line(line: str) -> None:
                seen.read(line)
                tell(len(seen.dice), plan.epochs)

            log = folder / "logs/train.log"
            run_program(training, environment, log, what="The training", on_line=on_line)

    def predict() -> None:
        with console.status("nnU-Net predicts the held-out phantoms"):
            log = folder / "logs/predict.log"
            run_program(predicting, environment, log, what="The prediction")

    def report(name: str, done: bool) -> None:
        note(
            f"{name.capitalize()}: "
            + (f"{steps.seconds[name]:.0f} s." if done else "kept from an earlier run.")
        )

    for name, stamp, work, makes in (
        ("phantoms", phantoms, make, (raw,)),
        ("planning", {"command": planning, "patch": list(plan.patch)}, prepare, (preprocessed,)),
        ("training", {"command": training, "settings": settings}, train, (results,)),
        ("prediction", {"command": predicting}, predict, (predictions,)),
    ):
        report(name, steps.do(name, stamp, work, makes))
    curves = read_curves((folder / "logs/train.log").read_text(encoding="utf-8"))
    scores = score_folders(predictions, raw / DATASET / "labelsTs")
    return Trained(
        folder, plan, place, folders, settings, (planning, training, predicting), curves, scores,
        steps.seconds, tuple(steps.kept),
    )  # fmt: skip


def commands(
    dataset: Path, predictions: Path, device: str, workers: int
) -> tuple[list[str], list[str], list[str]]:
    """nnU-Net's commands as one would type them: planning, training, prediction."""
    number, what = str(int(DATASET[7:10])), "3d_fullres"
    model = ["-tr", TRAINER, "-p", PLANS, "-device", device]
    few = str(workers)
    planning = ["nnUNetv2_plan_and_preprocess", "-d", number, "-c", what]
    planning += ["-npfp", few, "-np", few]
    training = ["nnUNetv2_train", number, what, "0", *model]
    predicting = ["nnUNetv2_predict", "-d", number, "-c", what, "-f", "0", *model]
    predicting += ["-i", str(dataset / "imagesTs"), "-o", str(predictions)]
    # Without mirroring: an eighth of the time.
    return planning, training, [*predicting, "-npp", "1", "-nps", "1", "--disable_tta"]


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the user's settings for nnU-Net and SynBT: the demo is the same for everybody."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(("nnUNet_", "SYNBT_"))
    }


def nnunet_device(device: str, environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """nnU-Net's name for a device, and what to set so that it takes the right GPU.

    Args:
        device: cpu, mps, cuda or cuda:1.
        environment: Where CUDA_VISIBLE_DEVICES may already be.

    Raises:
        SynBTError: If nnU-Net does not train there.
    """
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda", "mps"):
        raise SynBTError(f"nnU-Net trains on cpu, cuda or mps, not on {device}. Use --quick.")
    if kind != "cuda" or not number:
        return kind, {}
    visible = [name for name in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    chosen = visible[int(number)] if int(number) < len(visible) else number
    return kind, {"CUDA_VISIBLE_DEVICES": chosen}


def write_phantoms(
    dataset: Path, plan: Plan, seed: int, tell: Callable[[int, int], None] | None = None
) -> None:
    """An nnU-Net dataset of phantoms, held-out ones in imagesTs and labelsTs.

    Args:
        dataset: Its folder, empty or not there.
        plan: How many, how large.
        seed: Another seed takes other phantoms.
        tell: Called with (phantoms done, all phantoms).
    """
    from synbt_aug.data.phantom_cohort import write_phantom_cohort

    settings = _phantom_settings(plan)
    total = plan.cases + plan.held_out
    held_out = dataset.with_name("held_out")

    def partly(before: int) -> Callable[[int, int], None] | None:
        return None if tell is None else lambda done, _: tell(before + done, total)

    # One process: a phantom of this size takes less time than starting another one.
    for place, first, number, before in (
        (dataset, _FIRST_TRAINING, plan.cases, 0),
        (held_out, _FIRST_HELD_OUT, plan.held_out, plan.cases),
    ):
        seeds = range(first + 1000 * seed, first + 1000 * seed + number)
        write_phantom_cohort(place, seeds, settings=settings, workers=1, on_case=partly(before))
    for what in ("images", "labels"):
        os.replace(held_out / f"{what}Tr", dataset / f"{what}Ts")


def _phantom_settings(plan: Plan) -> PhantomSettings:
    from synbt_aug.phantom import PhantomSettings

    return PhantomSettings(shape=plan.shape, diameter_mm=plan.tumor_mm)


def as_typed(trained: Trained) -> list[str]:
    """The commands of the run, for a terminal."""
    settings = {**trained.folders, **trained.settings}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    dataset = Path(trained.folders["nnUNet_preprocessed"]) / DATASET
    tiny = (
        "from synbt_aug_nnunet.tiny_plan import write_tiny_plan; "
        f"write_tiny_plan({json.dumps(str(dataset))}, patch={trained.plan.patch})"
    )
    planning, *others = trained.commands
    for command in (planning, ["python", "-c", tiny], *others):
        lines += _broken([shlex.quote(word) for word in command])
    return lines


def _broken(words: Sequence[str], width: int = 96) -> list[str]:
    """A command over several lines, as a shell reads them; never within a word."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < width:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(f"    {word}")
    return lines


def figures(trained: Trained) -> dict[str, Any]:
    """The few figures of this part for the head of the report."""
    dice = trained.scores.means["dice"]
    return {
        "tumors injected while training": trained.curves.things["tumors"],
        "Dice of held-out phantoms (plumbing, not a benchmark)": "-"
        if dice is None
        else f"{dice.mean:.2f}",
    }
