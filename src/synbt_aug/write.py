"""Put painted windows on their hosts' grids, and look at what is there.

The host is never resampled: what was painted is. It is written by index, inside the support alone,
in the host's dtype. All windows of one shape are written in one batch, and whether each may stand
is told on their device: no number is read from a tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from synbt_aug.decide.plan import Plan
from synbt_aug.grid.mask import equivalent_diameter_mm, longest_mm
from synbt_aug.grid.window import Window, region, to_window
from synbt_aug.paint.cut import Cut
from synbt_aug.paint.onto_hosts import OnHosts, ToWrite, onto_hosts
from synbt_aug.paint.phases import NOISE_STREAM, Curves
from synbt_aug.paint.verdict import Verdict
from synbt_aug.signal.grain import PAIR_STREAM
from synbt_aug.signal.intensity import IntensityReference, to_linear
from synbt_aug.signal.noise import noise_starts
from synbt_aug.support.bits import bits_of
from synbt_aug.support.device import sent
from synbt_aug.support.graphs import Runs, launch_by_launch
from synbt_aug.texture.job import Texture
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.tumor.visibility import blurs_of
from synbt_aug.volume import Synthesis


@dataclass(frozen=True)
class Written:
    """Things of one window shape, painted and put on their hosts' grids; the hosts are unchanged.

    Args:
        windows: What was asked for.
        old, stored: The hosts' voxels under the windows, before and after, `(B, C, m, n, o)`.
        label, support: What is labelled, and what may have changed, boolean, `(B, m, n, o)`.
        verdict: What is to be known of them.
    """

    windows: Cut
    old: Tensor
    stored: Tensor
    label: Tensor
    support: Tensor
    verdict: Verdict

    def result(self, k: int) -> Synthesis:
        """Thing k in a copy of its host, whether or not it may stand, and without a recipe."""
        everywhere = torch.ones((), dtype=torch.bool, device=self.stored.device)
        return self.mark(k, everywhere).on(self.image(k, everywhere))

    def image(self, k: int, stands: Tensor) -> Tensor:
        """A copy of host k's image with thing k, or without it where it does not stand.

        Args:
            k: Which.
            stands: Whether it does, boolean, one element, on the hosts' device.
        """
        host, window = self.windows.hosts[k], self.windows.plans[k].recipe.window
        box, inside = window.host_box(host.volume.shape), window.inside_region(host.volume.shape)
        there = (slice(None), *inside)
        image = host.volume.image.clone()
        image[(slice(None), *box)] = torch.where(stands, self.stored[k][there], self.old[k][there])
        return image

    def mark(self, k: int, stands: Tensor) -> Mark:
        """Where thing k is in its host; nowhere if it does not stand."""
        host, plan = self.windows.hosts[k], self.windows.plans[k]
        label = self.label[k] & stands
        if plan.recipe.kind != "tumor":
            label = torch.zeros_like(label)
            return Mark(plan.recipe.window, label, self.support[k] & stands, dict)
        region = self.stored[k], self.windows.free(k), label
        measure = partial(
            _measure, host.reference, plan, self.windows.known[k], *region, self.verdict, k
        )
        return Mark(plan.recipe.window, label, self.support[k] & stands, measure)


@dataclass(frozen=True)
class Mark:
    """Where one thing is in its host; holds no image of it.

    Args:
        window: It lies in the region of this.
        label: Of the region's voxels, boolean, shape `window.region_shape`.
        support: Likewise.
        measure: Measures what came out.
    """

    window: Window
    label: Tensor
    support: Tensor
    measure: Callable[[], dict[str, Any]]

    def label_into(self, labels: Tensor, value: int) -> None:
        """Write the label into a host's labels, shape `(D, H, W)`, where it is."""
        d, h, w = labels.shape
        there = labels[self.window.host_box((d, h, w))]
        label = self.label[self.window.inside_region((d, h, w))]
        there.masked_fill_(sent(label, there.device), value)

    def on(self, image: Tensor) -> Synthesis:
        """The same in its host, of whose image this is the newest, shape `(2, D, H, W)`."""
        d, h, w = image.shape[1:]
        box, inside = self.window.host_box((d, h, w)), self.window.inside_region((d, h, w))
        label = torch.zeros((d, h, w), dtype=torch.bool, device=image.device)
        support = torch.zeros_like(label)
        label[box], support[box] = self.label[inside], self.support[inside]
        return Synthesis(image, label, support, measure=self.measure)


