"""Write painted windows into their hosts, and look at what was written.

The host is never resampled: what was painted is. It is written by index, inside the support alone,
in the host's dtype. All windows of one shape are written in one batch; how their tumors show is
read once for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.decide.plan import Plan
from synbt_aug.grid.mask import (
    ISLET_MM,
    ISLET_SHARE,
    blend_weight,
    distance_mm,
    equivalent_diameter_mm,
    islets,
    longest_mm,
    sphere_voxels,
)
from synbt_aug.grid.window import cut, inside_host, region, to_region, to_window
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.paint.phases import NOISE_STREAM, mix_for
from synbt_aug.signal.grain import PAIR_STREAM, coloured, measure_noise, white_noise
from synbt_aug.signal.hole import HOLE_MARGIN_MM
from synbt_aug.signal.intensity import to_linear
from synbt_aug.texture.job import Texture
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.tumor.recipe import unpack_mask
from synbt_aug.tumor.visibility import Visibility, visibility_of, zones_of
from synbt_aug.volume import Spacing, Synthesis

#: The support ends this far from the label, or one voxel an axis.
SUPPORT_MM = 2.0

#: Changes smaller than this, over the reference range, are none: the knee and its inverse give a
#: window back to about a millionth.
MIN_CHANGE = 1e-4


@dataclass(frozen=True)
class Finished:
    """One thing written.

    Args:
        result: The painted host, without a recipe: that is the caller's.
        finite: Whether all that was painted is numbers.
        labelled: Voxels of the label.
        changed: Whether any voxel of the support holds another value than before.
        seen: How well a tumor shows as it was written; None of what has no label.
    """

    result: Synthesis
    finite: bool
    labelled: int
    changed: bool
    seen: Visibility | None


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


def paint_and_write(windows: Cut, texture: Texture, device: torch.device) -> list[Finished]:
    """Let a texture paint windows of one shape on its device, and write them into their hosts."""
    painted = texture(windows.job(texture.hole_margin_mm).to(device))
    return write(windows, painted.to(windows.linear.device), replaces=texture.replaces)


def write(windows: Cut, painted: Tensor, *, replaces: bool) -> list[Finished]:
    """Write a batch.

    Args:
        windows: What was asked for.
        painted: The texture's answer: windows before the knee, shape `(B, 2, d, h, w)`, on the
            hosts' device.
        replaces: Whether it takes the host's place, with fresh noise, or its difference to the
            window is added (`Texture.replaces`).

    Returns:
        One a window.
    """
    hosts, plans = windows.hosts, windows.plans
    window = plans[0].recipe.window
    where = footprint(hosts, plans, windows.label.distance)
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
    else:
        content = to_region(painted - windows.linear, window)
        new = working + weight * scale.amount(content)
    stored = torch.where(where.support[:, None], _stored(new, old.dtype, scale.floor), old)
    measured = _look(windows, where, old, stored, scale, painted)
    if there.shape[1] > 2:
        new = _further(windows, where, content, whole_working, whole, replaces)
        floor = whole.floor[:, 2:]
        new = torch.where(where.support[:, None], _stored(new, there.dtype, floor), there[:, 2:])
        stored = torch.cat([stored, new], 1)
    return [_finished(windows, where, k, stored[k], row) for k, row in enumerate(measured.tolist())]


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
    shifts = [_surface_shift_mm(plan, host) for plan, host in zip(plans, hosts, strict=True)]
    on_host = to_region(distance, window)
    if any(shifts):
        on_host = on_host - torch.tensor(shifts, device=distance.device).view(-1, 1, 1, 1)
    free = torch.zeros_like(on_host, dtype=torch.bool)
    for row, host, plan in zip(free, hosts, plans, strict=True):
        inside = plan.recipe.window.inside_region(host.volume.shape)
        blocked = _blocked(host, plan)
        if blocked is None:
            row[inside] = True
        else:
            row[inside] = ~blocked[plan.recipe.window.host_box(host.volume.shape)]
    weight = blend_weight(on_host)
    label = (weight >= 0.5) & free
    support = (weight > 0) & free
    for row, reach, host, plan in zip(label, support, hosts, plans, strict=True):
        # At 1 mm and with nothing in the way a shape is as it was decided, without islets.
        if plan.recipe.kind == "tumor" and (host.blocked is not None or any(shifts)):
            _drop_islets(row, reach, window.spacing)
    support &= beside(label, window.spacing)
    return Footprint(on_host, weight, free, label, support)


def beside(label: Tensor, spacing: Spacing) -> Tensor:
    """Voxels within 2 mm, or one voxel an axis, of labels, boolean, shape `(B, m, n, o)`."""
    if not label.numel():
        return label
    touching = _touched(label)
    if label.device.type == "cpu":
        rows = [distance_mm(row, spacing, SUPPORT_MM + max(spacing)) <= SUPPORT_MM for row in label]
        return torch.stack(rows) | touching
    # One convolution with a ball in place of a distance, which takes a hundred launches.
    reach = [int(SUPPORT_MM / mm) for mm in spacing]
    axes = [torch.arange(-r, r + 1) * mm for r, mm in zip(reach, spacing, strict=True)]
    ball = sum(a.square() for a in torch.meshgrid(*axes, indexing="ij")) <= SUPPORT_MM**2 + 1e-6
    kernel = torch.as_tensor(ball, dtype=torch.float32).to(label.device)[None, None]
    near = F.conv3d(label[:, None].to(torch.float32), kernel, padding=tuple(reach))[:, 0]
    return (near > 0.5) | touching


def _touched(mask: Tensor) -> Tensor:
    """Masks and the voxels beside them, over corners, too, shape `(B, m, n, o)`."""
    return F.max_pool3d(mask.to(torch.float32), 3, 1, 1) > 0


def _drop_islets(label: Tensor, support: Tensor, spacing: Spacing) -> None:
    """Leave out pieces that nobody would see, which thick slices and blocked voxels cut off.

    Pieces are told on the CPU: a device is waited for here.
    """
    if not label.numel():
        return
    specks = islets(label, sphere_voxels(ISLET_MM, spacing), ISLET_SHARE)
    if specks is not None:
        label &= ~specks
        around, left = _touched(torch.stack([specks, label]))
        support &= (~around | left) & ~specks


def _surface_shift_mm(plan: Plan, host: Host) -> float:
    """How far resampling moves the surface: put back, the volume is right; read on the CPU."""
    window, distance = plan.recipe.window, plan.distance
    if window.spacing == (1.0, 1.0, 1.0):
        return 0.0
    shape = host.volume.shape
    on_host = to_region(distance, window)[window.inside_region(shape)]
    if not on_host.numel():
        return 0.0
    # What overhangs the host is not to be made up for inside it.
    over_host = (distance <= 0) & inside_host(window, shape, distance.device)
    wanted = round(int(over_host.sum()) / math.prod(window.spacing))
    wanted = min(max(wanted, 1), on_host.numel())
    return float(on_host.flatten().kthvalue(wanted).values)


def _blocked(host: Host, plan: Plan) -> Tensor | None:
    """Voxels that stay as they are: other tumors, no signal."""
    blocked = host.blocked
    if blocked is None or plan.recipe.kind != "removal" or plan.recipe.mask is None:
        return blocked
    # What is removed is an existing tumor: it alone stops being blocked.
    return blocked & ~unpack_mask(plan.recipe.mask, blocked.shape).to(blocked.device)


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
        low, span = (t.to(device)[..., None, None, None] for t in (low, torch.tensor(spans)))
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
    known = to_region(windows.known.to(torch.float32), windows.plans[0].recipe.window) >= 0.5
    # The widest hole of all textures: nothing of what lay there is looked at.
    return known & (where.distance > HOLE_MARGIN_MM)


def _fresh_noise(
    windows: Cut, where: Footprint, linear: Tensor, stream: int = PAIR_STREAM
) -> Tensor:
    """Noise like the hosts' around the tumors, on their own grid, before the knee."""
    noise = measure_noise(linear, _around(windows, where))
    seeds = [plan.recipe.noise_seed for plan in windows.plans]
    shape, channels = windows.plans[0].recipe.window.region_shape, linear.shape[1]
    return coloured(white_noise(seeds, shape, channels, stream).to(linear.device), noise)


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


