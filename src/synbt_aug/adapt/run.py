"""A run from cases to weights: bank, decoder, denoiser; each measured, and kept if it is better.

A killed run goes on where it was: the bank, the figures and the checkpoints are in its folder, and
each figure is measured again unless it is of the very networks and bank that it is asked of.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from synbt_aug.adapt.card import card_of
from synbt_aug.adapt.cases import hold_back, refuse_too_few, with_tumor
from synbt_aug.adapt.figures import Figures, measure_generator
from synbt_aug.adapt.folders import Folders
from synbt_aug.adapt.keeping import EVEN, LOST, WON, is_kept, verdict
from synbt_aug.adapt.page import write_report
from synbt_aug.adapt.parts import Parts
from synbt_aug.adapt.presets import parted
from synbt_aug.adapt.sheet import draw_sheet, sheet_rows
from synbt_aug.data import load_cohort, read_dataset
from synbt_aug.data.cohort import Cohort, select
from synbt_aug.data.layout import DatasetFiles
from synbt_aug.data.phantom_cohort import generator_of
from synbt_aug.data.raw_dataset import only_labelled
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate import read_fit_case
from synbt_aug.support.case_ids import case_keys
from synbt_aug.support.files import read_json, write_json
from synbt_aug.support.folder_lock import FolderLock
from synbt_aug.support.progress import clock
from synbt_aug.support.run_settings import keep_settings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.train.assemble import assemble_weights
from synbt_aug.train.identity import identity_of_cases, identity_of_network
from synbt_aug.weights import Weights

#: Gives a function of (done, total) that shows progress while it is open.
Counting = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True)
class AdaptSettings:
    """What is asked of a run.

    Args:
        dataset: An nnU-Net raw dataset, a MAMA-MIA folder or a phantom cohort.
        fold: Only training cases of this fold of nnU-Net are read; None: all training cases.
        weights: What is started from.
        max_time_s: Seconds of training steps, of both networks together.
        licence: Of what is made, in words.
        device: "cpu" or "cuda".
        seed: Of everything drawn.
    """

    dataset: Path
    fold: int | None
    weights: str
    max_time_s: float
    licence: str | None = None
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True)
class Adapted:
    """What came of a run.

    Args:
        weights: The weights folder.
        page: The report.
        figures: Name of a generator -> its figures: the start, then with each part.
    """

    weights: Path
    page: Path
    figures: Mapping[str, Figures]


def files_of(settings: AdaptSettings) -> DatasetFiles:
    """The labelled training cases, before any of them is read.

    A dataset's own test part (MAMA-MIA's official split) is not among them.

    Raises:
        SynBTError: If the dataset or the fold is not there, or too few cases have a mask.
    """
    files = read_dataset(settings.dataset)
    if settings.fold is not None and files.layout != "nnunet":
        raise SynBTError(
            f"--fold names a fold of nnU-Net's, and {settings.dataset} is a MAMA-MIA folder. Leave "
            f"it out, or make an nnU-Net dataset of it first: synbt prepare mama-mia."
        )
    files = select(files, fold=settings.fold)
    # Where the dataset has no split of its own, no case says which part it is of.
    parts = {case.name: case.split for case in files.cases}
    train = [name for name, part in parts.items() if part == "train"]
    labelled = only_labelled(files, train or parts)
    refuse_too_few(len(labelled.cases), "cases with a tumor mask")
    return labelled


def adapt(
    settings: AdaptSettings,
    folders: Folders,
    files: DatasetFiles,
    base: Weights,
    say: Callable[[str], None],
    counting: Counting,
) -> Adapted:
    """Do all of it, or the rest of it.

    Args:
        settings: What is asked.
        folders: Opened.
        files: Of `files_of`.
        base: The weights that are started from.
        say: Takes lines about what is done.
        counting: Shows progress.

    Raises:
        SynBTError: If there are too few cases with tumors, the run goes on with other settings,
            or a training fails.
        Interrupted: After Ctrl-C or SIGTERM; what was done is kept.
    """
    lock = FolderLock(folders.run)
    try:
        return _Run(settings, folders, files, base, say, counting).whole()
    finally:
        lock.release()


class _Candidate(NamedTuple):
    weights: Weights
    figures: Figures


class _Run:
    """A run's cases and parts, and what was said of them so far."""

    def __init__(
        self,
        settings: AdaptSettings,
        folders: Folders,
        files: DatasetFiles,
        base: Weights,
        say: Callable[[str], None],
        counting: Counting,
    ) -> None:
        self.settings, self.folders, self.base = settings, folders, base
        self.say, self.counting = say, counting
        with counting("Reading cases") as on_case:
            names = [case.name for case in files.cases]
            # The first post-contrast scan: that is what is painted.
            cohort = load_cohort(settings.dataset, names=names, first_post=True, on_case=on_case)
        say(cohort.describe())
        for line in cohort.skipped[:5]:
            say(f"  left out {line}")
        _, self.held = hold_back(with_tumor(cohort))
        self.held_files = files.only(frozenset(self.held)).cases
        learned = tuple(case for case in cohort if case.name not in self.held)
        self.parts = Parts(
            settings.dataset,
            Cohort(cohort.folder, learned),
            folders.run,
            settings.weights,
            base,
            parted(settings.max_time_s),
            settings.device,
            settings.seed,
        )
        self.segmenter = load_segmenter(device=settings.device)
        self.figures: dict[str, Figures] = {}
        self.said: list[str] = []
        self.kept: dict[str, bool] = {}
        shared = {
            "cases": identity_of_cases(cohort),
            "fold": settings.fold,
            "weights": base.digest,
            "seed": settings.seed,
        }
        keep_settings(folders.settings, shared, "a run of synbt adapt")

    def whole(self) -> Adapted:
        """Everything, in order."""
        parts, held, times = self.parts, len(self.held), self.parts.times
        self.say(
            f"{len(parts.cases)} cases to learn from, {held} held back to measure on. Training "
            f"steps: decoder {clock(times.decoder)}, denoiser {clock(times.denoiser)} (encoder and "
            f"codebook stay as they are); reading, the bank and four measurements of {held} cases "
            f"come on top."
        )
        now = self._measured("start", self.base)
        with self.counting("Tumor bank") as on_case:
            bank = parts.bank(self.segmenter, on_case)
        self.say(f"Tumor bank: {len(bank)} shapes of your own.")
        now = self._judged("bank", now, replace(now.weights, bank=bank))
        now = self._judged("decoder", now, replace(now.weights, autoencoder=parts.decoder()))
        now = self._judged("denoiser", now, replace(now.weights, denoiser=parts.denoiser()))
        if not any(self.kept.values()):
            # Whoever asks for weights of these cases gets their shapes, and is told what they cost.
            now = _Candidate(replace(self.base, bank=bank), self.figures["own bank"])
            self.kept["bank"] = True
            self._tell("Nothing got better; your own bank is in the folder all the same.")
        if not (self.kept["decoder"] or self.kept["denoiser"]):
            self._tell(
                "Neither network got better: the folder holds those that were started from, with "
                "a bank of your own cases."
            )
        return self._written(now)

    def _tell(self, sentence: str) -> None:
        self.said.append(sentence)
        self.say(sentence)

    def _judged(self, part: str, now: _Candidate, changed: Weights) -> _Candidate:
        """What goes on: with the part if it is kept, else without."""
        after = self._measured(f"own {part}", changed)
        found = verdict(part, now.figures.values, after.figures.values)
        self.kept[part] = is_kept(part, found)
        words = {WON: "better", EVEN: "neither better nor worse", LOST: "worse"}[found]
        kept = "kept" if self.kept[part] else "not kept"
        self._tell(f"Own {part}: {words} on the cases held back, {kept}.")
        return after if self.kept[part] else now

    def _measured(self, name: str, weights: Weights) -> _Candidate:
        """Figures of a generator on the cases held back, measured once."""
        path = self.folders.run / f"figures-{name.replace(' ', '-')}.json"
        stamp = {
            "autoencoder": identity_of_network(weights.autoencoder),
            "denoiser": identity_of_network(weights.denoiser),
            "bank": weights.bank.digest,
            "held_back": case_keys(self.held),
        }
        if path.is_file() and (found := read_json(path, "measured figures")).get("of") == stamp:
            self.figures[name] = Figures.from_dict(found)
        else:
            with self.counting(f"Measuring: {name}") as tell:
                self.figures[name] = measure_generator(
                    lambda: map(read_fit_case, self.held_files),
                    len(self.held),
                    self._synthesizer(weights),
                    tell,
                )
            write_json(path, {"of": stamp, **self.figures[name].to_dict()})
        return _Candidate(weights, self.figures[name])

    def _synthesizer(self, weights: Weights) -> TumorSynthesizer:
        return TumorSynthesizer(weights, device=self.settings.device, tissue=self.segmenter)

    def _written(self, now: _Candidate) -> Adapted:
        """The weights folder, its report, and no checkpoints any more."""
        names = [case.name for case in self.parts.cases]
        card = card_of(
            self.base,
            names,
            self.held,
            fold=self.settings.fold,
            licence=self.settings.licence,
            kept=self.kept,
            before=self.figures["start"],
            after=now.figures,
            generator=generator_of(self.settings.dataset),
        )
        generators = self._synthesizer(self.base), self._synthesizer(now.weights)
        rows = sheet_rows(map(read_fit_case, self.held_files), *generators)
        sheet = draw_sheet(rows) if rows else None
        facts = {k: v for k, v in card["adapted"].items() if k not in ("before", "after")}
        page = write_report(self.folders.run, self.said, self.figures, sheet, facts)
        start = self.settings.weights
        assemble_weights(
            self.folders.run / "decoder" if self.kept["decoder"] else start,
            self.folders.run / "denoiser" if self.kept["denoiser"] else start,
            now.weights.bank,
            self.folders.weights,
            card=card,
        )
        for name in ("decoder", "denoiser"):
            shutil.rmtree(self.folders.run / name, ignore_errors=True)
        return Adapted(self.folders.weights, page, self.figures)
