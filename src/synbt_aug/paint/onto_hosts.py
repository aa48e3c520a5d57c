"""What was painted, put on the hosts' grids and looked at: a pure function of tensors.

Its launches depend on the shapes and types of what comes and on a few words: no number is read from
a tensor, none is copied to or from the CPU, and numbers of recipes come as tensors. On a GPU it can
be recorded once and replayed (`support/graphs.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from synbt_aug.grid.mask import blend_weight, box_to_work_in
from synbt_aug.grid.support import beside
from synbt_aug.grid.window import Window, to_region, to_window
from synbt_aug.paint.carried_on import carried_on
from synbt_aug.paint.phases import Curves, mix_for
from synbt_aug.signal.grain import coloured, measure_noise
from synbt_aug.signal.hole import HOLE_MARGIN_MM
from synbt_aug.signal.noise import normal_from
from synbt_aug.support.bits import masks_of
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.visibility import convincing, visibility_of
from synbt_aug.tumor.zones import Zones

#: Changes smaller than this, over the reference range, are none: the knee and its inverse give a
#: window back to about a millionth.
MIN_CHANGE = 1e-4


class ToWrite(NamedTuple):
    """B windows of one shape to be written; C channels, P of them further phases.

    Args:
        window: Any one of that shape and spacing.
        carries: Whether the painted edge goes on into what leaves the body (`carried_on`).
        painted: The texture's answer: windows before the knee, shape `(B, 2, d, h, w)`.
        linear: The windows as they were, likewise, where the difference to them is added; None:
            what was painted takes the hosts' place, with fresh noise (`Texture.replaces`).
        known: Tissue, boolean, shape `(B, d, h, w)`.
        distance, depth, outline: As in `LabelShape`.
        there: The hosts' voxels under the windows, shape `(B, C, m, n, o)`.
        free: Those that may change, boolean, shape `(B, m, n, o)`; by `bits_of` where they are to
            be sent.
        floor: Smallest values of the hosts, in their type, shape `(B, C, 1, 1, 1)`.
        low, span: Intensity references: `low` and `high - low`, shape `(B, C)`.
        shift_mm: How far resampling moves the surface, shape `(B,)`; None: nowhere.
        tumor, asked: Which are tumors, and whose contrast was asked for, boolean, `(B,)`.
        starts: Of the noise of pre and post, by `noise_starts`, `(B, 1)`.
        phase_starts: Of the noise of further phases, likewise; None: there are none.
        fractions, follows, uneven_starts: As in `phases.Curves`.
        blur_d, blur_h, blur_w: By `visibility.blurs_of`; None: nothing is a tumor.
    """

    window: Window
    carries: bool
    painted: Tensor
    linear: Tensor | None
    known: Tensor
    distance: Tensor
    depth: Tensor
    outline: Tensor | None
    there: Tensor
    free: Tensor
    floor: Tensor
    low: Tensor
    span: Tensor
    shift_mm: Tensor | None
    tumor: Tensor
    asked: Tensor
    starts: Tensor
    phase_starts: Tensor | None
    fractions: Tensor | None
    follows: Tensor | None
    uneven_starts: Tensor | None
    blur_d: Tensor | None
    blur_h: Tensor | None
    blur_w: Tensor | None

    @property
    def label(self) -> LabelShape:
        """The shapes, without radii: those are numbers."""
        return LabelShape(self.distance, self.depth, (), self.outline)

    @property
    def scale(self) -> Scale:
        """The hosts' units."""
        low, span = (t[..., None, None, None] for t in (self.low, self.span))
        return Scale(low, span, self.floor)


class OnHosts(NamedTuple):
    """What came of it.

    Args:
        stored: The hosts' voxels afterwards, in their type, shape `(B, C, m, n, o)`.
        label: What is labelled, boolean, shape `(B, m, n, o)`.
        support: What may have changed, likewise.
        rows: Of the `Verdict`, shape `(B, 8)`.
    """

    stored: Tensor
    label: Tensor
    support: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Footprint:
    """What of its host each window's shape touches: host voxels under the window, `(B, m, n, o)`.

    Args:
        distance: Signed distance to the shape's surface, in mm.
        weight: Of the blend, in [0, 1].
        label: Weight of at least .5, where the host is free.
        support: What may change: weight above 0, where the host is free, beside the label.
    """

    distance: Tensor
    weight: Tensor
    label: Tensor
    support: Tensor


