"""A subject's arrays -> a `Sample`, and a `Synthesis` back into the subject."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torchio as tio

from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.transform import (
    Sample,
    calculable,
    check_holds,
    painted_image,
    painted_label,
    signal_of,
)
from synbt_aug.volume import Synthesis
from synbt_aug_torchio.fields import Fields


def read_sample(
    subject: tio.Subject,
    fields: Fields,
    tumor_label: int,
    reference: IntensityReference | None = None,
) -> Sample:
    """Pre, post, label and roi, in the tensors' own axis order.

    Args:
        subject: With its label.
        fields: Where they are.
        tumor_label: Value of tumors, which the label must be able to hold.
        reference: Intensity references of the case.

    Raises:
        SynBTError: If an image holds no real-valued signal, or the label cannot hold the value.
    """
    label = subject[fields.label].data
    check_holds(label.dtype, tumor_label, f"{fields.label!r}")
    return Sample(
        pair_of(subject, fields),
        label[0],
        subject[fields.pre].spacing,
        None if fields.roi is None else calculable(subject[fields.roi].data[0]),
        reference,
        (subject[fields.pre].data.dtype, subject[fields.post].data.dtype),
    )


def pair_of(subject: tio.Subject, fields: Fields) -> torch.Tensor:
    """Pre and post of one type, shape `(2, W, H, D)`.

    Raises:
        SynBTError: If an image holds no real-valued signal.
    """
    pre = signal_of(subject[fields.pre].data, f"{fields.pre!r}")[fields.pre_channel]
    post = signal_of(subject[fields.post].data, f"{fields.post!r}")[fields.post_channel]
    dtype = torch.promote_types(pre.dtype, post.dtype)
    return torch.stack([pre.to(dtype), post.to(dtype)])


def write_synthesis(
    subject: tio.Subject, fields: Fields, painted: Synthesis, tumor_label: int
) -> None:
    """Put a painted volume and its label into the subject; its tensors are replaced by copies."""
    pre, post = painted.image
    channels = {fields.pre: {fields.pre_channel: pre}}
    channels.setdefault(fields.post, {})[fields.post_channel] = post
    new = {k: painted_image(subject[k].data, v, painted.support) for k, v in channels.items()}
    new[fields.label] = painted_label(subject[fields.label].data, painted.tumor, tumor_label)
    for name, data in new.items():
        subject[name].set_data(data)


@contextmanager
def plain_numpy() -> Iterator[None]:
    """NumPy's own handling of 0/0 and the like; TorchIO makes each an exception."""
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        yield
