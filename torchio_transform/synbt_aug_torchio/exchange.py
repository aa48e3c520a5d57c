"""A subject's arrays -> `BreastVolume`, and a `Synthesis` back into the subject."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torchio as tio
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.volume import BreastVolume, Synthesis
from synbt_aug_torchio.fields import Fields


def read_volume(
    subject: tio.Subject,
    fields: Fields,
    tumor_label: int,
    paint_over: Sequence[int] = (),
    roi_labels: Sequence[int] = (),
) -> BreastVolume:
    """Pre, post, existing tumors and forbidden places, in the tensors' own axis order.

    Args:
        subject: With its label.
        fields: Where they are.
        tumor_label: Value of tumors; negative values mark voxels without signal.
        paint_over: Other values that a tumor may replace; the rest is forbidden.
        roi_labels: Values among those that mark where tumors may go, where `fields` names no roi.

    Raises:
        SynBTError: If the values cannot be painted on (constant, NaN).
    """
    pre = subject[fields.pre].data[fields.pre_channel]
    post = subject[fields.post].data[fields.post_channel]
    dtype = torch.promote_types(pre.dtype, post.dtype)
    label = subject[fields.label].data[0]
    seen = label >= 0
    free = [v for v in (0, tumor_label, *paint_over) if _holds(label.dtype, v)]
    roi = None if fields.roi is None else subject[fields.roi].data[0]
    if roi is None and roi_labels:
        marked = [v for v in roi_labels if _holds(label.dtype, v)]
        roi = torch.isin(label, torch.tensor(marked, dtype=label.dtype))
    return BreastVolume(
        torch.stack([pre.to(dtype), post.to(dtype)]),
        subject[fields.pre].spacing,
        tumor=label == tumor_label,
        forbidden=torch.isin(label, torch.tensor(free, dtype=label.dtype), invert=True),
        valid=None if bool(seen.all()) else seen,
        roi=roi,
    )


def write_synthesis(
    subject: tio.Subject, fields: Fields, painted: Synthesis, tumor_label: int
) -> None:
    """Put a painted volume and its label into the subject, by index; tensors are replaced."""
    content = (
        (fields.pre, fields.pre_channel, painted.image[0]),
        (fields.post, fields.post_channel, painted.image[1]),
    )
    new = {name: subject[name].data.clone() for name in {fields.pre, fields.post}}
    for name, channel, values in content:
        there = new[name][channel]
        there[painted.support] = _in_type(values[painted.support], there.dtype)
    label = subject[fields.label].data.clone()
    label[0][painted.tumor] = tumor_label
    new[fields.label] = label
    for name, data in new.items():
        subject[name].set_data(data)


def check_label_type(subject: tio.Subject, fields: Fields, tumor_label: int) -> None:
    """See that the label can hold the new value.

    Raises:
        SynBTError: If its type cannot.
    """
    dtype = subject[fields.label].data.dtype
    if not _holds(dtype, tumor_label):
        raise SynBTError(
            f"tumor_label is {tumor_label}, more than the type of {fields.label!r} holds "
            f"({dtype}). Convert the label, or choose a smaller tumor_label."
        )


def _holds(dtype: torch.dtype, value: int) -> bool:
    if dtype.is_floating_point:
        return True
    bounds = torch.iinfo(dtype)
    return bounds.min <= value <= bounds.max


def _in_type(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Another type, rounded and cut to what it holds; only where pre's and post's types differ."""
    if values.dtype == dtype:
        return values
    if dtype.is_floating_point:
        most = torch.finfo(dtype).max
        return values.clamp(-most, most).to(dtype)
    bounds = torch.iinfo(dtype)
    whole = values.round() if values.is_floating_point() else values
    return whole.clamp(bounds.min, bounds.max).to(dtype)


@contextmanager
def plain_numpy() -> Iterator[None]:
    """NumPy's own handling of 0/0 and the like; TorchIO makes each an exception."""
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        yield
