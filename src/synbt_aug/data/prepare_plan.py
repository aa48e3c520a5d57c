"""What is made of MAMA-MIA's download: which phases of whom, for which part, and what cannot be.

Training takes a random post phase, or each; validation and test take the first. Names are written
in capitals, however the download spells them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from synbt_aug.data.layout import CaseFiles, DatasetFiles
from synbt_aug.data.mama_mia import SPLITS_FILE
from synbt_aug.data.parts import draw
from synbt_aug.data.prepared_case import PlannedCase
from synbt_aug.errors import SynBTError

PHASES = ("draw", "all")


@dataclass(frozen=True)
class PrepareSettings:
    """How MAMA-MIA becomes a dataset.

    Args:
        phases: Of training: "draw" takes one random post phase a patient, as the paper does;
            "all" makes one case of each.
        validation: How many of the official test cases validate; the paper's 100.
        folds: Further folds after the official one (fold 0): cross-validation among the training
            patients.
        masks: The folder of masks inside `segmentations`.
        seed: Of the phases, of the validation cases and of the folds.
    """

    phases: str = "draw"
    validation: int = 100
    folds: int = 5
    masks: str = "expert"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.phases not in PHASES:
            raise SynBTError(f"--phases is one of {', '.join(PHASES)}, not {self.phases!r}.")
        if self.folds == 1 or self.folds < 0:
            raise SynBTError(f"--folds is 0 for none, or at least 2, not {self.folds}.")


@dataclass(frozen=True)
class Skipped:
    """A case that is not there, and why."""

    case: str
    part: str | None
    reason: str


def plan_cases(
    files: DatasetFiles, parts: dict[str, str], settings: PrepareSettings
) -> tuple[list[PlannedCase], list[Skipped]]:
    """What is to be made of a download, and what cannot be.

    Args:
        files: The download.
        parts: Lower-case id -> "training", "validation" or "test".
        settings: Say which phases.
    """
    planned: dict[str, PlannedCase] = {}
    skipped = []
    # "ID: why", of cases without contrast.
    unusable = dict(line.split(": ", 1) for line in files.skipped)
    for name, reason in unusable.items():
        skipped.append(Skipped(name.upper(), parts.get(name.lower()), reason))
    seen = {name.lower() for name in unusable}
    for case in files.cases:
        patient, part = case.name.upper(), parts.get(case.name.lower())
        if case.name.lower() in seen:
            # As it is spelled: under the patient's name it would pass for the case that is there.
            skipped.append(Skipped(case.name, part, f"a second folder of {patient}"))
            continue
        chosen = _phases(case, part, settings)
        if part is None:
            reason = f"not in {SPLITS_FILE}"
        elif case.label is None:
            reason = f"no mask in segmentations/{settings.masks}"
        elif not chosen:
            reason = "no phase 0001, which validation and test take"
        else:
            for phase, post in chosen.items():
                one_of_many = part == "training" and settings.phases == "all"
                name = f"{patient}_phase{phase}" if one_of_many else patient
                planned[name] = PlannedCase(name, patient, part, phase, case.pre, post, case.label)
            reason = ""
        if reason:
            skipped.append(Skipped(patient, part, reason))
        seen.add(case.name.lower())
    for name in sorted(set(parts) - seen):
        skipped.append(Skipped(name.upper(), parts[name], "no folder in images"))
    return list(planned.values()), skipped


def _phases(case: CaseFiles, part: str | None, settings: PrepareSettings) -> dict[int, Path]:
    """The post phases to be used, by number."""
    numbered = {}
    for path in case.posts:
        match = re.search(r"_(\d{4})\.nii", path.name, re.IGNORECASE)
        assert match is not None
        numbered[int(match.group(1))] = path
    if part != "training":
        return {number: path for number, path in numbered.items() if number == 1}
    if settings.phases == "all":
        return numbered
    numbers = sorted(numbered)
    number = numbers[draw(settings.seed, f"phase {case.name.upper()}") % len(numbers)]
    return {number: numbered[number]}
