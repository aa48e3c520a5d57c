"""Which images of a subject are pre, post, further phases and label.

Nothing is loaded to find out, but where a name says nothing.

Structure that does not fit (names, channels, grids) is an error with the call to type. What is
wrong with the values inside is found later, and costs one sample only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torchio as tio

from synbt_aug.errors import SynBTError
from synbt_aug.grid.same_grid import Grid, grid_difference
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.transform import Notices, Place, SeriesPlaces, find_series, signal_of
from synbt_aug_torchio.whereabouts import WHEREABOUTS

#: The label's name where a subject has none and none was asked for.
DEFAULT_LABEL = "label"

#: What TorchIO calls a bare tensor, array or image inside.
_BARE = "default_image_name"


@dataclass(frozen=True)
class Fields:
    """Where pre, post and label are.

    Args:
        pre: Name of the image that holds pre-contrast.
        post: Likewise; the same name where one image holds both.
        pre_channel: Channel of that image.
        post_channel: Likewise.
        label: Name of the label map; it need not be there yet.
        roi: Name of the image that says where tumors may go; None: none does.
    """

    pre: str
    post: str
    pre_channel: int
    post_channel: int
    label: str
    roi: str | None = None


def find_fields(
    subject: tio.Subject,
    who: str,
    names: tuple[str | None, str | None, str | None],
    channels: tuple[int, int] = (0, 1),
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    *,
    with_label: bool = True,
    roi: str | None = None,
) -> Fields:
    """Find pre, post and label.

    Args:
        subject: As TorchIO gives it to a transform.
        who: The transform's name, for errors.
        names: Of pre, post and label; None looks for them.
        channels: Of pre and post, where one image holds both.
        include: The only images that may be used.
        exclude: Images that may not.
        with_label: False needs no label; its name is then `DEFAULT_LABEL`.
        roi: Name of the image that says where tumors may go; it is no label of tumors.

    Raises:
        SynBTError: If they are not there, ambiguous or left out, or lie on different grids.
    """
    if _BARE in subject:
        raise SynBTError(
            f"{who} works on two images and a label, which a bare tensor, array or image cannot "
            f"carry. Pass a torchio.Subject, or a dict with {who}(include=('pre', 'post', "
            f"'label'), label_keys=('label',))."
        )
    search = _Search(subject, who, include, exclude, roi)
    pre, post = search.images(names[0], names[1])
    label = search.label(names[2]) if with_label else DEFAULT_LABEL
    found = Fields(pre, post, *(channels if pre == post else (0, 0)), label, roi)
    search.check_channels(found, with_label)
    _grid(subject[found.pre], found.pre)
    for other in (found.post, *([found.label] if with_label else []), *([roi] if roi else [])):
        if other in subject:
            _check_grid(who, subject[found.pre], found.pre, subject[other], other)
    return found


class _Search:
    def __init__(
        self,
        subject: tio.Subject,
        who: str,
        include: Sequence[str] | None,
        exclude: Sequence[str] | None,
        roi: str | None = None,
    ) -> None:
        self.subject, self.who = subject, who
        self.everything = subject.get_images_dict(intensity_only=False)
        self.everything.pop(WHEREABOUTS, None)
        if roi is not None:
            self._check_roi(roi)
            self.everything.pop(roi)
        allowed = subject.get_images_dict(intensity_only=False, include=include, exclude=exclude)
        allowed.pop(roi, None)
        allowed.pop(WHEREABOUTS, None)
        self.scans = {k: v for k, v in allowed.items() if isinstance(v, tio.ScalarImage)}
        self.labels = {k: v for k, v in allowed.items() if isinstance(v, tio.LabelMap)}
        self.left_out = [k for k in self.everything if k not in allowed]

    def _check_roi(self, roi: str) -> None:
        if roi not in self.everything:
            raise SynBTError(
                f"{self.who} needs a LabelMap called {roi!r}, its roi, in every subject. Found "
                f"{', '.join(self.everything)}. Add it, of ones where tumors may go, or leave out "
                f"roi=."
            )
        if (count := self.everything[roi].shape[0]) != 1:
            raise SynBTError(f"{self.who} needs one channel in its roi {roi!r}, which has {count}.")

    def images(self, pre: str | None, post: str | None) -> tuple[str, str]:
        if (pre is None) != (post is None):
            raise self.error("needs both pre and post, or neither")
        if pre is not None and post is not None:
            for name in (pre, post):
                if name not in self.scans:
                    raise self.error(f"needs a ScalarImage called {name!r}")
            return pre, post
        if {"pre", "post"} <= set(self.scans):
            return "pre", "post"
        pairs = [name for name, image in self.scans.items() if image.shape[0] == 2]
        if len(pairs) == 1:
            return pairs[0], pairs[0]
        raise self.error("needs ScalarImages called pre and post, or one with two channels")

    def label(self, name: str | None) -> str:
        if name is not None and name in self.labels:
            return name
        there = [k for k, v in self.everything.items() if isinstance(v, tio.LabelMap)]
        if name is None and len(self.labels) == 1:
            return next(iter(self.labels))
        if not there:
            name = name or DEFAULT_LABEL
            if name in self.subject:
                raise self.error(f"would write a label called {name!r}, but that is no LabelMap")
            return name
        if name is not None:
            # Zeros under a mistyped name would let tumors be painted onto real ones.
            raise self.error(
                f"needs a LabelMap called {name!r} (a subject without tumor beside other label "
                f"maps needs one of zeros)"
            )
        if not self.labels:
            raise self.error("writes a label, but include or exclude leaves all LabelMaps out")
        raise self.error("needs to know which LabelMap holds the tumors")

    def check_channels(self, found: Fields, with_label: bool) -> None:
        for name, channel in ((found.pre, found.pre_channel), (found.post, found.post_channel)):
            count = self.scans[name].shape[0]
            if found.pre != found.post and count != 1:
                raise self.error(
                    f"needs one channel in {name!r}, which has {count} (for channels of one image "
                    f"give its name twice, with pre_channel= and post_channel=)"
                )
            if channel >= count:
                raise self.error(f"needs channel {channel} of {name!r}, which has {count}")
        label = self.labels.get(found.label) if with_label else None
        if label is not None and (count := label.shape[0]) != 1:
            raise self.error(
                f"needs one channel in {found.label!r}, which has {count} (put it before OneHot)"
            )

    def error(self, problem: str) -> SynBTError:
        scans = [f"{k} ({_channels(v.shape[0])})" for k, v in self.scans.items()]
        parts = [
            f"ScalarImages: {', '.join(scans) or 'none'}",
            f"LabelMaps: {', '.join(self.labels) or 'none'}",
        ]
        if self.left_out:
            parts.append(f"left out by include or exclude: {', '.join(self.left_out)}")
        return SynBTError(
            f"{self.who} {problem}. Found {'; '.join(parts)}. Type "
            f"{self.who}(pre=..., post=..., label=...) with these names."
        )


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def _grid(image: tio.Image, name: str) -> Grid:
    x, y, z = image.spatial_shape
    return Grid((x, y, z), image.affine, f"The image {name!r}")


def _check_grid(who: str, like: tio.Image, its: str, other: tio.Image, name: str) -> None:
    if other is like:
        return
    if difference := grid_difference(_grid(other, name), _grid(like, its)):
        raise SynBTError(
            f"{who} needs {name!r} on the grid of {its!r}, but it {difference}. Put "
            f"tio.ToCanonical() and tio.Resample({its!r}) before {who}."
        )


def find_series_in(
    subject: tio.Subject,
    who: str,
    fields: Fields,
    settings: InjectionSettings,
    notices: Notices,
    include: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
) -> SeriesPlaces:
    """Find the series of pre and post among the ScalarImages, which a network may see.

    Args:
        subject: Images are loaded where their names say nothing.
        who: The transform's name, for errors.
        fields: Where pre and post are.
        settings: As for `find_series`.
        notices: Likewise.
        include: As for `find_fields`; what is left out is not painted.
        exclude: Likewise.

    Raises:
        SynBTError: As `find_series` does; or if an image of the series lies on another grid.
    """
    allowed = subject.get_images_dict(intensity_only=True, include=include, exclude=exclude)
    names: list[str] = []
    places: list[Place | None] = []
    for name, image in subject.get_images_dict(intensity_only=True).items():
        if name == fields.roi:
            continue
        count = image.shape[0]
        places += [(name, c) if name in allowed else None for c in range(count)]
        names += [name] * count
    painted = (
        places.index((fields.pre, fields.pre_channel)),
        places.index((fields.post, fields.post_channel)),
    )

    def read(place: Place) -> torch.Tensor:
        name, channel = place
        return signal_of(subject[name].data, f"{name!r}")[channel]

    found = find_series(names, places, painted, settings, notices, read)
    for image in found.images():
        _check_grid(who, subject[fields.pre], fields.pre, subject[image], str(image))
    return found


def ensure_label(subject: tio.Subject, fields: Fields, tumor_label: int) -> None:
    """Write a label of zeros where there is none, so that batches collate."""
    if fields.label not in subject:
        image = subject[fields.pre]
        dtype = torch.uint8 if tumor_label <= 255 else torch.int32
        zeros = torch.zeros((1, *image.spatial_shape), dtype=dtype)
        subject.add_image(tio.LabelMap(tensor=zeros, affine=image.affine), fields.label)
