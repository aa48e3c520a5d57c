"""One intensity map for training and for every host.

Each channel is mapped affinely by two robust references of the case, then softly compressed
above 1, never clipped: on a real case 96 % of the tumor's voxels lie above the volume's 99.5th
percentile, and a clip would flatten them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.support.device import sent
from synbt_aug.volume import channel_name

#: Percentile of the valid voxels that maps to -1.
LOW_PERCENTILE = 0.5

#: Body: voxels brighter than this share of the valid voxels' `BRIGHT_PERCENTILE`, above `low`.
BODY_SHARE = 0.25
BRIGHT_PERCENTILE = 90.0

#: `high` lies this many body medians above `low`. Fibroglandular tissue then comes near .5 and
#: the brightest .5 % of a scan near 2.
HIGH_MEDIANS = 2.5

#: By how much the body's threshold lies above the share itself: signals are whole numbers, of which
#: one often equals it, and scaled by no power of two would fall on either side.
_BEYOND_A_TIE = 1e-5

#: Steps of what the networks see, in a unit of q: a sixtieth of a scan's noise, a step of bfloat16
#: between .5 and 1. Its cells begin at an irrational part of a step, where no whole number of a
#: scan comes to lie: a tie would be decided by rounding.
_STEPS = 256
_CELLS_BEGIN = (math.sqrt(5) - 1) / 2

#: A volume is read at about this many voxels; more moves no reference by 1 %.
_SAMPLE = 300_000

Pair = tuple[float, float]

#: One number a channel: pre, the painted post, further phases.
PerChannel = tuple[float, ...]


@dataclass(frozen=True)
class IntensityReference:
    """The two signal levels of each channel that the map sends to -1 and 1.

    Args:
        low: Of pre, post and further phases, in the units of the image.
        high: Likewise, larger than `low`.

    Raises:
        SynBTError: If there are fewer than two channels, a value is not finite or `high` does
            not exceed `low`.
    """

    low: PerChannel
    high: PerChannel

    def __post_init__(self) -> None:
        if len(self.low) < 2 or len(self.low) != len(self.high):
            raise SynBTError(
                f"IntensityReference needs low and high of pre, post and further phases, got "
                f"{len(self.low)} low and {len(self.high)} high. Measure them with "
                f"measure_reference(image)."
            )
        for channel, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not (math.isfinite(low) and math.isfinite(high) and high > low):
                raise SynBTError(
                    f"IntensityReference needs low < high in each channel, got low={low:g}, "
                    f"high={high:g} in {channel_name(channel)}. Measure them with "
                    f"measure_reference(image)."
                )

    @property
    def channels(self) -> int:
        """How many channels these are of."""
        return len(self.low)

    @property
    def pair(self) -> IntensityReference:
        """Those of pre and post alone."""
        return IntensityReference(self.low[:2], self.high[:2])

    def range(self, like: Tensor) -> Tensor:
        """`high - low`, shape `(C, 1, 1, 1)`, on the device of `like`."""
        return _column([h - low for low, h in zip(self.low, self.high, strict=True)], like)

    def to_tensor(self) -> Tensor:
        """Rows pre and post, columns low and high: shape `(C, 2)`, float64. See `reference_of`."""
        return torch.tensor([self.low, self.high], dtype=torch.float64).T.contiguous()

    def to_dict(self) -> dict[str, list[float]]:
        """JSON-ready; the inverse of `from_dict`."""
        return {"low": list(self.low), "high": list(self.high)}

    @classmethod
    def from_dict(cls, values: dict[str, list[float]]) -> IntensityReference:
        """Read what `to_dict` wrote.

        Raises:
            SynBTError: If a pair is missing or unreadable.
        """
        try:
            low, high = (tuple(float(v) for v in values[name]) for name in ("low", "high"))
            if len(low) < 2 or len(low) != len(high):
                raise ValueError("two channels or more")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise SynBTError(
                f'IntensityReference needs {{"low": [pre, post], "high": [pre, post]}}, got '
                f"{values}."
            ) from error
        return cls(low, high)


def reference_of(values: Tensor) -> IntensityReference | None:
    """The references that a loader carries along as a tensor.

    Args:
        values: Of one case, as `IntensityReference.to_tensor` gives them, shape `(2, 2)`.

    Returns:
        None where they are NaN: those of the case could not be measured.

    Raises:
        SynBTError: If the shape is another, or the values are no references.
    """
    if not isinstance(values, Tensor) or tuple(values.shape) != (2, 2):
        raise SynBTError(
            f"Intensity references of one case need a tensor of shape (2, 2), got "
            f"{_what_came(values)}. Those of a batch are batch['synbt_intensity']: pass them "
            f"whole to SynBTInjector, or one by one."
        )
    if bool(values.isnan().any()):
        return None
    (low_pre, high_pre), (low_post, high_post) = values.tolist()
    return IntensityReference((low_pre, low_post), (high_pre, high_post))


def references_of(
    values: Tensor | Sequence[IntensityReference | Tensor | None],
) -> list[IntensityReference | None]:
    """Those of a batch.

    Args:
        values: As a loader collates them, shape `(B, 2, 2)`; or one entry a case, a reference, a
            tensor as for `reference_of`, or None.

    Raises:
        SynBTError: If an entry is none of these.
    """
    found: list[IntensityReference | None] = []
    for value in values:
        if value is None or isinstance(value, IntensityReference):
            found.append(value)
        else:
            found.append(reference_of(value))
    return found


def _what_came(values: object) -> str:
    return f"{tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return sent(torch.tensor(values, dtype=torch.float32), like.device).view(-1, 1, 1, 1)


def _channel_reference(voxels: Tensor) -> Pair:
    """`low` and `high` of one channel's voxels, shape `(n,)`, any real dtype."""
    ordered = sorted_values(voxels).to(torch.float64)
    low = ordered[int(LOW_PERCENTILE / 100 * (len(ordered) - 1))].item()
    above = ordered - low
    # One step, not a fixed point: where noise is strong, "above a quarter of its own median"
    # walks down into the air. Otsu's threshold jumps when a large bright tumor comes in.
    bright = above[int(BRIGHT_PERCENTILE / 100 * (len(above) - 1))].item()
    threshold = BODY_SHARE * bright * (1 + _BEYOND_A_TIE)
    body = above[int(torch.searchsorted(above, threshold, right=True)) :]
    median = body[(len(body) - 1) // 2].item() if len(body) else 0.0
    return low, low + HIGH_MEDIANS * median


def sorted_values(values: Tensor) -> Tensor:
    """In ascending order along the last axis, in their own dtype; as fast as there is a way to.

    torch sorts short integers 15 times as fast as floats on a CPU, numpy floats 2 to 4 times as
    fast as torch.
    """
    if values.device.type == "cpu" and values.dtype in (torch.float32, torch.float64):
        return torch.from_numpy(np.sort(values.numpy()))
    return values.sort().values


def ranked_value(values: Tensor, rank: Tensor) -> Tensor:
    """The value of a rank among others, of which a CPU sorts no more than it must.

    Args:
        values: Shape `(..., n)`, floating point.
        rank: From 0, the smallest, to n - 1, int64, shape `(..., 1)`.

    Returns:
        Shape `(..., 1)`.
    """
    if values.device.type != "cpu":
        return values.sort().values.gather(-1, rank)
    rows = values.reshape(-1, values.shape[-1]).numpy()
    found = [np.partition(row, at)[at] for row, at in zip(rows, rank.flatten().tolist())]
    return torch.from_numpy(np.array(found, rows.dtype)).view(rank.shape)


def measure_reference(image: Tensor, valid: Tensor | None = None) -> IntensityReference:
    """Measure the references of a case.

    Args:
        image: Pre, post and further phases, shape `(C, D, H, W)`, any scale and dtype.
        valid: Voxels that carry signal, boolean, shape `(D, H, W)`. None: all.

    Returns:
        References that follow any affine change of a channel: for powers of two bitwise.

    Raises:
        SynBTError: If fewer than 64 voxels are valid or a channel's body is constant.
    """
    pairs = []
    for number, channel in enumerate(image):
        voxels = channel.flatten() if valid is None else channel[valid]
        if len(voxels) < 64:
            raise SynBTError(
                f"Intensity references need at least 64 valid voxels, got {len(voxels)} of "
                f"{channel.numel()}. Check the valid mask."
            )
        # An odd step does not lock to a row length that is a power of two.
        step = max(1, len(voxels) // _SAMPLE) | 1
        low, high = _channel_reference(voxels[::step])
        if not high > low:
            raise SynBTError(
                f"Intensity references need signal, but the {channel_name(number)} channel is "
                f"constant at {low:g} over its body. Check the file and the valid mask."
            )
        pairs.append((low, high))
    return IntensityReference(tuple(low for low, _ in pairs), tuple(high for _, high in pairs))


def extended_reference(
    reference: IntensityReference, image: Tensor, valid: Tensor | None = None
) -> IntensityReference:
    """References of further phases, carried over from those of post.

    On a crop a phase's own percentiles may lie far from its case's, but they lie to those of post
    in the same crop as they do in the case: the two scans are nearly one image.

    Args:
        reference: Of the case, in its first channels at least pre and post.
        image: The case or a crop of it, shape `(C, D, H, W)`.
        valid: As for `measure_reference`.

    Returns:
        Of all C channels; `reference` itself where it has them.

    Raises:
        SynBTError: As `measure_reference` does.
    """
    known, count = reference.channels, image.shape[0]
    if known >= count:
        return reference
    here = measure_reference(torch.cat([image[1:2], image[known:]]), valid)
    spans = [high - low for low, high in zip(here.low, here.high, strict=True)]
    low, high = list(reference.low), list(reference.high)
    for k in range(1, len(spans)):
        gain = spans[k] / spans[0]
        low.append(here.low[k] + gain * (reference.low[1] - here.low[0]))
        high.append(low[-1] + gain * (reference.high[1] - reference.low[1]))
    return IntensityReference(tuple(low), tuple(high))


def to_linear(image: Tensor, reference: IntensityReference) -> Tensor:
    """S = 2 (x - low) / (high - low) - 1.

    Args:
        image: Shape `(..., C, D, H, W)`, any dtype.
        reference: Of the case, of the same channels.

    Returns:
        Same shape, float32; ordinary tissue fills [-1, 1].
    """
    x = image.to(torch.float32)
    return (x - _column(reference.low, x)) / reference.range(x) * 2 - 1


def from_linear(s: Tensor, reference: IntensityReference) -> Tensor:
    """Inverse of `to_linear`, float32."""
    return (s + 1) / 2 * reference.range(s) + _column(reference.low, s)


def knee(s: Tensor) -> Tensor:
    """Soft compression above 1: s -> 1 + ln s. Identity below, smooth at 1."""
    return torch.where(s > 1, 1 + torch.log(s.clamp_min(1)), s)


def inverse_knee(q: Tensor) -> Tensor:
    """Inverse of `knee`; above q = 5 (55 in s) it stops growing, against stray network output."""
    return torch.where(q > 1, torch.exp(q.clamp(1, 5) - 1), q)


def in_steps(q: Tensor) -> Tensor:
    """What the networks see, so coarse that a scan scaled by any factor is the same to them.

    A scan that is scaled differs in the last bit, 1e-7 of its range, which bfloat16 makes .004
    where it rounds the other way, and the codebook another code.

    Args:
        q: Mapped intensities, any shape.

    Returns:
        Same shape, within 1/512 of it.
    """
    return ((q * _STEPS + _CELLS_BEGIN).floor() + (0.5 - _CELLS_BEGIN)) / _STEPS


def to_model(image: Tensor, reference: IntensityReference) -> Tensor:
    """Signal -> what the networks see: `knee(to_linear(image))`, float32, same shape."""
    return knee(to_linear(image, reference))


def from_model(q: Tensor, reference: IntensityReference) -> Tensor:
    """What the networks see -> signal, float32; the inverse of `to_model`."""
    return from_linear(inverse_knee(q), reference)
