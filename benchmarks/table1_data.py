"""The cases of Table 1: phantoms made on first use, or a MAMA-MIA folder's official split."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from table1_config import (
    FIRST_EXTRA,
    FIRST_LABELLED,
    FIRST_TEST,
    FIRST_VALIDATION,
    Configuration,
)

from synbt_aug.data import Cohort, load_cohort, write_phantom_cohort
from synbt_aug.data.nnunet_raw import read_fold
from synbt_aug.errors import SynBTError
from synbt_aug.train.held_out import CasesOnDisk, case_names, drawn_apart


class Data:
    """Labelled, validation, test and extra cases.

    Args:
        configuration: With their numbers.
        folder: For phantoms: cases that are there are kept. Or, of the size `paper`, a MAMA-MIA
            folder, or what `synbt prepare mama-mia` made of it, whose fold 0 is the official split.
        workers: Processes and threads.
    """

    def __init__(self, configuration: Configuration, folder: Path, workers: int = 1) -> None:
        self.configuration, self.folder, self.workers = configuration, folder, workers
        self.real = configuration.size == "paper"
        self.prepared = self.real and (folder / "splits_final.json").is_file()

    @cached_property
    def labelled(self) -> Cohort:
        """What segmenters, banks and own generators learn from; in memory."""
        if self.prepared:
            return load_cohort(self.folder, fold=0, workers=self.workers)
        if self.real:
            return load_cohort(self.folder, split="train", workers=self.workers)
        return self._cohort("labelled", FIRST_LABELLED, self.configuration.labelled)

    @cached_property
    def validation(self) -> Cohort:
        """What the best weights are chosen by; in memory."""
        if self.real:
            if self.prepared:
                split, names = None, sorted(read_fold(self.folder, 0)[1])
            else:
                split, names = "test", self._held_out[0]
            return load_cohort(
                self.folder, split=split, names=names, first_post=True, workers=self.workers
            )
        return self._cohort("validation", FIRST_VALIDATION, self.configuration.validation)

    @cached_property
    def test(self) -> CasesOnDisk:
        """What is scored; read one at a time."""
        if self.real:
            names = None if self.prepared else self._held_out[1]
            return CasesOnDisk(self.folder, names, split="test")
        return self._on_disk("test", FIRST_TEST, self.configuration.test)

    @cached_property
    def extra(self) -> CasesOnDisk:
        """Further real cases."""
        if self.real:
            raise SynBTError("MAMA-MIA has no further cases: leave the arm `extra` out.")
        return self._on_disk("extra", FIRST_EXTRA, self.configuration.extra)

    @cached_property
    def _held_out(self) -> tuple[list[str], list[str]]:
        names = case_names(self.folder, split="test")
        return drawn_apart(names, self.configuration.validation)

    def _phantoms(self, part: str, first: int, count: int) -> tuple[Path, list[str]]:
        folder = self.folder / part
        seeds = range(first, first + count)
        write_phantom_cohort(
            folder, seeds, settings=self.configuration.phantoms, workers=self.workers
        )
        return folder, [f"phantom_{seed:07d}" for seed in seeds]

    def _cohort(self, part: str, first: int, count: int) -> Cohort:
        folder, names = self._phantoms(part, first, count)
        return load_cohort(folder, names=names, first_post=True, workers=self.workers)

    def _on_disk(self, part: str, first: int, count: int) -> CasesOnDisk:
        return CasesOnDisk(*self._phantoms(part, first, count))
