"""A sample as MONAI holds it -> a `Sample` of plain tensors, and back.

Arrays may be NumPy arrays, tensors or MetaTensors, and come back as what they were.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.utils import convert_to_dst_type, convert_to_tensor
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.transform import (
    Notices,
    Place,
    Sample,
    SeriesPlaces,
    calculable,
    check_holds,
    find_series,
    painted_image,
    painted_label,
    signal_of,
)
from synbt_aug.volume import Spacing, Synthesis
from synbt_aug_monai.geometry import RecordedGrid, check_grids, voxel_size
from synbt_aug_monai.keys import channels_of

#: Names of what the array transforms take, for errors.
IMAGE, LABEL, ROI = "the image", "the label", "the roi"


@dataclass(frozen=True)
class Recorded:
    """What `RecordIntensityd` left in a sample.

    Args:
        reference: Intensity references of the case; None: none that can be used.
        grid: Of the case; None: its voxel size was not known.
    """

    reference: IntensityReference | None = None
    grid: RecordedGrid | None = None


def read_sample(
    who: str,
    images: Mapping[Hashable, NdarrayOrTensor],
    label: tuple[Hashable, NdarrayOrTensor],
    settings: InjectionSettings,
    roi: tuple[Hashable, NdarrayOrTensor] | None = None,
    *,
    others: Callable[[tuple[int, ...]], list[str]] = lambda shape: [],
    spacing: Spacing | None,
    recorded: Recorded,
    notices: Notices,
) -> tuple[Sample, SeriesPlaces]:
    """Read a sample.

    Args:
        who: The transform's name, for errors.
        images: By name: one that holds the series, or pre, post and others of one channel each,
            shape `(C, H, W, D)`.
        label: Name and array, shape `(1, H, W, D)`.
        settings: With channels, and the value of tumors, which the label must be able to hold.
        roi: Name and array, shape `(1, H, W, D)`; None: nobody said.
        others: Names of channels that a network may see and that are not passed, by their shape.
        spacing: Voxel size along H, W and D, in mm; None takes it from the image.
        recorded: What `RecordIntensityd` left.
        notices: Are told what is painted, and where the voxel size is not known, or the record
            does not fit.

    Returns:
        The sample, and where its channels came from.

    Raises:
        SynBTError: If shapes, types or grids do not fit each other, or a channel would contradict
            the label.
    """
    tensors = {name: plain(image, f"{name!r}", who) for name, image in images.items()}
    for name, tensor in tensors.items():
        if tensor.ndim != 4:
            raise SynBTError(
                f"{who} needs a channel-first 3D image of shape (C, H, W, D), got "
                f"{tuple(tensor.shape)} in {name!r}. Put EnsureChannelFirst before it, and paint "
                f"before batches are made."
            )
    pair = _pair(who, tensors, (settings.pre_channel, settings.post_channel))
    expected = (1, *pair.shape[1:])
    plain_label = plain(label[1], f"{label[0]!r}", who)
    if tuple(plain_label.shape) != expected:
        raise SynBTError(
            f"{who} needs a label of shape {expected}, got {tuple(plain_label.shape)}. Paint "
            f"before one-hot encodings, on the image's grid."
        )
    where = None if roi is None else plain(roi[1], f"{roi[0]!r}", who)
    if where is not None and tuple(where.shape) != expected:
        raise SynBTError(
            f"{who} needs a roi of shape {expected}, got {tuple(where.shape)}. Crop and resample "
            f"it with the image."
        )
    check_holds(_dtype(label[1], plain_label), settings.tumor_label, f"{label[0]!r}")
    check_grids(who, {**images, label[0]: label[1], **({} if roi is None else {roi[0]: roi[1]})})
    names, places, painted = channels_of(images, (settings.pre_channel, settings.post_channel))
    names += (further := others(tuple(pair.shape[1:])))
    places += [None] * len(further)

    def read(place: Place) -> Tensor:
        return signal_of(tensors[place[0]], f"{who}: {place[0]!r}")[place[1]]

    series = find_series(names, places, painted, settings, notices, read)
    reference = recorded.reference
    if spacing is None:
        d, h, w = pair.shape[1:]
        first = next(iter(images.values()))
        spacing, still = voxel_size(first, (d, h, w), recorded.grid, notices)
        reference = reference if still else None
    if spacing is None:
        notices.warn(
            f"SynBT: {who} takes 1 mm voxels, since the image brings no affine. Pass spacing=(h, "
            f"w, d) in mm, or images as LoadImage reads them, with RecordIntensityd before a "
            f"cache that drops metadata."
        )
        spacing = (1.0, 1.0, 1.0)
    where = None if where is None else calculable(where[0])
    scans = _together(who, [read(place) for place in series.scans])
    dtypes = tuple(_dtype(images[name], tensors[name]) for name, _ in series.scans)
    subtractions = tuple(_together(who, [scans[0], read(p)])[1] for p in series.subtractions)
    sample = Sample(
        scans,
        plain_label[0],
        spacing,
        where,
        reference,
        dtypes,
        series.earlier,
        subtractions,
    )
    return sample, series


def _dtype(array: NdarrayOrTensor, converted: Tensor) -> torch.dtype:
    """The type of an array as it came; MONAI turns NumPy's unsigned integers into wider ones."""
    name = array.dtype.name if isinstance(array, np.ndarray) else ""
    dtype: torch.dtype = getattr(torch, name, converted.dtype)
    return dtype