@dataclass(frozen=True)
class Scale:
    """Intensity references of B hosts, shape `(B, C, 1, 1, 1)` each."""

    low: Tensor
    range: Tensor
    floor: Tensor

    def part(self, first: int, stop: int | None) -> Scale:
        """Those of some channels."""
        return Scale(*(t[:, first:stop] for t in (self.low, self.range, self.floor)))

    def to_linear(self, signal: Tensor) -> Tensor:
        """As `intensity.to_linear`."""
        return (signal - self.low) / self.range * 2 - 1

    def from_linear(self, linear: Tensor) -> Tensor:
        """As `intensity.from_linear`."""
        return (linear + 1) / 2 * self.range + self.low

    def amount(self, linear: Tensor) -> Tensor:
        """A difference in the hosts' units."""
        return linear / 2 * self.range


def onto_hosts(*values: object) -> OnHosts:
    """Write and look: a stage, of the fields of a `ToWrite`."""
    given = ToWrite(*values)  # type: ignore[arg-type]
    window, there, whole = given.window, given.there, given.scale
    painted = carried_on(given.painted, given.label) if given.carries else given.painted
    packed = given.free.dtype == torch.uint8
    free = masks_of(given.free, there.shape[2:]) if packed else given.free
    where = footprint(window, given.label.labelled, free, given.shift_mm)
    around = _around(given, where)
    scale = whole.part(0, 2)
    exact = there.dtype == torch.float64 or not there.is_floating_point()
    whole_working = there.to(torch.float64 if exact else torch.float32)
    old, working = there[:, :2], whole_working[:, :2]
    # Nothing changes beyond the support.
    part = (..., *box_to_work_in(where.support))
    weight, support = where.weight[:, None][part], where.support[:, None][part]
    if given.linear is None:
        content = to_region(painted, window)
        linear = scale.to_linear(working).to(torch.float32)
        noise = _fresh_noise(linear, around, given.starts)[part]
        new = _replaced(working[part], weight, content[part], noise, scale)
        del noise
    else:
        content = to_region(painted - given.linear, window)
        new = working[part] + weight * scale.amount(content[part])
    stored = old.clone()
    stored[part] = torch.where(support, _stored(new, old.dtype, scale.floor), old[part])
    del new  # in float64, of a fine scan: not to be held while the rest is measured
    rows = _look(given, where, free, old, stored, scale, painted)
    if there.shape[1] > 2:
        new = _further(given, where, around, content, whole_working, whole)
        floor = whole.floor[:, 2:]
        new = torch.where(where.support[:, None], _stored(new, there.dtype, floor), there[:, 2:])
        stored = torch.cat([stored, new], 1)
    return OnHosts(stored, where.label, where.support, rows)


def footprint(
    window: Window, distance: Tensor, free: Tensor, shift_mm: Tensor | None = None
) -> Footprint:
    """Where in their hosts shapes lie.

    Args:
        window: Any one of their shape and spacing.
        distance: Signed distance to their surfaces, in mm, shape `(B, *window.shape)`.
        free: Voxels of the hosts that may change, boolean, shape `(B, *window.region_shape)`.
        shift_mm: How far resampling moves the surface, shape `(B,)`; None: nowhere.

    Returns:
        The support ends at most 2 mm, or one voxel an axis, beyond the label. A label's volume is
        that of the shape's part over the host, to a voxel.
    """
    on_host = to_region(distance, window)
    if shift_mm is not None:
        on_host = on_host - shift_mm.view(-1, 1, 1, 1)
    weight = blend_weight(on_host)
    label = (weight >= 0.5) & free
    support = (weight > 0) & free & beside(label, window.spacing)
    return Footprint(on_host, weight, label, support)


