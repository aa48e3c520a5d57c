"""Where tumors may go in the whole case, kept where crops and loaders carry it along."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torchio as tio
from torchio.transforms import Transform

from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.tissue.site_lookup import at_middles, grid_middles
from synbt_aug.transform import (
    NOT_GIVEN,
    Notices,
    Origin,
    RecordedSites,
    checked_keywords,
    find_recorded,
    merged_settings,
)
from synbt_aug_torchio.exchange import plain_numpy, scans_of
from synbt_aug_torchio.fields import find_fields
from synbt_aug_torchio.whereabouts import WHEREABOUTS

#: The subject's key.
SITES_KEY = "synbt_sites"


class RecordSites(Transform):
    """Find where tumors may go in the whole case, for a `SynBTTumor` after a crop.

        tio.Compose([tio.ToCanonical(), tio.Resample(1), RecordIntensity(), RecordSites(),
                     tio.RandomAffine(), tio.RandomFlip(), SynBTTumor(p=0.5)])

    A crop shows too little to tell breast from chest wall, and looking for its tissues takes time
    in every call. Here they are found once, where the subject is whole, and `SynBTTumor` looks its
    places up. It has no chance in it: apply it once to each subject that is kept in memory,
    `subjects = [RecordSites()(subject) for subject in subjects]`, before `SubjectsDataset`.

    The map is the item `"synbt_sites"`, 2 MB of bytes for 192x192x128 mm, which crops and samplers
    hand on as it is. Beside it lies a `LabelMap`, `"synbt_whereabouts"` (4 bytes a voxel), which
    TorchIO crops, flips, turns, zooms and deforms with the rest: it says where in the map each
    voxel lies. `SynBTTumor` takes both off the subject, so that batches collate. An image that was
    changed in another way, or exchanged, is noticed by itself: the map is then not used, and a
    warning says so.

    Args:
        pre: Name of the pre-contrast image; None finds it as `SynBTTumor` does.
        post: Likewise; the same name twice for two channels of one image.
        label: Name of the label, as for `SynBTTumor`.
        settings: Those of the `SynBTTumor`; what decides about sites must be the same there.
        pre_channel: This and the rest up to `p` are settings, as `InjectionSettings` describes
            them.
        p: As for every TorchIO transform, like the rest.

    Raises:
        SynBTError: If a name is unknown; on a subject, if its images are not found or are no
            signal.
    """

    @checked_keywords(keys="TorchIO's newer name of it is include.")
    def __init__(
        self,
        pre: str | None = None,
        post: str | None = None,
        label: str | None = None,
        settings: InjectionSettings | None = None,
        *,
        pre_channel: int = NOT_GIVEN,
        post_channel: int = NOT_GIVEN,
        tissue: str = NOT_GIVEN,
        tumor_label: int = NOT_GIVEN,
        paint_over: tuple[int, ...] = NOT_GIVEN,
        roi_labels: tuple[int, ...] = NOT_GIVEN,
        only_free_side: bool = NOT_GIVEN,
        precision: str = NOT_GIVEN,
        p: float = 1,
        copy: bool = True,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        keep: Mapping[str, str] | None = None,
        parse_input: bool = True,
        label_keys: Sequence[str] | None = None,
    ) -> None:
        self.settings = merged_settings("RecordSites", settings, locals())
        super().__init__(
            p=p,
            copy=copy,
            include=include,
            exclude=exclude,
            keep=keep,
            parse_input=parse_input,
            label_keys=label_keys,
        )
        self.notices = Notices()
        self.pre, self.post, self.label = pre, post, label
        self.args_names = ["pre", "post", "label", "settings"]

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Find and store."""
        s = self.settings
        f = find_fields(
            subject,
            self.name,
            (self.pre, self.post, self.label),
            (s.pre_channel, s.post_channel),
            self.include,
            self.exclude,
        )
        pair = scans_of(subject, [(f.pre, f.pre_channel), (f.post, f.post_channel)])
        label = subject[f.label].data[0] if f.label in subject else None
        image = subject[f.pre]
        with plain_numpy():
            found = find_recorded(pair, label, image.spacing, s, self.notices)
        places = tio.LabelMap(tensor=_whereabouts(found), affine=image.affine)
        subject.add_image(places, WHEREABOUTS)
        subject[SITES_KEY] = found.to_bytes()
        subject.update_attributes()
        return subject


def _whereabouts(found: RecordedSites) -> torch.Tensor:
    """Each voxel's number on the case's working grid, from 1 on, int32, shape `(1, W, H, D)`."""
    grid = found.sites.weight.shape
    numbers = torch.arange(1, math.prod(grid) + 1, dtype=torch.int32).view(1, *grid)
    for axis, (length, factor) in enumerate(zip(found.shape, found.sites.factors, strict=True)):
        index = ((torch.arange(length) + 0.5) / factor).floor().long()
        numbers = numbers.index_select(axis + 1, index.clamp_max(grid[axis] - 1))
    return numbers


def taken_origin(subject: tio.Subject) -> Origin | None:
    """A subject's record and its place, taken off it; None where there is none.

    Raises:
        SynBTError: If it cannot be read.
    """
    packed, places = subject.get(SITES_KEY), subject.get(WHEREABOUTS)
    for name in (SITES_KEY, WHEREABOUTS):
        # TorchIO keeps each item as an attribute, too.
        subject.pop(name, None)
        subject.__dict__.pop(name, None)
    if packed is None or places is None:
        return None
    recorded = RecordedSites.from_bytes(packed)
    w, h, d = (int(n) for n in places.spatial_shape)
    _, middles = grid_middles((w, h, d), places.spacing)
    number = at_middles(places.data[0], middles).long() - 1
    _, n_h, n_d = recorded.sites.weight.shape
    # A negative number lies outside whatever its remainders are.
    at = [number.div(n_h * n_d, rounding_mode="floor"), number // n_d % n_h, number % n_d]
    return Origin(recorded, torch.stack(at))
