"""Seconds of an iteration of nnU-Net: its own trainer, ours without tumors, at p = .5 and 1, ahead.

    python benchmarks/nnunet_overhead.py -o FOLDER                  # default plans, on a GPU
    python benchmarks/nnunet_overhead.py -o FOLDER --tiny --iterations 3 --warm-up 1 --repeats 1

Makes a few phantoms, lets nnU-Net plan and preprocess them, and trains. All trainers go in turn,
as often as --repeats says, with two workers, which keep few networks busy, and with as many as
nnU-Net likes. Warm-up iterations are not counted. Prints Markdown: the median over all iterations,
and how far a repeat's own median lies from it at most. With --max-time no training is begun that
would end after it. What was measured is printed whatever ends the rest: a training that fails is
told and left out, and a SIGTERM prints the table before it ends. Needs the extra `nnunet`.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import chain, product
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from synbt_aug.data.phantom_cohort import write_phantom_cohort
from synbt_aug.phantom import PhantomSettings

DATASET = "Dataset990_Overhead"
FIRST_SEED = 1_210_000

#: Trainers by their name in the table, with the settings that they are given.
TRAINERS: dict[str, tuple[str, dict[str, str]]] = {
    "nnUNetTrainer": ("nnUNetTrainer", {}),
    "SynBT, p = 0": ("nnUNetTrainerSynBT_p0", {}),
    "SynBT, p = .5": ("nnUNetTrainerSynBT", {"SYNBT_PROBABILITY": "0.5"}),
    "SynBT, p = 1": ("nnUNetTrainerSynBT", {"SYNBT_PROBABILITY": "1"}),
    "SynBT, p = 1, looking ahead": (
        "nnUNetTrainerSynBT",
        {"SYNBT_PROBABILITY": "1", "SYNBT_LOOKAHEAD": "true"},
    ),
    "SynBT, p = 1, looking ahead, as graphs": (
        "nnUNetTrainerSynBT",
        {"SYNBT_PROBABILITY": "1", "SYNBT_LOOKAHEAD": "true", "SYNBT_GRAPHS": "true"},
    ),
}

#: Seconds of each iteration of the trainings that were done, by trainer and workers.
Seconds = dict[tuple[str, str], list[list[float]]]


def main() -> None:
    """Prepare, train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="for data and results")
    parser.add_argument("--tiny", action="store_true", help="a plan for CPUs")
    parser.add_argument("--cases", type=int, default=6)
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--warm-up", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", nargs="+", default=["2", "all"])
    parser.add_argument("--max-time", type=float, default=float("inf"), help="in seconds")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    start = time.perf_counter()
    folder = given.output.resolve()
    for name in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{name}"] = str(folder / name)
        (folder / name).mkdir(parents=True, exist_ok=True)
    # Compiling takes a minute and a C compiler, and gives all trainers the same.
    os.environ |= {"nnUNet_compile": "f", "SYNBT_FIT_CASES": "0", "SYNBT_EXAMPLES": "0"}
    if given.device == "cuda":
        # As nnU-Net's own command does.
        torch.backends.cudnn.benchmark = True
    plans = prepare(folder, given.cases, given.tiny)
    seconds: Seconds = defaultdict(list)
    _print_when_ended(lambda: page(seconds, plans, given, start))
    longest: dict[str, float] = {}
    failed = False
    for number, workers, label in product(range(given.repeats), given.workers, _trainers(given)):
        begun = time.perf_counter()
        # Nothing is known of the first with so many workers: as long as any other.
        expected = longest.get(workers, max(longest.values(), default=0.0))
        if begun - start + expected > given.max_time:
            print(f"left out: {label}, {workers} workers, repeat {number + 1}", file=sys.stderr)
            continue
        print(f"repeat {number + 1}, {workers} workers: {label}", file=sys.stderr)
        try:
            taken = iterations(label, plans, workers, given)
            seconds[label, workers].append(taken)
        except Exception:
            failed = True
            seconds[label, workers] += []
            traceback.print_exc(limit=-4)
            print(f"failed: {label}, {workers} workers, repeat {number + 1}", file=sys.stderr)
        longest[workers] = max(longest.get(workers, 0.0), time.perf_counter() - begun)
    print(page(seconds, plans, given, start))
    sys.exit(1 if failed else 0)


