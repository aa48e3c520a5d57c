"""What a texture is asked to paint: a batch of windows of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from synbt_aug.mask import BLEND_HALF_WIDTH_MM, signed_distance_mm
from synbt_aug.tumor.appearance import APPEARANCE_INPUTS, Appearance


@dataclass(frozen=True)
class PaintingJob:
    """B windows to paint at once.

    Args:
        q: Mapped intensities at 1 mm, shape `(B, 2, n, n, n)`, float32.
        mask: The tumors to paint, boolean, shape `(B, n, n, n)`; all False paints "nothing":
            ordinary tissue.
        hole: What may change, boolean, shape `(B, n, n, n)`; holds the mask.
        known: Tissue that the hole is filled from, boolean, shape `(B, n, n, n)`.
        appearance: One per window; attributes left None are the network's choice.
        noise_seeds: One per window; the noise of one tumor does not depend on its batch.
        removes: One per window: whether its hole is a tumor to be painted away. Empty: none is.
        signal: For a texture that `needs_signal`: a real tumor's signal by `intensity.to_linear`,
            posed as the mask is, shape `(B, 2, n, n, n)`; anything where the mask is empty.
        distance: Signed distance to the surface of what will be labelled, in mm, shape
            `(B, n, n, n)`; the mask reaches 1 mm beyond it. None: taken from the mask.
    """

    q: Tensor
    mask: Tensor
    hole: Tensor
    known: Tensor
    appearance: tuple[Appearance, ...]
    noise_seeds: tuple[int, ...]
    removes: tuple[bool, ...] = ()
    signal: Tensor | None = None
    distance: Tensor | None = None

    def __len__(self) -> int:
        return int(self.q.shape[0])

    @property
    def side(self) -> int:
        """Voxels along each side of the windows."""
        return int(self.q.shape[-1])

    def to(self, device: torch.device) -> PaintingJob:
        """The same on another device."""
        return replace(
            self,
            q=self.q.to(device),
            mask=self.mask.to(device),
            hole=self.hole.to(device),
            known=self.known.to(device),
            signal=None if self.signal is None else self.signal.to(device),
            distance=None if self.distance is None else self.distance.to(device),
        )

    def label_distance(self, row: int) -> Tensor:
        """Signed distance of one window's label, in mm, shape `(n, n, n)`."""
        if self.distance is not None:
            return self.distance[row]
        return signed_distance_mm(self.mask[row]) + BLEND_HALF_WIDTH_MM

    def appearance_inputs(self) -> tuple[Tensor, Tensor]:
        """The network's appearance values and which are known, shape `(B, 7)` each.

        Where the mask is empty nothing is known: there is no tumor to describe.
        """
        values = torch.zeros(len(self), len(APPEARANCE_INPUTS), device=self.q.device)
        known = torch.zeros_like(values)
        for row, (wish, mask) in enumerate(zip(self.appearance, self.mask, strict=True)):
            if bool(mask.any()):
                value, told = wish.to_model()
                values[row], known[row] = value.to(values), told.to(known)
        return values, known

    def noise(self, channels: int, side: int) -> Tensor:
        """Standard normal noise, shape `(B, channels, side, side, side)`, drawn on the CPU."""
        drawn = [
            torch.randn((channels, side, side, side), generator=torch.Generator().manual_seed(seed))
            for seed in self.noise_seeds
        ]
        return torch.stack(drawn).to(self.q.device)


def join(jobs: Sequence[PaintingJob]) -> PaintingJob:
    """One batch of several jobs of one window size."""
    signals = [job.signal for job in jobs]
    # A removal needs no tumor's signal, and may lie in a batch with windows that do.
    whole = None
    if any(signal is not None for signal in signals):
        pairs = zip(jobs, signals, strict=True)
        whole = torch.cat([torch.zeros_like(j.q) if s is None else s for j, s in pairs])
    distances = [d for job in jobs if (d := job.distance) is not None]
    return PaintingJob(
        q=torch.cat([job.q for job in jobs]),
        mask=torch.cat([job.mask for job in jobs]),
        hole=torch.cat([job.hole for job in jobs]),
        known=torch.cat([job.known for job in jobs]),
        appearance=tuple(a for job in jobs for a in job.appearance),
        noise_seeds=tuple(s for job in jobs for s in job.noise_seeds),
        removes=tuple(r for job in jobs for r in job.removes or (False,) * len(job)),
        signal=whole,
        distance=torch.cat(distances) if len(distances) == len(jobs) else None,
    )


class Texture(Protocol):
    """Paints tumors into windows. All textures keep the same promises."""

    #: Name by which settings and recipes call it.
    name: str

    #: Dilation of the label that gives the hole, in mm.
    hole_margin_mm: float

    #: Whether it takes `PaintingJob.signal`: a bank that holds shapes only will not do.
    needs_signal: bool

    def __call__(self, job: PaintingJob) -> Tensor:
        """Paint.

        Args:
            job: B windows of one size.

        Returns:
            Signal by `intensity.to_linear` (before the knee), shape `(B, 2, n, n, n)`, float32;
            used inside the hole only.
        """
        ...

    def recipe(self) -> dict[str, object]:
        """What a recipe must hold to paint the same again, JSON-ready."""
        ...
