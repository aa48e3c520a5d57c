"""Windows of one shape, cut out of their hosts and mapped: what a texture is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synbt_aug.decide.plan import Plan
from synbt_aug.grid.mask import BLEND_HALF_WIDTH_MM
from synbt_aug.grid.window import cut, cut_mask, inside_host
from synbt_aug.host import Host
from synbt_aug.signal.hole import tissue
from synbt_aug.signal.intensity import in_steps, knee, to_linear
from synbt_aug.support.device import sent
from synbt_aug.texture.job import PaintingJob
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.label_shape import LabelShape


@dataclass(frozen=True)
class Cut:
    """B windows of one shape.

    Args:
        hosts: Where each goes.
        plans: What each is.
        label: The shapes, on the hosts' device.
        linear: The windows before the knee, shape `(B, 2, d, h, w)`.
        known: Tissue, boolean, shape `(B, d, h, w)`.
        inside: Host voxels with signal, as training's holes know no others, `(B, d, h, w)`.
    """

    hosts: tuple[Host, ...]
    plans: tuple[Plan, ...]
    label: LabelShape
    linear: Tensor
    known: Tensor
    inside: Tensor

    def __len__(self) -> int:
        return len(self.plans)

    @classmethod
    def of(cls, hosts: Sequence[Host], plans: Sequence[Plan]) -> Cut:
        """Cut and map.

        Args:
            hosts: One for each plan, all on one device.
            plans: Their windows have one shape.
        """
        linear, inside = [], []
        for host, plan in zip(hosts, plans, strict=True):
            window, image, valid = plan.recipe.window, host.volume.image, host.volume.valid
            linear.append(to_linear(cut(image[:2], window), host.reference.pair))
            inside.append(
                inside_host(window, host.volume.shape, image.device)
                if valid is None
                else cut_mask(valid, window)
            )
        together, there = torch.stack(linear), torch.stack(inside)
        label = LabelShape.join([plan.label for plan in plans]).to(together.device)
        known = tissue(in_steps(knee(together))) & there
        return cls(tuple(hosts), tuple(plans), label, together, known, there)

    def free(self, k: int) -> Tensor:
        """Host voxels under window k that may change, boolean, on the CPU."""
        return self.plans[k].free_region(self.hosts[k].volume.shape)

    def asking_for(self, appearance: Appearance) -> Cut:
        """The same windows with another appearance asked for."""
        plans = (replace(p, recipe=replace(p.recipe, appearance=appearance)) for p in self.plans)
        return replace(self, plans=tuple(plans))

    def job(self, hole_margin_mm: float) -> PaintingJob:
        """What to ask of a texture."""
        # A network paints its own soft edge, and the blend halves it again: a tumor painted on
        # the label alone is visible 1 mm inside it. Painted 1 mm larger, the blend is its edge.
        mask = self.inside & (self.label.distance <= BLEND_HALF_WIDTH_MM)
        kinds = [plan.recipe.kind for plan in self.plans]
        shows = [kind in ("tumor", "distractor") for kind in kinds]
        if not all(shows):
            mask = mask & sent(torch.tensor(shows), mask.device)[:, None, None, None]
        return PaintingJob(
            q=knee(self.linear),
            mask=mask,
            hole=self.inside & (self.label.distance <= hole_margin_mm),
            known=self.known,
            appearance=tuple(plan.recipe.appearance for plan in self.plans),
            noise_seeds=tuple(plan.recipe.noise_seed for plan in self.plans),
            removes=tuple(kind == "removal" for kind in kinds),
            signal=self._signals(),
            label=self.label.where(shows),
        )

    def _signals(self) -> Tensor | None:
        signals = [plan.signal for plan in self.plans]
        if all(signal is None for signal in signals):
            return None
        # A removal needs no tumor's signal, and may lie in a batch with windows that do.
        return torch.stack(
            [
                torch.zeros_like(window)
                if signal is None
                else sent(signal.to(window.dtype), window.device)
                for window, signal in zip(self.linear, signals, strict=True)
            ]
        )
