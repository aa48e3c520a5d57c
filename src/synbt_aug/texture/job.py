"""What a texture is asked to paint: a batch of windows of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from synbt_aug.grid.mask import BLEND_HALF_WIDTH_MM, signed_distance_mm
from synbt_aug.signal.noise import standard_normal
from synbt_aug.support.device import sent
from synbt_aug.tumor.appearance import APPEARANCE_INPUTS, Appearance
from synbt_aug.tumor.label_shape import LabelShape


@dataclass(frozen=True)
class PaintingJob:
    """B windows to paint at once.

    Args:
        q: Mapped intensities at 1 mm, shape `(B, 2, d, h, w)`, float32.
        mask: The tumors to paint, boolean, shape `(B, d, h, w)`; all False paints "nothing":
            ordinary tissue.
        hole: What may change, boolean, shape `(B, d, h, w)`; holds the mask.
        known: Tissue that the hole is filled from, boolean, shape `(B, d, h, w)`.
        appearance: One per window; attributes left None are the network's choice.
        noise_seeds: One per window; the noise of one tumor does not depend on its batch.
        removes: One per window: whether its hole is a tumor to be painted away. Empty: none is.
        signal: For a texture that `needs_signal`: a real tumor's signal by `intensity.to_linear`,
            posed as the mask is, shape `(B, 2, d, h, w)`; anything where the mask is empty.
        label: The shapes of what will be labelled; the mask reaches 1 mm beyond. None: taken
            from the mask.
    """

    q: Tensor
    mask: Tensor
    hole: Tensor
    known: Tensor
    appearance: tuple[Appearance, ...]
    noise_seeds: tuple[int, ...]
    removes: tuple[bool, ...] = ()
    signal: Tensor | None = None
    label: LabelShape | None = None

    def __len__(self) -> int:
        return int(self.q.shape[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis of the windows."""
        d, h, w = self.q.shape[2:]
        return d, h, w

    def to(self, device: torch.device) -> PaintingJob:
        """The same on another device."""
        return replace(
            self,
            q=sent(self.q, device),
            mask=sent(self.mask, device),
            hole=sent(self.hole, device),
            known=sent(self.known, device),
            signal=None if self.signal is None else sent(self.signal, device),
            label=None if self.label is None else self.label.to(device),
        )

    def label_shape(self) -> LabelShape:
        """The shapes of the labels."""
        if self.label is not None:
            return self.label
        distance = [signed_distance_mm(mask) + BLEND_HALF_WIDTH_MM for mask in self.mask]
        return LabelShape.join([LabelShape.of(row) for row in distance])

    def appearance_inputs(self) -> tuple[Tensor, Tensor]:
        """The network's appearance values and which are known, shape `(B, 7)` each, on the CPU.

        Where the mask is empty nothing is known: there is no tumor to describe.
        """
        if self.label is not None:
            has_mask = [radius > 0 for radius in self.label.radius_mm]
        else:
            has_mask = [bool(mask.any()) for mask in self.mask]
        values = torch.zeros(len(self), len(APPEARANCE_INPUTS))
        known = torch.zeros_like(values)
        for row, (wish, described) in enumerate(zip(self.appearance, has_mask, strict=True)):
            if described:
                values[row], known[row] = wish.to_model()
        return values, known

    def noise(self, channels: int, shape: Sequence[int]) -> Tensor:
        """Standard normal noise of each seed, shape `(B, channels, *shape)`."""
        return standard_normal(self.noise_seeds, (channels, *shape), self.q.device)


def join(jobs: Sequence[PaintingJob]) -> PaintingJob:
    """One batch of several jobs of one window shape."""
    signals = [job.signal for job in jobs]
    # A removal needs no tumor's signal, and may lie in a batch with windows that do.
    whole = None
    if any(signal is not None for signal in signals):
        pairs = zip(jobs, signals, strict=True)
        whole = torch.cat([torch.zeros_like(j.q) if s is None else s for j, s in pairs])
    shapes = [shape for job in jobs if (shape := job.label) is not None]
    return PaintingJob(
        q=torch.cat([job.q for job in jobs]),
        mask=torch.cat([job.mask for job in jobs]),
        hole=torch.cat([job.hole for job in jobs]),
        known=torch.cat([job.known for job in jobs]),
        appearance=tuple(a for job in jobs for a in job.appearance),
        noise_seeds=tuple(s for job in jobs for s in job.noise_seeds),
        removes=tuple(r for job in jobs for r in job.removes or (False,) * len(job)),
        signal=whole,
        label=LabelShape.join(shapes) if len(shapes) == len(jobs) else None,
    )


class Texture(Protocol):
    """Paints tumors into windows. All textures keep the same promises."""

    #: Name by which settings and recipes call it.
    name: str

    #: Dilation of the label that gives the hole, in mm.
    hole_margin_mm: float

    #: Whether what it paints takes the host's place, with fresh noise; otherwise its difference to
    #: the window is added, and the host's own structure stays.
    replaces: bool

    #: Whether it takes `PaintingJob.signal`: a bank that holds shapes only will not do.
    needs_signal: bool

    def __call__(self, job: PaintingJob) -> Tensor:
        """Paint.

        Args:
            job: B windows of one shape.

        Returns:
            Signal by `intensity.to_linear` (before the knee), shape `(B, 2, d, h, w)`, float32;
            used inside the hole only. Without noise where it `replaces` the host.
        """
        ...

    def recipe(self) -> dict[str, object]:
        """What a recipe must hold to paint the same again, JSON-ready."""
        ...
