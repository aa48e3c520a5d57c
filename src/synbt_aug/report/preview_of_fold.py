"""What a training would inject: one panel a case, by the settings in force for the dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from synbt_aug.data.bank import bank_of_dataset
from synbt_aug.data.raw_dataset import read_raw_case, read_raw_dataset
from synbt_aug.data.sample import part_of_fold, sample_of
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.report.previewing import Ask, Panel, Tell, Waiting, decide_panels, paint_panels
from synbt_aug.settings.dataset import places_of, settings_for, unpainted_line
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.support.memory import give_back_memory
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.tumor.bank import TumorBank


def panels_of_dataset(
    folder: Path,
    fold: int | None,
    number: int,
    seed: int,
    asked: Mapping[str, Any],
    device: str,
    *,
    on_shape: Tell = lambda done, total: None,
    on_case: Tell = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Panel]:
    """Decide and paint a panel of each of several cases.

    Args:
        folder: An nnU-Net raw dataset, phantom cohort or MAMA-MIA folder.
        fold: Only training cases of this fold, with tumor shapes of them all, as in nnU-Net's
            trainer, unless a bank is set; None takes all cases and the weights' own bank.
        number: How many cases, at most.
        seed: Of the draw of cases, and of the first one's tumor; the others' follow.
        asked: Settings that have the last word.
        device: Where the networks run.
        on_shape: Called with (cases read for their tumors' shapes, all of them).
        on_case: Called with (panels painted, all panels).
        say: Takes a line about channels that are not painted.

    Raises:
        SynBTError: If a setting is wrong, a case cannot be read, or the fold is not there.
    """
    dataset = read_raw_dataset(folder)
    settings = settings_for(dataset.described, InjectionSettings, asked)
    if (line := unpainted_line(dataset.described, settings)) is not None:
        say(line)
    if settings.probability == 0:
        raise SynBTError("Nothing would be injected: probability is 0. Set SYNBT_PROBABILITY.")
    cases = sample_of(part_of_fold(dataset.files, fold, "train"), number, seed=seed)
    segmenter = load_segmenter(settings.tissue, settings.precision, device)
    bank: TumorBank | str | Path | None = settings.bank
    if bank is None and fold is not None:
        # As the trainer does: no shape of a validation case.
        bank = bank_of_dataset(folder, fold=fold, segmenter=segmenter, on_case=on_shape).bank
    synthesizer = TumorSynthesizer(
        settings.weights,
        bank=bank,
        texture=settings.texture,
        device=device,
        steps=settings.steps,
        guidance=settings.guidance,
        precision=settings.precision,
        tissue=segmenter,
    )
    waiting: list[Waiting] = []
    for offset, files in enumerate(cases):
        case = read_raw_case(dataset, files, places_of(settings))
        ask = Ask(case.name, seed + offset)
        host = Host.of(case.volume)
        waiting += decide_panels(synthesizer, host, [ask], settings.request(), case.pre.affine)
        del case, host
        give_back_memory()
    return paint_panels(synthesizer, waiting, on_case)
