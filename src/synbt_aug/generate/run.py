"""Makes the cases of one shard: painted, perhaps judged by a segmenter, moved into place whole.

A case is done when its recipe is there, which is written last; its files are written in a hidden
folder first. One that cannot be made leaves the reasons in `left_out/`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from synbt_aug.data.layout import CaseFiles
from synbt_aug.data.raw_dataset import (
    PaintedPlaces,
    RawCase,
    RawDataset,
    read_raw_case,
    write_raw_case,
)
from synbt_aug.generate.keeping import KeepBy
from synbt_aug.generate.plan import ATTEMPTS, Candidate, CasePlan
from synbt_aug.host import Host
from synbt_aug.report.pictures import BeforeAfter
from synbt_aug.report.sheets import axial_panel
from synbt_aug.support.files import remove_unfinished, scratch_folder, write_json
from synbt_aug.support.shard import Shard
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.recipe import pack_mask, unpack_mask
from synbt_aug.tumor.request import Request

#: Cases that a segmenter judges together: starting it may take longer than looking.
_JUDGED_TOGETHER = 8


@dataclass
class GenerateRun:
    """What is made, of what, and where.

    Args:
        dataset: The sources.
        places: What of them is painted.
        plan: Which case is made of which source.
        request: What is asked of each case.
        synthesizer: What paints.
        folder: The new dataset.
        settings: All that decides what is made, JSON-ready.
        keep_by: What decides which cases are kept; None keeps all.
    """

    dataset: RawDataset
    places: PaintedPlaces
    plan: CasePlan
    request: Request
    synthesizer: TumorSynthesizer
    folder: Path
    settings: dict[str, Any]
    keep_by: KeepBy | None = None
    _last: tuple[str, RawCase, Host] | None = field(default=None, repr=False)

    def recipe(self, number: int) -> Path:
        """A case's recipe: a case with one is done."""
        return self.folder / "recipes" / f"{self.plan.name(number)}.json"

    def left_out(self, number: int) -> Path:
        """Why a case could not be made."""
        return self.folder / "left_out" / f"{self.plan.name(number)}.json"

    def settled(self, number: int) -> bool:
        """Whether nothing is left to do for a case."""
        return self.recipe(number).is_file() or self.left_out(number).is_file()

    def host(self, source: CaseFiles) -> tuple[RawCase, Host]:
        """A source, read and with its tissues; the last one is kept."""
        if self._last is None or self._last[0] != source.name:
            self._last = None  # two scans at once would be one too many
            case = read_raw_case(self.dataset, source, self.places)
            self._last = (source.name, case, Host.of(case.volume))
        return self._last[1:]


@dataclass(frozen=True)
class Made:
    """A painted case in the hidden folder.

    Args:
        candidate: What it was made of.
        recipe: Of the painting, with what was measured.
        tumor: The new tumors, as `pack_mask` packs them.
    """

    candidate: Candidate
    recipe: dict[str, Any]
    tumor: dict[str, Any]


def generate(
    run: GenerateRun,
    number: int,
    shard: Shard,
    on_case: Callable[[int, int], None] | None = None,
) -> int:
    """Make this shard's cases; those that are settled are left as they are.

    Args:
        run: What, of what, and where.
        number: Cases of all shards together.
        shard: Whose part is made.
        on_case: Called with (cases settled, all of the shard).

    Returns:
        How many cases this call made.
    """
    mine = [k for k in range(number) if shard.holds(k)]
    todo = run.plan.by_source([k for k in mine if not run.settled(k)])
    tell = on_case or (lambda done, total: None)
    done = len(mine) - len(todo)
    tell(done, len(mine))
    # Each shard has a hidden folder of its own: what is left there nobody else is at work on.
    work = run.folder / f".work-{shard.number}-of-{shard.count}"
    for part in (work, *(run.folder / n for n in ("imagesTr", "labelsTr", "recipes", "pictures"))):
        part.mkdir(parents=True, exist_ok=True)
    remove_unfinished(work)
    made = 0
    together = 1 if run.keep_by is None else _JUDGED_TOGETHER
    for start in range(0, len(todo), together):
        for _, kept in _settle(run, todo[start : start + together], work):
            made += kept
            done += 1
            tell(done, len(mine))
    work.rmdir()
    return made


