"""One training of Table 1: train, score, and one JSON that is whole or absent."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from table1_config import Configuration
from table1_data import Data
from table1_generators import weights_of
from table1_rows import METHODS, Method, Row

from synbt_aug import __version__
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.segmentation import CaseScore, Scores, summarize
from synbt_aug.loop.training_loop import checkpoint_path
from synbt_aug.support.files import read_json, write_json
from synbt_aug.texture.gains import CORRECTION
from synbt_aug.train.segmentation import train_segmentation
from synbt_aug.train.segmentation_predict import Predictor, score_cases
from synbt_aug.train.segmenters import load_trained


def run_row(row: Row, configuration: Configuration, data: Data, folder: Path) -> dict[str, Any]:
    """What a row's JSON holds; it is trained and scored first where it is not there.

    Args:
        row: Which training.
        configuration: What all rows share.
        data: The cases.
        folder: Of the table. The JSON is FOLDER/<network>/<method>/seed<n>.json.

    Raises:
        SynBTError: If it is there, but was painted by other settings or another version.
        Interrupted: If a signal ended the training; the same command goes on with it.
    """
    result = folder / f"{row.path}.json"
    method, work = METHODS[row.method], folder / row.path
    injection: dict[str, Any] = {"precision": configuration.painting}
    painting = painting_of(method, injection)
    if result.is_file():
        there = read_json(result, "a row of Table 1")
        if there.get("painting") != painting:
            raise SynBTError(
                f"{result} was painted with {there.get('painting')}, now it would be {painting}. "
                f"Move it and the folder beside it away to train that row again, or leave it out."
            )
        return there
    if method.needs_generator:
        assert method.generator is not None
        generators = folder / "generators"
        weights = weights_of(method.generator, configuration, data.labelled, generators)
        injection["weights"] = str(weights)
    started = time.perf_counter()  # without the generator: it is trained once for all rows
    train_segmentation(
        data.labelled,
        data.validation,
        configuration.preset,
        work,
        network=row.network,
        field_of_view=method.field_of_view,
        plan=method.plan(**injection),
        supplement=data.extra if method.further else None,
        held_out=[files.name for files in data.test.files],
        resume=checkpoint_path(work, "segmentation").exists(),
        seed=row.seed,
        log_every=min(50, configuration.preset.steps(len(data.labelled))),
        precision=configuration.precisions.get(row.network),
    )
    facts = read_json(work / "best.json", "what a row's training wrote")
    segmenter = load_trained(work).to(device())
    predictor = Predictor(segmenter, configuration.preset, method.field_of_view)
    scores = summarize(score_cases(predictor, data.test))
    # The settings in force lie beside the weights; here is what the table says.
    kept = ("network", "field_of_view", "synthetic", "generator", "seed", "best", "training")
    found = {
        "row": row.name,
        "method": row.method,
        **{key: facts[key] for key in kept},
        "painting": painting,
        "counts": {
            "labelled": len(data.labelled),
            "validation": len(data.validation),
            "test": len(data.test),
        },
        "synthetic_share": share_painted(work),
        "means": scores.to_dict()["means"],
        "cases": [case.to_dict() for case in scores.cases],
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": machine(),
        "seconds": round(time.perf_counter() - started, 1),
        "synbt-aug": __version__,
        "torch": torch.__version__,
    }
    write_json(result, found)
    return found


def painting_of(method: Method, injection: Mapping[str, Any]) -> dict[str, Any] | None:
    """What painted voxels depend on beside the generator; None where it paints nothing."""
    if not (method.needs_generator and method.texture == "diffusion"):
        return None
    settings = method.plan(**injection).settings
    return {
        "steps": settings.steps,
        "guidance": settings.guidance,
        "precision": settings.precision,
        "correction": CORRECTION,
    }


def scores_of(found: dict[str, Any]) -> Scores:
    """The scores of a row's JSON."""
    return summarize([CaseScore(**case) for case in found["cases"]])


def share_painted(folder: Path) -> float:
    """Share of all samples that were painted into, by the training's log; 0 where it is too short.

    Wishes that find no room leave their sample real.
    """
    lines = (folder / "segmentation.log.jsonl").read_text(encoding="utf-8").splitlines()
    shares = [json.loads(line)["synthetic"] for line in lines]
    return sum(shares) / len(shares) if shares else 0.0


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads used"
