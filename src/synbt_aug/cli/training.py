"""What the commands of `synbt train` share: a folder of their own, and an end that is told."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import typer

from synbt_aug.cli.console import note
from synbt_aug.support.folder_lock import refuse_locked
from synbt_aug.support.interruption import exit_code, interruptible
from synbt_aug.support.progress import clock


def check_folder(output: Path, name: str, resume: bool) -> None:
    """See that a training may start in a folder, before data is read for nothing.

    Args:
        output: Made if it is missing and nothing is to be resumed there.
        name: Of the run that is started first.
        resume: Whether it goes on with an earlier one.
    """
    from synbt_aug.loop.training_loop import refuse_other_run
    from synbt_aug.support.files import check_output_folder

    refuse_other_run(output, name, resume)
    check_output_folder(output)
    if first_rank():
        refuse_locked(output)


@contextlib.contextmanager
def told_how_to_go_on(output: Path, name: str, resume: bool) -> Iterator[None]:
    """After Ctrl-C or SIGTERM say what to type, and exit as the shell expects: 130 or 143.

    Args:
        output: Folder of the training.
        name: Of its first run.
        resume: Whether the command went on with one.
    """
    from synbt_aug.loop.training_loop import checkpoint_path

    try:
        with interruptible():
            yield
    except KeyboardInterrupt as stop:
        if first_rank():
            more = "" if resume else " with --resume"
            if checkpoint_path(output, name).exists():
                note(f"Stopped before its end. The same command{more} goes on from {output}.")
            else:
                note("Stopped before the first step. The same command starts it again.")
        raise typer.Exit(exit_code(stop)) from None


def first_rank() -> bool:
    """Whether this is the process that speaks for all of a training."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def told_weights(weights: Path, facts: Path | None = None) -> None:
    """Print where the weights are, and how many steps they took.

    Args:
        weights: The file, or the folder.
        facts: The JSON that tells the steps; None: the one beside the file.
    """
    from synbt_aug.support.files import read_json

    if first_rank():
        found = read_json(facts or weights.with_suffix(".json"), "the facts of a training")
        training = found.get("training", found.get("card", {}).get("training", {}))
        stages = [training, training.get("crops", {"steps": 0, "seconds": 0})]
        steps, time_s = (sum(stage[what] for stage in stages) for what in ("steps", "seconds"))
        note(f"Weights: {weights} ({steps} steps in {clock(time_s)})")