def paint_and_write(
    windows: Cut, texture: Texture, device: torch.device, runs: Runs = launch_by_launch
) -> Written:
    """Let a texture paint windows of one shape on its device, and put them on the hosts' grids.

    Args:
        windows: What is asked for.
        texture: Paints.
        device: Where.
        runs: How the launches of writing are made.
    """
    painted = sent(texture(windows.job(texture.hole_margin_mm).to(device)), windows.linear.device)
    return write(windows, painted, replaces=texture.replaces, carries=True, runs=runs)


def write(
    windows: Cut,
    painted: Tensor,
    *,
    replaces: bool,
    carries: bool = False,
    runs: Runs = launch_by_launch,
) -> Written:
    """Put what was painted on the hosts' grids, and look at it; nothing is read from a tensor.

    Args:
        windows: What was asked for.
        painted: The texture's answer: windows before the knee, shape `(B, 2, d, h, w)`, on the
            hosts' device.
        replaces: Whether it takes the host's place, with fresh noise, or its difference to the
            window is added (`Texture.replaces`).
        carries: Whether the painted edge goes on into what leaves the body (`carried_on`).
        runs: How the launches are made.
    """
    given = _to_write(windows, painted, replaces=replaces, carries=carries)
    done: OnHosts = runs(onto_hosts, given, painted.device)
    return Written(windows, given.there, *done[:-1], Verdict(done.rows))


def _to_write(windows: Cut, painted: Tensor, *, replaces: bool, carries: bool) -> ToWrite:
    """What writing takes; what plans and references say lies on the CPU, to be sent together."""
    hosts, plans, label = windows.hosts, windows.plans, windows.label
    recipes = [plan.recipe for plan in plans]
    window = recipes[0].window
    pairs = [(host.reference.low, host.reference.high) for host in hosts]
    # Subtracted before float32 coarsens them.
    spans = [[h - low for low, h in zip(*pair, strict=True)] for pair in pairs]
    shifts = [plan.shift_mm for plan in plans]
    seeds = [recipe.noise_seed for recipe in recipes]
    there = [region(h.volume.image, r.window) for h, r in zip(hosts, recipes, strict=True)]
    tumors = [recipe.kind == "tumor" for recipe in recipes]
    free = [windows.free(k) for k in range(len(plans))]
    further = len(there[0]) - 2
    curves = Curves.of(plans, further)
    blurs = blurs_of(label.radius_mm, window.shape) if any(tumors) else (None, None, None)
    return ToWrite(
        window=replace(window, origin=(0, 0, 0)),
        carries=carries,
        painted=painted,
        linear=None if replaces else windows.linear,
        known=windows.known,
        distance=label.distance,
        depth=label.depth,
        outline=label.outline,
        there=torch.stack(there),
        free=torch.stack(free) if painted.device.type == "cpu" else bits_of(free),
        floor=torch.stack([host.floor for host in hosts]),
        low=torch.tensor([lows for lows, _ in pairs]),
        span=torch.tensor(spans),
        shift_mm=torch.tensor(shifts) if any(shifts) else None,
        tumor=torch.tensor(tumors),
        asked=torch.tensor([plan.contrast_was_asked for plan in plans]),
        starts=noise_starts(seeds, PAIR_STREAM),
        phase_starts=noise_starts(seeds, NOISE_STREAM) if further else None,
        fractions=curves.fractions,
        follows=curves.follows,
        uneven_starts=curves.starts,
        blur_d=blurs[0],
        blur_h=blurs[1],
        blur_w=blurs[2],
    )


def _measure(
    reference: IntensityReference,
    plan: Plan,
    known: Tensor,
    stored: Tensor,
    free: Tensor,
    label: Tensor,
    verdict: Verdict,
    k: int,
) -> dict[str, Any]:
    """What came out, as it was written; asked for by who reads it, as training does not."""
    window = plan.recipe.window
    linear = to_linear(to_window(stored[:2].to(torch.float32), window), reference.pair)
    body, labelled = plan.label.distance[0] <= 0, plan.distance <= 0
    tumor = (body & labelled).to(linear.device)
    free = sent(free, linear.device).to(torch.float32)
    inside = tumor & (to_window(free, window) >= 0.5)
    around = known & ~labelled.to(linear.device)
    found = measure_appearance(linear, inside, around=around)
    seen = verdict.seen(k)
    return {
        "diameter_mm": equivalent_diameter_mm(int(label.sum()), window.spacing),
        "longest_mm": longest_mm(label, window.spacing),
        "appearance": found.to_dict(),
        "visible_share": seen.share,
        "contrast_to_noise": seen.contrast_to_noise,
    }
