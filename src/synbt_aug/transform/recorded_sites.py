"""Where tumors may go in a whole case, found once and carried along with its crops.

`RecordSites` (TorchIO) and `RecordSitesd` (MONAI) find the map while the case is whole; the library
turns, crops and zooms the image; the tumor's transform asks where its voxels came from and looks
them up. A map that is not of this image, or not where the image is now, must not decide anything:
it keeps what varies finely in the pre-contrast scan, which has to be where it was recorded.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import gaussian_mean
from synbt_aug.host import Host
from synbt_aug.injector import SynBTInjector
from synbt_aug.sample_plans import sample_volume
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.tissue.site_lookup import (
    arrays_of,
    grid_middles,
    looked_up,
    map_of_arrays,
    sites_at,
)
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.tissue.tissue_map import grid_shape, to_grid
from synbt_aug.transform.label import read_label
from synbt_aug.transform.notices import Notices
from synbt_aug.volume import Spacing

#: Settings that a map depends on.
MAP_SETTINGS = ("tissue", "tumor_label", "paint_over", "roi_labels", "only_free_side")

#: What varies within this many voxels of the working grid is compared.
_FINE = 2.0

#: Correlation of the fine parts below which an image is not what was recorded there. The breasts of
#: the tests are above it when turned, zoomed and bent by 3 mm, and below when flipped or shifted by
#: 12 mm without a record.
_SAME_IMAGE = 0.3

#: Fewer voxels of the grid in view cannot be compared.
_FEWEST = 200


@dataclass(frozen=True)
class RecordedSites:
    """A case's map, with what tells its image from others.

    Args:
        sites: Of the whole case; its depths are not kept.
        shape: The case's voxels along the axes of its array.
        settings: Values of `MAP_SETTINGS`, as JSON.
        fine: Fine part of the pre-contrast scan on the working grid, float16.
    """

    sites: SiteMap
    shape: tuple[int, int, int]
    settings: str
    fine: Tensor

    def to_bytes(self) -> bytes:
        """Packed: crops, caches and loaders carry it as it is; 2 MB for 192x192x128 mm."""
        stream = io.BytesIO()
        values = {"shape": self.shape, "spacing": self.sites.spacing, "settings": self.settings}
        arrays = arrays_of(self.sites)
        np.savez_compressed(
            stream, about=np.array(json.dumps(values)), fine=self.fine.numpy(), **arrays
        )
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, packed: Any) -> RecordedSites:
        """Read what `to_bytes` gave.

        Raises:
            SynBTError: If it is something else.
        """
        try:
            with np.load(io.BytesIO(packed)) as found:
                values = json.loads(str(found["about"]))
                (d, h, w), (sd, sh, sw) = values["shape"], values["spacing"]
                sites = map_of_arrays(found, (sd, sh, sw))
                fine = torch.from_numpy(found["fine"])
                return cls(sites, (d, h, w), values["settings"], fine)
        except (TypeError, ValueError, KeyError, OSError, EOFError) as error:
            raise SynBTError(
                "The recorded site map of this sample cannot be read. Let RecordSites(d) record "
                "it again, and paint before batches are made."
            ) from error


@dataclass(frozen=True)
class Origin:
    """A sample's record, and where its voxels came from.

    Args:
        recorded: Of its case.
        at: Voxels of the case's working grid, on the sample's own grid, int64, `(3, d, h, w)`;
            some may lie outside.
    """

    recorded: RecordedSites
    at: Tensor


def map_settings(settings: InjectionSettings) -> str:
    """What of the settings a map depends on, as JSON."""
    values = settings.to_dict()
    return json.dumps({name: values[name] for name in MAP_SETTINGS}, sort_keys=True)


def find_recorded(
    pair: Tensor,
    label: Tensor | None,
    spacing: Spacing,
    settings: InjectionSettings,
    notices: Notices,
) -> RecordedSites:
    """Find where tumors may go in a whole case, by its tissues.

    Args:
        pair: Pre and post, shape `(2, D, H, W)`.
        label: Shape `(D, H, W)`, any type; None: nothing is labelled.
        spacing: Voxel size, in mm.
        settings: Those of the tumor's transform.
        notices: Are told what is odd about the label, and why there is no site.
    """
    d, h, w = pair.shape[1:]
    try:
        whole = torch.zeros((d, h, w), dtype=torch.int32) if label is None else label
        read = read_label(whole, pair[1], settings, notices)
        host = Host.of(sample_volume(settings, pair, read, spacing))
        segmenter = SynBTInjector(settings).synthesizer(pair.device).segmenter
        sites = host.sites_by(segmenter, settings.only_free_side)
    except SynBTError as error:
        notices.warn(f"SynBT: a case without a site map: {error}")
        grid = grid_shape((d, h, w), spacing)
        factors, _ = grid_middles((d, h, w), spacing)
        sites = SiteMap.nowhere(grid, factors, spacing, f"no site: {error}")
    return RecordedSites(sites, (d, h, w), map_settings(settings), _fine(pair[0], spacing).half())


def sites_of(
    origin: Origin,
    pre: Tensor,
    valid: Tensor | None,
    spacing: Spacing,
    settings: InjectionSettings,
    notices: Notices,
) -> SiteMap | None:
    """The map of a sample, looked up in its case's.

    Args:
        origin: Of the sample.
        pre: Its pre-contrast scan, shape `(D, H, W)`.
        valid: Voxels with signal, boolean, same shape; None: all.
        spacing: Voxel size, in mm.
        settings: Those of the transform that paints.
        notices: Are told why the record is not used.

    Returns:
        None where the record is not of this image, or was made with other settings.
    """
    recorded = origin.recorded
    if recorded.settings != map_settings(settings):
        notices.warn(
            f"SynBT: the recorded site map was found with the settings {recorded.settings}, these "
            f"are {map_settings(settings)}: it is not used. Give both transforms the same."
        )
        return None
    likeness = _likeness(origin, pre, spacing)
    if likeness is None or not likeness >= _SAME_IMAGE:
        found = "is out of view" if likeness is None else f"correlates by {likeness:.2f}"
        notices.warn(
            f"SynBT: the recorded site map is not of this image as it is now (what was recorded "
            f"{found}, at least {_SAME_IMAGE} is needed): it is not used, and sites are looked "
            f"for in what is in view. Put RecordSites(d) after whatever changes the image in "
            f"another way than crops, flips, rotations and zooms do."
        )
        return None
    d, h, w = pre.shape
    return sites_at(recorded.sites, origin.at, valid, (d, h, w), spacing)


def _fine(scan: Tensor, spacing: Spacing) -> Tensor:
    """What varies finely in a scan, on its working grid; its SD is 1."""
    (on_grid,) = to_grid(scan[None], spacing)
    fine = torch.nan_to_num(on_grid - gaussian_mean(on_grid, _FINE), posinf=0.0, neginf=0.0)
    return fine / fine.std().clamp_min(1e-12)


def _likeness(origin: Origin, pre: Tensor, spacing: Spacing) -> float | None:
    """Correlation of the fine parts, now and as recorded; None where too little is in view."""
    then, known = looked_up(origin.recorded.fine, origin.at)
    now = _fine(pre, spacing)
    assert tuple(now.shape) == grid_shape((pre.shape[0], pre.shape[1], pre.shape[2]), spacing)
    if int(known.sum()) < _FEWEST:
        return None
    pair = torch.stack([then[known].float(), now[known]])
    return float(torch.nan_to_num(torch.corrcoef(pair))[0, 1])
