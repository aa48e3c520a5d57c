"""Intensity references of the whole case, kept where crops, caches and loaders carry them along."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms.transform import MapTransform
from monai.utils import TransformBackends

from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import IntensityReference, measure_reference, reference_of
from synbt_aug.transform import Notices, Sample, checked_keywords, signal_of
from synbt_aug_monai.call_text import call_text
from synbt_aug_monai.geometry import marked, recorded_grid, recorded_grid_of
from synbt_aug_monai.keys import image_keys
from synbt_aug_monai.scan import Recorded, plain

#: The dictionary's keys.
INTENSITY_KEY = "synbt_intensity"
GRID_KEY = "synbt_grid"

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

    The case's grid goes with them, (2, 3): voxel size in mm and number of voxels along the axes.
    It keeps the voxel size where metadata are dropped: `PersistentDataset` reads plain tensors
    back from its cache, `EnsureTyped(track_meta=False)` makes some. What is resampled after this
    transform voids both, so put it after `Spacingd` and `Orientationd`.

    Args:
        keys: One image that holds pre and post, or the keys of pre and post; what follows them
            needs no record of its own.
        pre_channel: Channel of pre, where one image holds both.
        post_channel: Likewise.
        intensity_key: Where to keep the references.
        grid_key: Where to keep the grid.
        allow_missing_keys: Leave samples alone that lack an image.

    Raises:
        SynBTError: If a keyword is unknown; on a sample, if a channel is not there, the values
            are no signal, or the affine is degenerate.
        KeyError: If a key is missing.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    @checked_keywords()
    def __init__(
        self,
        keys: KeysCollection = "image",
        pre_channel: int = 0,
        post_channel: int = 1,
        intensity_key: str = INTENSITY_KEY,
        allow_missing_keys: bool = False,
        grid_key: str = GRID_KEY,
    ) -> None:
        super().__init__(image_keys(keys), allow_missing_keys)
        self.pre_channel, self.post_channel = pre_channel, post_channel
        self.intensity_key, self.grid_key = intensity_key, grid_key
        self.notices = Notices()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Measure and store."""
        d = dict(data)
        if len(list(self.key_iterator(d))) < len(self.keys):
            return d
        tensors = [signal_of(plain(d[key]), f"RecordIntensityd: {key!r}") for key in self.keys]
        channels = (self.pre_channel, self.post_channel) if len(tensors) == 1 else (0, 0)
        try:
            pre, post = tensors[0][channels[0]], tensors[min(1, len(tensors) - 1)][channels[1]]
        except IndexError as error:
            raise SynBTError(
                f"RecordIntensityd needs channels {channels[0]} (pre) and {channels[1]} (post), "
                f"got shape {tuple(tensors[0].shape)}. Set pre_channel and post_channel, or pass "
                f"the keys of both images."
            ) from error
        dtype = torch.promote_types(pre.dtype, post.dtype)
        try:
            values = measure_reference(torch.stack([pre.to(dtype), post.to(dtype)])).to_tensor()
        except SynBTError as error:
            self.notices.warn(f"SynBT: a case without intensity references: {error}")
            values = torch.full((2, 2), torch.nan, dtype=torch.float64)
        d[self.intensity_key] = values
        grid = recorded_grid(d[self.keys[0]], self.keys[0])
        unknown = torch.full((2, 3), torch.nan, dtype=torch.float64)
        d[self.grid_key] = unknown if grid is None else grid.to_tensor()
        d.update({key: marked(d[key]) for key in self.keys})
        return d

    def __repr__(self) -> str:
        return call_text(type(self).__name__, {"keys": self.keys})


RecordIntensityD = RecordIntensityDict = RecordIntensityd


def recorded_in(d: Mapping[Hashable, Any], intensity_key: str, grid_key: str) -> Recorded:
    """What a sample holds.

    Raises:
        SynBTError: If it is that of a batch, or something else.
    """
    values = d.get(intensity_key)
    reference = None if values is None else reference_of(torch.as_tensor(values))
    return Recorded(reference, recorded_grid_of(d.get(grid_key)))


def usable_reference(sample: Sample, cropped: bool, notices: Notices) -> IntensityReference | None:
    """The references to paint with; None measures what is there.

    MONAI keeps no record of intensity transforms, so that references recorded before one are
    told by their scale alone.

    Args:
        sample: With what was recorded.
        cropped: Whether MONAI's record says that it is a crop.
        notices: Are told where the references are of another signal, or where there are none and
            the sample is a crop.
    """
    recorded = sample.reference
    if recorded is None:
        if cropped:
            notices.warn(
                "SynBT: the image was cropped, and its intensity references are measured on the "
                "crop. Put RecordIntensityd before the crop to use the whole case's."
            )
        return None
    try:
        here = measure_reference(sample.scans[:2])
    except SynBTError:
        return recorded
    for low, high, low_here, high_here in zip(
        recorded.low, recorded.high, here.low, here.high, strict=True
    ):
        wide, wide_here = high - low, high_here - low_here
        shift = abs(low_here - low)
        same_scale = wide / _SAME_SIGNAL <= wide_here <= wide * _SAME_SIGNAL
        if not same_scale or shift > _SAME_SIGNAL * wide:
            notices.warn(
                "SynBT: the recorded intensity references are of another signal than the image "
                "has now, and are not used. Put RecordIntensityd after normalisation, or the "
                "painting before it."
            )
            return None
    return recorded