def _look(
    windows: Cut, where: Footprint, old: Tensor, stored: Tensor, scale: _Scale, painted: Tensor
) -> Tensor:
    """What is to be known of each window, as one tensor that is read once, shape `(B, 7)`.

    Whether all of it is finite; voxels of the label; share of them that changed; whether any voxel
    of the support did; and share shown, contrast and contrast to noise, as in `Visibility`.
    """
    finite = painted.isfinite().flatten(1).all(1)
    labelled = where.label.flatten(1).sum(1)
    differs = scale.to_linear(stored.double()) - scale.to_linear(old.double())
    # A reference range is 2 in the units of the networks.
    changed = (differs.abs() > 2 * MIN_CHANGE).any(1)
    share = (changed & where.label).flatten(1).sum(1) / labelled.clamp_min(1)
    known = [finite, labelled, share, (changed & where.support).flatten(1).any(1)]
    if any(plan.recipe.kind == "tumor" for plan in windows.plans):
        window = windows.plans[0].recipe.window
        post = to_window(scale.to_linear(stored.to(torch.float32)), window)[:, 1]
        free = to_window(where.free.to(torch.float32), window) >= 0.5
        zones = zones_of(windows.label.within(free), windows.known)
        known += visibility_of(post.flatten(1), zones).unbind(1)
    else:
        known += [torch.zeros_like(share)] * 3
    return torch.stack([k.to(torch.float32) for k in known], 1)