def _replaced(
    working: Tensor, weight: Tensor, content: Tensor, noise: Tensor, scale: Scale
) -> Tensor:
    """What is painted in the host's place by the weight, with its noise, in the hosts' units."""
    # Host and new noise are independent: so weighted, their sum keeps its variance throughout.
    fresh = (2 * weight - weight.square()).sqrt() * scale.amount(noise)
    return working + weight * (scale.from_linear(content) - working) + fresh


def _further(
    given: ToWrite, where: Footprint, around: Tensor, content: Tensor, working: Tensor, scale: Scale
) -> Tensor:
    """The further phases as they are to be, in the hosts' units, shape `(B, P, m, n, o)`.

    Args:
        given: What was asked for.
        where: In the hosts.
        around: Tissue outside the holes.
        content: The painted pair, or its change, before the knee, `(B, 2, m, n, o)`.
        working: The hosts, all channels, `(B, 2 + P, m, n, o)`.
        scale: Of all channels.
    """
    assert given.phase_starts is not None
    linear = scale.to_linear(working).to(torch.float32)
    rest, units, weight = working[:, 2:], scale.part(2, None), where.weight[:, None]
    curves = Curves(given.fractions, given.follows, given.uneven_starts)
    mix = mix_for(curves, given.window, linear, around)
    if given.linear is not None:
        return rest + weight * units.amount(mix.change(content))
    noise = _fresh_noise(linear[:, 2:], around, given.phase_starts)
    return _replaced(rest, weight, mix.of(content), noise, units)


def _around(given: ToWrite, where: Footprint) -> Tensor:
    """Tissue outside the holes, on the hosts' grid, boolean, shape `(B, m, n, o)`."""
    known = to_region(given.known.to(torch.float32), given.window) >= 0.5
    # The widest hole of all textures: nothing of what lay there is looked at. The hole is one of
    # the body; distances from the outline may end before 3 mm, and more so where thick slices move
    # the surface.
    beyond = to_region(given.distance, given.window) > HOLE_MARGIN_MM
    return known & beyond & (where.weight == 0)


def _fresh_noise(linear: Tensor, around: Tensor, starts: Tensor) -> Tensor:
    """Noise like the hosts' around the tumors, on their own grid, before the knee."""
    noise = measure_noise(linear, around)
    return coloured(normal_from(starts, linear.shape[1:]), noise)


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


def _changed(old: Tensor, stored: Tensor, scale: Scale) -> Tensor:
    """Voxels that look another than before, boolean, shape `(B, m, n, o)`."""
    return ((stored.double() - old.double()).abs() > MIN_CHANGE * scale.range).any(1)


def _look(
    given: ToWrite,
    where: Footprint,
    free: Tensor,
    old: Tensor,
    stored: Tensor,
    scale: Scale,
    painted: Tensor,
) -> Tensor:
    """What is to be known of each window, as the rows of a `Verdict`."""
    finite = painted.isfinite().flatten(1).all(1)
    labelled = where.label.flatten(1).sum(1)
    box = (..., *box_to_work_in(where.support))
    changed = _changed(old[box], stored[box], scale)
    share = (changed & where.label[box]).flatten(1).sum(1) / labelled.clamp_min(1)
    some = (changed & where.support[box]).flatten(1).any(1)
    if given.blur_d is None or given.blur_h is None or given.blur_w is None:
        nothing = torch.zeros_like(share)
        return _rows(finite, labelled, share, some, nothing, nothing, nothing, finite & some)
    post = to_window(scale.to_linear(stored.to(torch.float32)), given.window)[:, 1]
    free = to_window(free.to(torch.float32), given.window) >= 0.5
    part = given.label.within(free & given.label.judged)
    blur = given.blur_d, given.blur_h, given.blur_w
    zones = Zones.of(part.distance, part.depth, given.known, blur)
    shown, contrast, ratio = visibility_of(post.flatten(1), zones).unbind(1)
    convinces = (labelled > 0) & convincing(shown, ratio, share, given.asked)
    stands = finite & torch.where(given.tumor, convinces, some)
    return _rows(finite, labelled, share, some, shown, contrast, ratio, stands)


def _rows(*columns: Tensor) -> Tensor:
    return torch.stack([column.to(torch.float32) for column in columns], 1)
