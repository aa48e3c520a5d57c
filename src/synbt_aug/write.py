"""Put painted windows on their hosts' grids, and look at what is there.

The host is never resampled: what was painted is. It is written by index, inside the support alone,
in the host's dtype. All windows of one shape are written in one batch, and whether each may stand
is told on their device: no number is read from a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from synbt_aug.decide.plan import Plan
from synbt_aug.grid.mask import blend_weight, equivalent_diameter_mm, longest_mm
from synbt_aug.grid.support import beside
from synbt_aug.grid.window import Window, region, to_region, to_window
from synbt_aug.host import Host
from synbt_aug.paint.carried_on import carried_on
from synbt_aug.paint.cut import Cut
from synbt_aug.paint.phases import NOISE_STREAM, mix_for
from synbt_aug.paint.verdict import Verdict
from synbt_aug.signal.grain import PAIR_STREAM, coloured, measure_noise
from synbt_aug.signal.hole import HOLE_MARGIN_MM
from synbt_aug.signal.intensity import IntensityReference, to_linear
from synbt_aug.signal.noise import standard_normal
from synbt_aug.support.device import sent
from synbt_aug.texture.job import Texture
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.tumor.visibility import convincing, visibility_of, zones_of
from synbt_aug.volume import Synthesis

#: Changes smaller than this, over the reference range, are none: the knee and its inverse give a
#: window back to about a millionth.
MIN_CHANGE = 1e-4


@dataclass(frozen=True)
class Written:
    """Things of one window shape, painted and put on their hosts' grids; the hosts are unchanged.

    Args:
        windows: What was asked for.
        where: What of the hosts they touch.
        old, stored: The hosts' voxels under the windows, before and after, `(B, C, m, n, o)`.
        verdict: What is to be known of them.
    """

    windows: Cut
    where: Footprint
    old: Tensor
    stored: Tensor
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
        label = self.where.label[k] & stands
        if plan.recipe.kind != "tumor":
            label = torch.zeros_like(label)
            return Mark(plan.recipe.window, label, self.where.support[k] & stands, dict)
        region = self.stored[k], self.where.free[k], label
        measure = partial(
            _measure, host.reference, plan, self.windows.known[k], *region, self.verdict, k
        )
        return Mark(plan.recipe.window, label, self.where.support[k] & stands, measure)


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


@dataclass(frozen=True)
class Footprint:
    """What of its host each window's shape touches: host voxels under the window, `(B, m, n, o)`.

    Args:
        distance: Signed distance to the shape's surface, in mm.
        weight: Of the blend, in [0, 1].
        free: Voxels of the host that may change.
        label: Weight of at least .5, where the host is free.
        support: What may change: weight above 0, where the host is free, beside the label.
    """

    distance: Tensor
    weight: Tensor
    free: Tensor
    label: Tensor
    support: Tensor


def paint_and_write(windows: Cut, texture: Texture, device: torch.device) -> Written:
    """Let a texture paint windows of one shape on its device, and put them on the hosts' grids."""
    painted = sent(texture(windows.job(texture.hole_margin_mm).to(device)), windows.linear.device)
    return write(windows, carried_on(painted, windows.label), replaces=texture.replaces)


def write(windows: Cut, painted: Tensor, *, replaces: bool) -> Written:
    """Put what was painted on the hosts' grids, and look at it; nothing is read from a tensor.

    Args:
        windows: What was asked for.
        painted: The texture's answer: windows before the knee, shape `(B, 2, d, h, w)`, on the
            hosts' device.
        replaces: Whether it takes the host's place, with fresh noise, or its difference to the
            window is added (`Texture.replaces`).
    """
    hosts, plans = windows.hosts, windows.plans
    window = plans[0].recipe.window
    where = footprint(hosts, plans, windows.label.labelled)
    whole = _Scale.of(hosts, painted.device)
    scale = whole.part(0, 2)
    image = hosts[0].volume.image
    exact = image.dtype == torch.float64 or not image.is_floating_point()
    there = torch.stack([region(h.volume.image, p.recipe.window) for h, p in zip(hosts, plans)])
    whole_working = there.to(torch.float64 if exact else torch.float32)
    old, working = there[:, :2], whole_working[:, :2]
    weight = where.weight[:, None]
    if replaces:
        content = to_region(painted, window)
        noise = _fresh_noise(windows, where, scale.to_linear(working).to(torch.float32))
        new = _replaced(working, weight, content, noise, scale)
        del noise
    else:
        content = to_region(painted - windows.linear, window)
        new = working + weight * scale.amount(content)
    stored = torch.where(where.support[:, None], _stored(new, old.dtype, scale.floor), old)
    del new  # in float64, of a fine scan: not to be held while the rest is measured
    rows = _look(windows, where, old, stored, scale, painted)
    if there.shape[1] > 2:
        new = _further(windows, where, content, whole_working, whole, replaces)
        floor = whole.floor[:, 2:]
        new = torch.where(where.support[:, None], _stored(new, there.dtype, floor), there[:, 2:])
        stored = torch.cat([stored, new], 1)
    return Written(windows, where, there, stored, Verdict(rows))


