"""MAMA-MIA's download as an nnU-Net raw dataset: 1 mm, pre and one post phase, the official split.

`prepare_plan` says what is made of whom, `prepared_case` makes one case, `prepared_index` lists
them; here the work is spread over processes. It can be stopped anywhere: what is recorded is not
made again, what could not be used is tried again. A damaged file costs its case and is told in the
summary; a full disk ends the run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from synbt_aug import __version__
from synbt_aug.data.layout import refuse_foreign_dataset
from synbt_aug.data.mama_mia import SPLITS_FILE, read_mama_mia, read_splits
from synbt_aug.data.parts import parts_of
from synbt_aug.data.prepare_plan import PrepareSettings, Skipped, plan_cases
from synbt_aug.data.prepared_case import (
    PlannedCase,
    is_prepared,
    prepare_case,
    records_of,
    remove_case,
)
from synbt_aug.data.prepared_index import Counts, write_index
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import check_output_folder, read_json, remove_unfinished, write_json
from synbt_aug.support.workers import each_done

# What every case of a folder shares; a folder made with other settings is not added to.
SETTINGS_FILE = "prepare.json"


@dataclass(frozen=True)
class Prepared:
    """What a prepared folder holds.

    Args:
        folder: The nnU-Net raw dataset.
        cases: Part -> centre -> cases there.
        skipped: The cases left out, by name.
        made: How many this run made.
        kept: How many were there before it.
    """

    folder: Path
    cases: Counts
    skipped: tuple[Skipped, ...]
    made: int
    kept: int


def prepare_mama_mia(
    source: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    settings: PrepareSettings | None = None,
    *,
    workers: int | None = None,
    on_case: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Write a MAMA-MIA download as an nnU-Net raw dataset at 1 mm.

    Args:
        source: The download: `images`, `segmentations`, `train_test_splits.csv`.
        folder: Where to; cases that are complete there are kept.
        settings: Shared by all cases.
        workers: Processes, of one thread and 1 to 2 GB each; None takes one a core.
        on_case: Called with (cases done, all cases) at the start and after each case.

    Raises:
        SynBTError: If the download or its split is not there, no case can be used, or the folder
            cannot be written to or holds something else.
    """
    settings = settings or PrepareSettings()
    splits = read_splits(source)
    files = read_mama_mia(source, masks=settings.masks)
    if not splits:
        raise SynBTError(
            f"The official split needs {SPLITS_FILE} with the columns train_split and test_split, "
            f"but {source} has none. Copy it from the download to {Path(source) / SPLITS_FILE}."
        )
    parts = parts_of(splits, validation=settings.validation, seed=settings.seed)
    folder = check_output_folder(folder)
    _check_settings(folder, settings, splits)
    remove_unfinished(folder)
    planned, skipped = plan_cases(files, parts, settings)
    todo = [case for case in planned if not is_prepared(case, folder)]
    for case in todo:
        remove_case(case.name, folder)
    done = kept = len(planned) - len(todo)
    tell = on_case or (lambda done, total: None)
    tell(done, len(planned))
    failed = 0
    try:
        with closing(each_done(partial(_reason, folder), todo, workers)) as outcomes:
            for case, reason in outcomes:
                if reason is not None:
                    failed += 1
                    skipped.append(Skipped(case.name, case.part, reason))
                done += 1
                tell(done, len(planned))
    finally:
        remove_unfinished(folder)
    # A case that was made stays, whatever has become of its source.
    there = {
        name for one in records_of(folder) for name in (one["case"], one["made_from"]["patient"])
    }
    skipped = sorted((one for one in skipped if one.case not in there), key=lambda one: one.case)
    training = [name.upper() for name, part in parts.items() if part == "training"]
    counts = write_index(folder, settings, training, skipped)
    if not any(counts.values()):
        raise SynBTError(
            f"No case of {source} can be used. The first one: {skipped[0].case}: "
            f"{skipped[0].reason}"
        )
    return Prepared(folder, counts, tuple(skipped), made=len(todo) - failed, kept=kept)


def _reason(folder: Path, case: PlannedCase) -> str | None:
    """Prepare a case; where its files cannot be used, say why."""
    try:
        prepare_case(case, folder)
    except ValueError as error:
        return " ".join(str(error).split())
    return None


def _check_settings(folder: Path, settings: PrepareSettings, splits: dict[str, str]) -> None:
    path = folder / SETTINGS_FILE
    listed = "\n".join(f"{name} {part}" for name, part in sorted(splits.items()))
    wanted = {
        **asdict(settings),
        SPLITS_FILE: hashlib.sha256(listed.encode()).hexdigest()[:8],
        "version": __version__,
    }
    if not path.is_file():
        refuse_foreign_dataset(folder, "The prepared dataset")
        write_json(path, wanted)
        return
    found = read_json(path, "the settings of a prepared dataset")
    if found != wanted:
        differ = sorted(key for key in {**found, **wanted} if found.get(key) != wanted.get(key))
        told = [f"{key} {found.get(key)}, now {wanted.get(key)}" for key in differ]
        raise SynBTError(
            f"{folder} was prepared with other settings ({'; '.join(told)}). A dataset has one: "
            f"name another folder with -o, or remove this one."
        )