def _settle(run: GenerateRun, numbers: Sequence[int], work: Path) -> Iterator[tuple[int, bool]]:
    """Bring each of some cases to its end; yields its number, and whether it was made."""
    tried: dict[int, list[str]] = {number: [] for number in numbers}
    for attempt in range(ATTEMPTS):
        waiting = [number for number in numbers if number in tried]
        if not waiting:
            return
        with scratch_folder(work) as scratch:
            made = []
            for number in waiting:
                one = _paint(run, run.plan.candidate(number, attempt), scratch)
                if isinstance(one, str):
                    tried[number].append(one)
                else:
                    made.append(one)
            for one, dice, complaint in _judged(run, made, scratch):
                number = one.candidate.number
                if complaint:
                    tried[number].append(complaint)
                    continue
                _keep(run, one, tried.pop(number), dice, scratch)
                yield number, True
    for number, reasons in tried.items():
        run.left_out(number).parent.mkdir(exist_ok=True)
        write_json(run.left_out(number), {"tried": reasons})
        yield number, False


def _paint(run: GenerateRun, candidate: Candidate, scratch: Path) -> Made | str:
    """Paint a candidate into the hidden folder, or say why nothing was painted."""
    case, host = run.host(candidate.source)
    asked = run.request
    result = run.synthesizer(
        host,
        seed=candidate.seed,
        tumors=asked.tumors,
        diameter_mm=asked.diameter_mm,
        appearance=asked.appearance,
        only_free_side=asked.only_free_side,
        multifocal=asked.multifocal,
        distractors=asked.distractors,
        curve=asked.curve,
    )
    if result.recipe is None:
        return str(result.reason)
    name = run.plan.name(candidate.number)
    (scratch / "images").mkdir(exist_ok=True)
    label = scratch / f"{name}{run.dataset.ending}"
    write_raw_case(case, result, scratch / "images", label, name)
    first = result.measured["tumors"][0]
    shown = BeforeAfter(
        title=f"{name}: {first['diameter_mm']:.0f} mm",
        before=case.volume.image[:2].numpy(),
        after=result.image[:2].numpy(),
        tumor=result.tumor.numpy(),
        support=result.support.numpy(),
        spacing=case.pre.spacing,
        affine=case.pre.affine,
    )
    axial_panel(shown).save(scratch / f"{name}.png")
    recipe = {**result.recipe, "measured": result.measured}
    return Made(candidate, recipe, pack_mask(result.tumor))


def _judged(
    run: GenerateRun, made: Sequence[Made], scratch: Path
) -> Iterator[tuple[Made, float | None, str]]:
    """Each painted case with its Dice, and why it is not kept; "" where it is."""
    if run.keep_by is None or not made:
        yield from ((one, None, "") for one in made)
        return
    output = scratch / "predictions"
    output.mkdir()
    run.keep_by.segmenter.predict(scratch / "images", output, run.folder / "segmenter.log")
    for one in made:
        case, _ = run.host(one.candidate.source)
        tumor = unpack_mask(one.tumor, case.pre.shape).numpy()
        name = run.plan.name(one.candidate.number)
        yield one, *run.keep_by.verdict(name, tumor, case, output)


def _keep(run: GenerateRun, one: Made, tried: list[str], dice: float | None, scratch: Path) -> None:
    """Move a case into place, the recipe last."""
    number = one.candidate.number
    name, ending = run.plan.name(number), run.dataset.ending
    for image in sorted((scratch / "images").glob(f"{name}_*{ending}")):
        os.replace(image, run.folder / "imagesTr" / image.name)
    os.replace(scratch / f"{name}{ending}", run.folder / "labelsTr" / f"{name}{ending}")
    os.replace(scratch / f"{name}.png", run.folder / "pictures" / f"{name}.png")
    about: dict[str, Any] = {
        "case": name,
        "number": number,
        "source": one.candidate.source.name,
        "attempt": one.candidate.attempt,
        "tried": tried,
    }
    if dice is not None:
        about["keep_by_dice"] = dice
    write_json(run.recipe(number), {"generate": about, **one.recipe})


def with_real_tumor(dataset: RawDataset, places: PaintedPlaces) -> set[str]:
    """Names of the cases whose mask holds a tumor."""
    found = set()
    for case in dataset.files.cases:
        if bool(torch.from_numpy(read_raw_case(dataset, case, places).real_tumor).any()):
            found.add(case.name)
    return found