def _replaced(
    working: Tensor, weight: Tensor, content: Tensor, noise: Tensor, scale: _Scale
) -> Tensor:
    """What is painted in the host's place by the weight, with its noise, in the hosts' units."""
    # Host and new noise are independent: so weighted, their sum keeps its variance throughout.
    fresh = (2 * weight - weight.square()).sqrt() * scale.amount(noise)
    return working + weight * (scale.from_linear(content) - working) + fresh


def _further(
    windows: Cut, where: Footprint, content: Tensor, working: Tensor, scale: _Scale, replaces: bool
) -> Tensor:
    """The further phases as they are to be, in the hosts' units, shape `(B, P, m, n, o)`.

    Args:
        windows: What was asked for.
        where: In the hosts.
        content: The painted pair, or its change, before the knee, `(B, 2, m, n, o)`.
        working: The hosts, all channels, `(B, 2 + P, m, n, o)`.
        scale: Of all channels.
        replaces: As for `write`.
    """
    linear = scale.to_linear(working).to(torch.float32)
    rest, units, weight = working[:, 2:], scale.part(2, None), where.weight[:, None]
    mix = mix_for(windows.plans, linear, _around(windows, where))
    if not replaces:
        return rest + weight * units.amount(mix.change(content))
    noise = _fresh_noise(windows, where, linear[:, 2:], NOISE_STREAM)
    return _replaced(rest, weight, mix.of(content), noise, units)


def footprint(hosts: Sequence[Host], plans: Sequence[Plan], distance: Tensor) -> Footprint:
    """Where in their hosts the shapes lie.

    Args:
        hosts: One for each plan.
        plans: Their windows have one shape and spacing.
        distance: Signed distance to their surfaces, in mm, shape `(B, *window.shape)`, on the
            hosts' device.

    Returns:
        The support ends at most 2 mm, or one voxel an axis, beyond the label. A label's volume is
        that of the shape's part over the host, to a voxel.
    """
    window = plans[0].recipe.window
    on_host = to_region(distance, window)
    shifts = [plan.shift_mm for plan in plans]
    if any(shifts):
        shift = sent(torch.tensor(shifts), distance.device)
        on_host = on_host - shift.view(-1, 1, 1, 1)
    free = torch.zeros_like(on_host, dtype=torch.bool)
    for row, host, plan in zip(free, hosts, plans, strict=True):
        if plan.free is not None:
            row.copy_(sent(plan.free, row.device))
        else:
            row[plan.recipe.window.inside_region(host.volume.shape)] = True
    weight = blend_weight(on_host)
    label = (weight >= 0.5) & free
    support = (weight > 0) & free & beside(label, window.spacing)
    return Footprint(on_host, weight, free, label, support)


@dataclass(frozen=True)
class _Scale:
    """Intensity references of B hosts, shape `(B, C, 1, 1, 1)` each."""

    low: Tensor
    range: Tensor
    floor: Tensor

    @classmethod
    def of(cls, hosts: Sequence[Host], device: torch.device) -> _Scale:
        pairs = [(host.reference.low, host.reference.high) for host in hosts]
        low = torch.tensor([lows for lows, _ in pairs])
        # Subtracted before float32 coarsens them.
        spans = [[h - low for low, h in zip(*pair, strict=True)] for pair in pairs]
        low, span = (sent(t, device)[..., None, None, None] for t in (low, torch.tensor(spans)))
        return cls(low, span, torch.stack([host.floor for host in hosts]))

    def part(self, first: int, stop: int | None) -> _Scale:
        """Those of some channels."""
        return _Scale(*(t[:, first:stop] for t in (self.low, self.range, self.floor)))

    def to_linear(self, signal: Tensor) -> Tensor:
        return (signal - self.low) / self.range * 2 - 1

    def from_linear(self, linear: Tensor) -> Tensor:
        return (linear + 1) / 2 * self.range + self.low

    def amount(self, linear: Tensor) -> Tensor:
        """A difference in the hosts' units."""
        return linear / 2 * self.range


