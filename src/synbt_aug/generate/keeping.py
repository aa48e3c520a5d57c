"""Keeps tumors that a segmenter finds, but not all too easily; off unless it is asked for.

A tumor that no segmenter sees is perhaps none, and one that every segmenter outlines teaches
nothing. What is kept is then no longer what the generator makes: the acceptance rate is logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synbt_aug.data.nifti import read_mask
from synbt_aug.data.raw_dataset import RawCase
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.predictors import Segmenter, predicted_file
from synbt_aug.evaluate.probe.judging import overlap_of, parts_of

#: Why a painted case is not kept.
NOT_FOUND, TOO_EASY = "not found by the segmenter", "found too easily by the segmenter"


@dataclass(frozen=True)
class KeepBy:
    """A segmenter, and how well it must find a case's new tumors.

    Args:
        segmenter: Looks at the painted images.
        tumor_label: Value of tumors in its predictions; None counts every value above 0.
        dice: Least and most Dice of the new tumors with the parts of the prediction that touch
            them, for a case to be kept.

    Raises:
        SynBTError: If the two are no range within 0 and 1.
    """

    segmenter: Segmenter
    tumor_label: int | None = None
    dice: tuple[float, float] = (0.1, 0.9)

    def __post_init__(self) -> None:
        low, high = self.dice
        if not 0 <= low < high <= 1:
            raise SynBTError(
                f"--keep-dice needs a range within 0 and 1 such as 0.1:0.9, got {low:g}:{high:g}."
            )

    def identity(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"segmenter": self.segmenter.identity(), "dice": list(self.dice)}

    def verdict(
        self, name: str, tumor: np.ndarray, case: RawCase, output: Path
    ) -> tuple[float, str]:
        """Judge one painted case.

        Args:
            name: Its id among the predictions.
            tumor: The new tumors, boolean, shape `(D, H, W)`.
            case: The source.
            output: Folder of the predictions.

        Returns:
            The Dice, and why the case is not kept; "" where it is.
        """
        path = predicted_file(output, name)
        predicted = read_mask(path, case.pre, f"The prediction of {name}", self.tumor_label)
        found = overlap_of(parts_of(predicted.numpy(), case.pre.spacing), tumor, case.real_tumor)
        low, high = self.dice
        if found.dice < low:
            return found.dice, NOT_FOUND
        return found.dice, TOO_EASY if found.dice > high else ""