def _pair(who: str, tensors: Mapping[Hashable, Tensor], channels: tuple[int, int]) -> Tensor:
    """Pre and post of one type, shape `(2, H, W, D)`."""
    signals = [signal_of(tensor, f"{who}: {name!r}") for name, tensor in tensors.items()]
    if len(signals) == 1:
        (image,) = signals
        if image.shape[0] <= max(channels):
            raise SynBTError(
                f"{who} needs channels {channels[0]} (pre) and {channels[1]} (post), got an image "
                f"of shape {tuple(image.shape)}. Set pre_channel and post_channel, or pass the "
                f"keys of both images."
            )
        return torch.stack([image[channels[0]], image[channels[1]]])
    pre, post = signals[:2]
    if pre.shape != post.shape or pre.shape[0] != 1:
        raise SynBTError(
            f"{who} needs pre and post of one shape (1, H, W, D), got {tuple(pre.shape)} and "
            f"{tuple(post.shape)}. Resample one to the other, for example with ResampleToMatchd."
        )
    dtype = torch.promote_types(pre.dtype, post.dtype)
    return torch.cat([pre.to(dtype), post.to(dtype)])


def _together(who: str, scans: Sequence[Tensor]) -> Tensor:
    """Channels of one type, shape `(len(scans), H, W, D)`."""
    if odd := [scan for scan in scans if scan.shape != scans[0].shape]:
        raise SynBTError(
            f"{who} needs all channels of a series on one grid, got {tuple(scans[0].shape)} and "
            f"{tuple(odd[0].shape)}. Resample them, for example with ResampleToMatchd."
        )
    dtype = functools.reduce(torch.promote_types, (scan.dtype for scan in scans))
    return torch.stack([scan.to(dtype) for scan in scans])


def write_sample(
    painted: Synthesis | None,
    images: Mapping[Hashable, NdarrayOrTensor],
    series: SeriesPlaces,
    subtractions: Sequence[Tensor],
    label: NdarrayOrTensor,
    tumor_label: int,
) -> tuple[list[Any], Any]:
    """Images and label after painting, in the types that they came in.

    Args:
        painted: None, or unchanged with a reason: nothing is written.
        images: As they came.
        series: Where their channels are.
        subtractions: As `subtractions_after` gives them; empty where nothing was painted.
        label: As it came.
        tumor_label: Value of tumors.

    Returns:
        New images and a new label; the ones that came where nothing was painted.
    """
    if painted is None or not painted.painted:
        return [give_back(image) for image in images.values()], give_back(label)
    contents: dict[Hashable, dict[int, Tensor]] = {}
    places = (*series.scans, *series.subtractions)
    for (name, channel), values in zip(places, (*painted.image, *subtractions), strict=True):
        contents.setdefault(name, {})[channel] = values
    new = [
        give_back(
            image,
            painted_image(plain(image), contents[name], painted.support)
            if name in contents
            else None,
        )
        for name, image in images.items()
    ]
    return new, give_back(label, painted_label(plain(label), painted.tumor, tumor_label))


def give_back(there: Any, new: Tensor | None = None) -> Any:
    """`new` as what `there` is (array, tensor, MetaTensor); None: `there`.

    As everywhere in MONAI, without tracking a MetaTensor comes back as a plain tensor.
    """
    if isinstance(there, MetaTensor) and not get_track_meta():
        there = there.as_tensor()
    if new is None:
        return there
    # NumPy's unsigned integers are painted as wider ones, which torch knows: cut to their range.
    wider = isinstance(there, np.ndarray) and there.dtype.kind == "u"
    return convert_to_dst_type(new, dst=there, safe=wider)[0]


def plain(array: NdarrayOrTensor, what: str = "An image", who: str = "SynBT") -> Tensor:
    """An array as a tensor without metadata; it shares the memory where it can.

    Raises:
        SynBTError: If it is no array.
    """
    tensor = convert_to_tensor(array, track_meta=False)
    if not isinstance(tensor, Tensor):
        raise SynBTError(
            f"{who} needs {what} as an array or tensor, got {type(array).__name__}. Put "
            f"LoadImage before it."
        )
    return tensor