def _around(windows: Cut, where: Footprint) -> Tensor:
    """Tissue outside the holes, on the hosts' grid, boolean, shape `(B, m, n, o)`."""
    window = windows.plans[0].recipe.window
    known = to_region(windows.known.to(torch.float32), window) >= 0.5
    # The widest hole of all textures: nothing of what lay there is looked at. The hole is one of
    # the body; distances from the outline may end before 3 mm, and more so where thick slices move
    # the surface.
    beyond = to_region(windows.label.distance, window) > HOLE_MARGIN_MM
    return known & beyond & (where.weight == 0)


def _fresh_noise(
    windows: Cut, where: Footprint, linear: Tensor, stream: int = PAIR_STREAM
) -> Tensor:
    """Noise like the hosts' around the tumors, on their own grid, before the knee."""
    noise = measure_noise(linear, _around(windows, where))
    seeds = [plan.recipe.noise_seed for plan in windows.plans]
    shape = linear.shape[1], *windows.plans[0].recipe.window.region_shape
    return coloured(standard_normal(seeds, shape, linear.device, stream), noise)


def _stored(new: Tensor, dtype: torch.dtype, floor: Tensor) -> Tensor:
    """New values as the host stores them: rounded, within its dtype, not below its smallest."""
    if dtype.is_floating_point:
        largest = torch.finfo(dtype).max
        new = new.clamp(-largest, largest)
    else:
        bounds = torch.iinfo(dtype)
        new = new.round().clamp(bounds.min, bounds.max)
    # Magnitude scans have no negative values.
    return torch.maximum(new.to(dtype), floor)


def _changed(old: Tensor, stored: Tensor, scale: _Scale) -> Tensor:
    """Voxels that look another than before, boolean, shape `(B, m, n, o)`."""
    differs = scale.to_linear(stored.double()) - scale.to_linear(old.double())
    # A reference range is 2 in the units of the networks.
    return (differs.abs() > 2 * MIN_CHANGE).any(1)


def _look(
    windows: Cut, where: Footprint, old: Tensor, stored: Tensor, scale: _Scale, painted: Tensor
) -> Tensor:
    """What is to be known of each window, as the rows of a `Verdict`."""
    finite = painted.isfinite().flatten(1).all(1)
    labelled = where.label.flatten(1).sum(1)
    changed = _changed(old, stored, scale)
    share = (changed & where.label).flatten(1).sum(1) / labelled.clamp_min(1)
    some = (changed & where.support).flatten(1).any(1)
    tumors = [plan.recipe.kind == "tumor" for plan in windows.plans]
    if not any(tumors):
        nothing = torch.zeros_like(share)
        return _rows(finite, labelled, share, some, nothing, nothing, nothing, finite & some)
    window = windows.plans[0].recipe.window
    post = to_window(scale.to_linear(stored.to(torch.float32)), window)[:, 1]
    free = to_window(where.free.to(torch.float32), window) >= 0.5
    zones = zones_of(windows.label.within(free & windows.label.judged), windows.known)
    shown, contrast, ratio = visibility_of(post.flatten(1), zones).unbind(1)
    known = torch.tensor([tumors, [plan.contrast_was_asked for plan in windows.plans]])
    tumor, asked = sent(known, share.device)
    convinces = (labelled > 0) & convincing(shown, ratio, share, asked)
    stands = finite & torch.where(tumor, convinces, some)
    return _rows(finite, labelled, share, some, shown, contrast, ratio, stands)


def _rows(*columns: Tensor) -> Tensor:
    return torch.stack([column.to(torch.float32) for column in columns], 1)


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
    inside = tumor & (to_window(free.to(torch.float32), window) >= 0.5)
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