def _finished(
    windows: Cut, where: Footprint, k: int, stored: Tensor, row: Sequence[float]
) -> Finished:
    host, plan = windows.hosts[k], windows.plans[k]
    window, shape = plan.recipe.window, host.volume.shape
    box, inside = window.host_box(shape), window.inside_region(shape)
    image = host.volume.image.clone()
    image[(slice(None), *box)] = stored[(slice(None), *inside)]
    label = torch.zeros(shape, dtype=torch.bool, device=image.device)
    support = label.clone()
    support[box] = where.support[k][inside]
    finite, labelled, share_changed, changed, share, contrast, ratio = row
    result, seen = Synthesis(image, label, support), None
    if plan.recipe.kind == "tumor":
        label[box] = where.label[k][inside]
        seen = Visibility(share, contrast, ratio, share_changed)
        free = to_window(where.free[k].to(torch.float32), window) >= 0.5
        measure = partial(_measure, host, plan, windows.known[k], free, image, label, seen)
        result = replace(result, measure=measure)
    return Finished(result, bool(finite), int(labelled), bool(changed), seen)


def _measure(
    host: Host,
    plan: Plan,
    known: Tensor,
    free: Tensor,
    image: Tensor,
    label: Tensor,
    seen: Visibility,
) -> dict[str, Any]:
    """What came out, as it was written; asked for by who reads it, as training does not."""
    linear = to_linear(cut(image[:2], plan.recipe.window), host.reference.pair)
    tumor = (plan.distance <= 0).to(linear.device)
    found = measure_appearance(linear, tumor & free, around=known & ~tumor)
    spacing = host.volume.spacing
    return {
        "diameter_mm": equivalent_diameter_mm(int(label.sum()), spacing),
        "longest_mm": longest_mm(label, spacing),
        "appearance": found.to_dict(),
        "visible_share": seen.share,
        "contrast_to_noise": seen.contrast_to_noise,
    }
