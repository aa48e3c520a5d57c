"""Whether what was painted may stand: told on the device, and read from there by who must know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from synbt_aug.tumor.visibility import Visibility


@dataclass(frozen=True)
class Complaint:
    """Why something that was painted may not stand.

    Args:
        reason: In words.
        noise_may_help: Whether another attempt with other noise may end otherwise.
    """

    reason: str
    noise_may_help: bool = True


class Verdict:
    """What is to be known of B things that were written, read from their device once.

    Args:
        rows: Shape `(B, 8)`: whether all of it is finite; voxels of the label; share of them that
            changed; whether any voxel of the support did; share shown, contrast and contrast to
            noise, as in `Visibility`; whether it may stand.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows

    @property
    def stands(self) -> Tensor:
        """Which may stand, boolean, shape `(B,)`, on their device."""
        return self.rows[:, -1] > 0

    @cached_property
    def _read(self) -> list[list[float]]:
        found: list[list[float]] = self.rows.tolist()
        return found

    def seen(self, k: int) -> Visibility:
        """How well tumor k shows as it was written. Waits for the device."""
        _, _, changed, _, share, contrast, ratio, _ = self._read[k]
        # Weights of some thousand voxels may sum to a hair more than 1.
        return Visibility(min(share, 1.0), contrast, ratio, changed)

    def complaint(self, k: int, kind: str, contrast_was_asked: bool) -> Complaint | None:
        """Why thing k may not stand; None where it may. Waits for the device.

        Args:
            k: Which.
            kind: What it is, as in a recipe.
            contrast_was_asked: As in its plan.
        """
        finite, labelled, _, changed, *_, stands = self._read[k]
        if stands:
            return None
        if not finite:
            return Complaint("the networks returned NaN or infinite numbers")
        if kind == "tumor":
            if labelled == 0:
                return Complaint("no free voxel is left under the tumor", noise_may_help=False)
            return Complaint(str(self.seen(k).complaint(contrast_was_asked)))
        assert not changed
        reason = f"nothing changed: this texture leaves a {kind} as it was"
        return Complaint(reason, noise_may_help=False)