def page(seconds: Seconds, plans: dict[str, Any], given: argparse.Namespace, start: float) -> str:
    """What was measured so far, as Markdown."""
    patch = plans["configurations"]["3d_fullres"]["patch_size"]
    where = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    lines = [
        "# Seconds of an iteration of nnU-Net",
        "",
        f"{where}, torch {torch.__version__}, patches of {'x'.join(map(str, patch))}, "
        f"{given.iterations} iterations a training, {os.cpu_count()} processors, "
        f"{time.perf_counter() - start:.0f} s.",
        "",
        "| trainer | workers | trainings | s | +- | over nnUNetTrainer |",
        "|---" * 6 + "|",
    ]
    for (label, workers), repeats in seconds.items():
        if not repeats:
            lines.append(f"| {label} | {workers} | 0 | failed | | |")
            continue
        middle = statistics.median(chain.from_iterable(repeats))
        spread = max(abs(statistics.median(one) - middle) for one in repeats)
        own = list(chain.from_iterable(seconds.get(("nnUNetTrainer", workers), [])))
        over = f"{middle / statistics.median(own) - 1:+.1%}" if own else ""
        lines.append(
            f"| {label} | {workers} | {len(repeats)} | {middle:.4f} | {spread:.4f} | {over} |"
        )
    return "\n".join(lines)


def _trainers(given: argparse.Namespace) -> list[str]:
    """Graphs are recorded on a GPU alone."""
    return [name for name in TRAINERS if given.device == "cuda" or "graphs" not in name]


def _print_when_ended(page_so_far: Callable[[], str]) -> None:
    """Let a SIGTERM, as `timeout` sends it, print what was measured; workers just end."""
    own = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() == own:
            # nnU-Net's log may have been led elsewhere just now.
            print(page_so_far(), file=sys.__stdout__, flush=True)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)


def prepare(folder: Path, cases: int, tiny: bool) -> dict[str, Any]:
    """The plans of a preprocessed dataset of phantoms; made where it is not there."""
    preprocessed = folder / "preprocessed" / DATASET
    shape = (96, 96, 96) if tiny else (192, 192, 128)
    if not (preprocessed / "nnUNetPlans.json").is_file():
        seeds = range(FIRST_SEED, FIRST_SEED + cases)
        raw = folder / "raw" / DATASET
        write_phantom_cohort(raw, seeds, settings=PhantomSettings(shape=shape), workers=1)
        # As the command nnUNetv2_plan_and_preprocess, which need not be on the path.
        plan = "from nnunetv2.experiment_planning import plan_and_preprocess_entrypoints as entry\n"
        plan += "if __name__ == '__main__':\n    entry.plan_and_preprocess_entry()\n"
        (folder / "plan.py").write_text(plan, encoding="utf-8")
        command = [sys.executable, str(folder / "plan.py"), "-d", str(int(DATASET[7:10]))]
        subprocess.run(
            [*command, "-c", "3d_fullres", "-npfp", "2", "-np", "2"], check=True, stdout=sys.stderr
        )
    name = "nnUNetPlans"
    if tiny:
        from synbt_aug_nnunet.tiny_plan import write_tiny_plan

        name = write_tiny_plan(preprocessed, patch=(64, 64, 64)).stem
    plans = json.loads((preprocessed / f"{name}.json").read_text(encoding="utf-8"))
    return plans | {"continue_training": False}


def iterations(
    label: str, plans: dict[str, Any], workers: str, given: argparse.Namespace
) -> list[float]:
    """Seconds of each iteration of one short training."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from synbt_aug_nnunet import trainers

    name, settings = TRAINERS[label]
    kind = nnUNetTrainer if name == "nnUNetTrainer" else getattr(trainers, name)
    folder = given.output.resolve() / "preprocessed" / DATASET
    described = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    chosen: dict[str, str | None] = {
        "SYNBT_PROBABILITY": None, "SYNBT_LOOKAHEAD": None, "SYNBT_GRAPHS": None,
        "nnUNet_n_proc_DA": None, **settings
    }  # fmt: skip
    if workers != "all":
        chosen["nnUNet_n_proc_DA"] = workers
    device = torch.device(given.device)
    # nnU-Net prints its log: the page is alone on standard output.
    with _environment(chosen), redirect_stdout(sys.stderr):
        # Fold "all": few cases are no five folds.
        # nnU-Net takes an entry out of the plans that it is given.
        trainer = kind(copy.deepcopy(plans), "3d_fullres", "all", described, device)
        # A training with other settings does not go into the same folder.
        shutil.rmtree(trainer.output_folder, ignore_errors=True)
        Path(trainer.output_folder).mkdir(parents=True)
        trainer.on_train_start()
        trainer.on_epoch_start()
        trainer.on_train_epoch_start()
        taken = []
        try:
            for _ in range(given.warm_up + given.iterations):
                start = time.perf_counter()
                trainer.train_step(next(trainer.dataloader_train))
                if device.type == "cuda":
                    torch.cuda.synchronize()
                taken.append(time.perf_counter() - start)
        finally:
            trainer.on_train_end()
    return taken[given.warm_up :]


@contextmanager
def _environment(chosen: dict[str, str | None]) -> Iterator[None]:
    """Some variables set, or unset where they are None, for a while."""
    before = {name: os.environ.get(name) for name in chosen}
    try:
        _set(chosen)
        yield
    finally:
        _set(before)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


if __name__ == "__main__":
    main()
