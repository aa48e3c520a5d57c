"""Where tumors may go in the whole case, kept where crops, caches and loaders carry it along."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform
from monai.utils import TransformBackends
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.tissue.site_lookup import grid_middles, grid_voxels
from synbt_aug.transform import (
    NOT_GIVEN,
    Notices,
    Origin,
    RecordedSites,
    checked_keywords,
    find_recorded,
    merged_settings,
    signal_of,
)
from synbt_aug.volume import Spacing
from synbt_aug_monai.call_text import call_text
from synbt_aug_monai.geometry import affine_since_recorded, marked, recorded_grid
from synbt_aug_monai.keys import image_keys
from synbt_aug_monai.scan import plain

#: The dictionary's keys.
SITES_KEY = "synbt_sites"
AFFINE_KEY = "synbt_sites_affine"


class RecordSitesd(MapTransform):
    """Find where tumors may go in the whole case, for a `SynBTTumord` after a crop.

        Compose([LoadImaged(["image", "label"]), ..., RecordIntensityd("image"), RecordSitesd(),
                 RandSpatialCropd(["image", "label"], 128), SynBTTumord(prob=0.5)])

    A crop shows too little to tell breast from chest wall, and looking for its tissues takes time
    in every call. Here they are found once, where the image is whole, and `SynBTTumord` looks its
    places up. It has no chance in it: caches (`CacheDataset`, `PersistentDataset`) keep its result.
    Put it after `Spacingd` and `Orientationd`, before crops.

    The map is an entry of bytes, 2 MB for 192x192x128 mm, which crops hand on as it is; the image's
    affine tells which crop, flip, rotation or zoom it went through, so nothing need be added to
    their keys. What an affine does not tell (elastic deformation by more than some millimetres,
    another image under the same key) is noticed by the image itself: the map is then not used, and
    a warning says so. `SynBTTumord` takes both entries off the sample, so that batches collate.

    Args:
        keys: As for `RecordIntensityd`.
        label_key: Of the label; None, or a key that is not there: no tumor is labelled.
        spacing: Voxel size along the image's axes, in mm; None takes it from the affine.
        settings: Those of the `SynBTTumord`; what decides about sites must be the same there.
        sites_key: Where to keep the map.
        affine_key: Where to keep where it was found.
        allow_missing_keys: Leave samples alone that lack an image.
        pre_channel: This and the rest are settings, as `InjectionSettings` describes them.

    Raises:
        SynBTError: If a keyword is unknown; on a sample, if a channel is not there.
        KeyError: If a key is missing.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    @checked_keywords()
    def __init__(
        self,
        keys: KeysCollection = "image",
        label_key: Hashable | None = "label",
        *,
        spacing: Spacing | None = None,
        settings: InjectionSettings | None = None,
        sites_key: str = SITES_KEY,
        affine_key: str = AFFINE_KEY,
        allow_missing_keys: bool = False,
        pre_channel: int = NOT_GIVEN,
        post_channel: int = NOT_GIVEN,
        tissue: str = NOT_GIVEN,
        tumor_label: int = NOT_GIVEN,
        paint_over: tuple[int, ...] = NOT_GIVEN,
        roi_labels: tuple[int, ...] = NOT_GIVEN,
        only_free_side: bool = NOT_GIVEN,
        precision: str = NOT_GIVEN,
    ) -> None:
        self.settings = merged_settings(type(self).__name__, settings, locals())
        super().__init__(image_keys(keys), allow_missing_keys)
        self.label_key, self.spacing = label_key, spacing
        self.sites_key, self.affine_key = sites_key, affine_key
        self.notices = Notices()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Find and store."""
        d = dict(data)
        if len(list(self.key_iterator(d))) < len(self.keys):
            return d
        tensors = [signal_of(plain(d[key]), f"RecordSitesd: {key!r}") for key in self.keys]
        s = self.settings
        channels = (s.pre_channel, s.post_channel) if len(tensors) == 1 else (0, 0)
        try:
            pre, post = tensors[0][channels[0]], tensors[min(1, len(tensors) - 1)][channels[1]]
        except IndexError as error:
            raise SynBTError(
                f"RecordSitesd needs channels {channels[0]} (pre) and {channels[1]} (post), got "
                f"shape {tuple(tensors[0].shape)}. Set pre_channel and post_channel, or pass the "
                f"keys of both images."
            ) from error
        dtype = torch.promote_types(pre.dtype, post.dtype)
        label = None
        if self.label_key is not None and self.label_key in d:
            label = plain(d[self.label_key])[0]
        first = d[self.keys[0]]
        found = find_recorded(
            torch.stack([pre.to(dtype), post.to(dtype)]),
            label,
            self._spacing(first),
            s,
            self.notices,
        )
        d[self.sites_key] = found.to_bytes()
        affine = first.affine if isinstance(first, MetaTensor) else torch.eye(4)
        d[self.affine_key] = affine.detach().cpu().to(torch.float64).clone()
        d.update({key: marked(d[key]) for key in self.keys})
        return d

    def _spacing(self, image: Any) -> Spacing:
        if self.spacing is not None:
            return self.spacing
        grid = recorded_grid(image, self.keys[0])
        if grid is None:
            self.notices.warn(
                "SynBT: RecordSitesd takes 1 mm voxels, since the image brings no affine. Pass "
                "spacing=(h, w, d) in mm, or images as LoadImage reads them."
            )
        return (1.0, 1.0, 1.0) if grid is None else grid.spacing

    def __repr__(self) -> str:
        return call_text(type(self).__name__, {"keys": self.keys, "label_key": self.label_key})


RecordSitesD = RecordSitesDict = RecordSitesd


def origin_in(
    image: Any, packed: Any, affine: Any, shape: tuple[int, int, int], spacing: Spacing
) -> Origin | str:
    """Where a sample's voxels came from, by its image's affine.

    Args:
        image: As it is now.
        packed: The recorded map.
        affine: Of the image when it was recorded, shape `(4, 4)`.
        shape: The image's voxels along its three axes.
        spacing: Their size, in mm.

    Returns:
        The record and its place, or why the place is not known.

    Raises:
        SynBTError: If the record cannot be read.
    """
    recorded = RecordedSites.from_bytes(packed)
    then = None if affine is None else torch.as_tensor(affine).numpy().astype(np.float64)
    since = affine_since_recorded(image, then, recorded.shape)
    if isinstance(since, str):
        return since
    _, middles = grid_middles(shape, spacing)
    here = torch.stack(torch.meshgrid(*(m.double() for m in middles), indexing="ij"))
    matrix = torch.from_numpy(since)
    came_from = torch.einsum("ij,jdhw->idhw", matrix[:3, :3], here) + matrix[:3, 3].view(3, 1, 1, 1)
    return Origin(recorded, grid_voxels(recorded.sites, _rounded(came_from)))


def _rounded(voxels: Tensor) -> Tensor:
    """Positions free of what arithmetic adds: a whole voxel is not to fall into its neighbour."""
    return (voxels * 1e4).round() / 1e4
