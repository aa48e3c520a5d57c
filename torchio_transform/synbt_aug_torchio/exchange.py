"""A subject's arrays -> a `Sample`, and a `Synthesis` back into the subject."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torchio as tio

from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.transform import (
    Place,
    Sample,
    SeriesPlaces,
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
    series: SeriesPlaces,
    tumor_label: int,
    reference: IntensityReference | None = None,
) -> Sample:
    """The scans, label and roi, in the tensors' own axis order.

    Args:
        subject: With its label.
        fields: Where label and roi are.
        series: Where the scans are.
        tumor_label: Value of tumors, which the label must be able to hold.
        reference: Intensity references of the case.

    Raises:
        SynBTError: If an image holds no real-valued signal, or the label cannot hold the value.
    """
    label = subject[fields.label].data
    check_holds(label.dtype, tumor_label, f"{fields.label!r}")
    return Sample(
        scans_of(subject, series.scans),
        label[0],
        subject[fields.pre].spacing,
        None if fields.roi is None else calculable(subject[fields.roi].data[0]),
        reference,
        tuple(subject[name].data.dtype for name, _ in series.scans),
        series.earlier,
        tuple(scans_of(subject, [place])[0] for place in series.subtractions),
    )


def scans_of(subject: tio.Subject, places: Sequence[Place]) -> torch.Tensor:
    """Channels of one type, shape `(len(places), W, H, D)`.

    Raises:
        SynBTError: If an image holds no real-valued signal.
    """
    scans = [signal_of(subject[name].data, f"{name!r}")[channel] for name, channel in places]
    dtype = functools.reduce(torch.promote_types, (scan.dtype for scan in scans))
    return torch.stack([scan.to(dtype) for scan in scans])


def write_synthesis(
    subject: tio.Subject,
    fields: Fields,
    series: SeriesPlaces,
    painted: Synthesis,
    subtractions: Sequence[torch.Tensor],
    tumor_label: int,
) -> None:
    """Put a painted volume and its label into the subject; its tensors are replaced by copies.

    Args:
        subject: Where to.
        fields: Where the label is.
        series: Where the scans and subtractions are.
        painted: The scans.
        subtractions: As `subtractions_after` gives them.
        tumor_label: Value of tumors.
    """
    channels: dict[Hashable, dict[int, torch.Tensor]] = {}
    places = (*series.scans, *series.subtractions)
    for (name, channel), values in zip(places, (*painted.image, *subtractions), strict=True):
        channels.setdefault(name, {})[channel] = values
    new = {k: painted_image(subject[k].data, v, painted.support) for k, v in channels.items()}
    new[fields.label] = painted_label(subject[fields.label].data, painted.tumor, tumor_label)
    for name, data in new.items():
        subject[name].set_data(data)


@contextmanager
def plain_numpy() -> Iterator[None]:
    """NumPy's own handling of 0/0 and the like; TorchIO makes each an exception."""
    with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
        yield
