"""Intensity references of the whole case, kept where crops, caches and loaders carry them along."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms.transform import MapTransform
from monai.utils import TransformBackends, convert_to_tensor

from synbt_aug.errors import SynBTError
from synbt_aug.intensity import IntensityReference, measure_reference
from synbt_aug_monai.keys import image_keys
from synbt_aug_monai.options import call_text
from synbt_aug_monai.scan import Scan, warn_once

#: The dictionary's key.
INTENSITY_KEY = "synbt_intensity"

#: The range of a crop is that of its case within this factor, unless the signal was rescaled.
_SAME_SIGNAL = 5.0


class RecordIntensityd(MapTransform):
    """Record the intensity references of the whole case for a `SynBTTumord` after a crop.

    Put it where the image is whole and its intensities are those that `SynBTTumord` will see:
    after normalisation, before crops. A crop measured by itself may show mostly tumor or fat,
    and its tumors come out too bright or too dim. It has no chance in it: caches keep its result.

    The references are a plain float64 tensor of shape (2, 2), rows pre and post, columns low and
    high in the image's units: MONAI's crops copy it to every patch, and loaders stack it to
    (B, 2, 2), which `SynBTInjector` takes as `references`. Where they cannot be measured (constant
    or non-finite signal) they are NaN, so that batches still collate, and are not used.

    Args:
        keys: One image that holds pre and post, or the keys of pre and post.
        pre_channel: Channel of pre, where one image holds both.
        post_channel: Likewise.
        intensity_key: Where to keep them.
        allow_missing_keys: Leave samples alone that lack an image.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    def __init__(
        self,
        keys: KeysCollection = "image",
        pre_channel: int = 0,
        post_channel: int = 1,
        intensity_key: str = INTENSITY_KEY,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(image_keys(keys), allow_missing_keys)
        self.pre_channel, self.post_channel = pre_channel, post_channel
        self.intensity_key = intensity_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Measure and store."""
        d = dict(data)
        if len(list(self.key_iterator(d))) < len(self.keys):
            return d
        tensors = [convert_to_tensor(d[key], track_meta=False) for key in self.keys]
        channels = (self.pre_channel, self.post_channel) if len(tensors) == 1 else (0, 0)
        try:
            pre, post = tensors[0][channels[0]], tensors[-1][channels[1]]
        except IndexError as error:
            raise SynBTError(
                f"RecordIntensityd needs channels {channels[0]} (pre) and {channels[1]} (post), "
                f"got shape {tuple(tensors[0].shape)}. Set pre_channel and post_channel, or pass "
                f"the keys of both images."
            ) from error
        try:
            found = measure_reference(torch.stack([pre, post]))
            values = found.to_tensor()
        except SynBTError as error:
            warn_once(f"SynBT: a case without intensity references: {error}")
            values = torch.full((2, 2), torch.nan, dtype=torch.float64)
        d[self.intensity_key] = values
        return d

    def __repr__(self) -> str:
        return call_text(type(self).__name__, {"keys": self.keys})


RecordIntensityD = RecordIntensityDict = RecordIntensityd


def usable_reference(
    recorded: IntensityReference | None, scan: Scan, channels: tuple[int, int]
) -> IntensityReference | None:
    """The references to paint with; None measures what is there.

    MONAI keeps no record of intensity transforms, so that references recorded before one are
    told by their scale alone. Warns once where they are of another signal, or where there are
    none and the sample is a crop.

    Args:
        recorded: Of the whole case.
        scan: The sample.
        channels: Of pre and post.
    """
    if recorded is None:
        if scan.cropped:
            warn_once(
                "SynBT: the image was cropped, and its intensity references are measured on the "
                "crop. Put RecordIntensityd before the crop to use the whole case's."
            )
        return None
    try:
        here = measure_reference(scan.image[list(channels)])
    except SynBTError:
        return recorded
    for low, high, low_here, high_here in zip(
        recorded.low, recorded.high, here.low, here.high, strict=True
    ):
        wide, wide_here = high - low, high_here - low_here
        shift = abs(low_here - low)
        same_scale = wide / _SAME_SIGNAL <= wide_here <= wide * _SAME_SIGNAL
        if not same_scale or shift > _SAME_SIGNAL * wide:
            warn_once(
                "SynBT: the recorded intensity references are of another signal than the image "
                "has now, and are not used. Put RecordIntensityd after normalisation, or the "
                "painting before it."
            )
            return None
    return recorded
