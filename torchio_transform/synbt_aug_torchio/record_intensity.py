"""Intensity references of the whole case, kept where crops and loaders carry them along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torchio as tio
from torch import Tensor
from torchio.transforms import Transform

from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import IntensityReference, measure_reference, reference_of
from synbt_aug.transform import Notices, checked_keywords
from synbt_aug_torchio.exchange import plain_numpy, scans_of
from synbt_aug_torchio.fields import find_fields
from synbt_aug_torchio.history import changed_since, was_cropped

#: The subject's key.
INTENSITY_KEY = "synbt_intensity"


class RecordIntensity(Transform):
    """Record the intensity references of the whole case for a `SynBTTumor` after a crop.

    Put it where the subject is whole and its intensities are those that `SynBTTumor` will see:
    after normalisation, before crops. A crop measured by itself may show mostly tumor or fat,
    and its tumors come out too bright or too dim.

    The references are the item `"synbt_intensity"` of the subject: a float64 tensor of shape
    (2, 2), rows pre and post, columns low and high in the image's units. TorchIO's crops and
    patch samplers (so the `Queue`, too) copy all items of a subject, and `SubjectsLoader` stacks
    them to (B, 2, 2), which `SynBTInjector` takes as `references`. Where they cannot be measured
    (constant or non-finite signal) they are NaN, so that batches still collate, and are not used.
    An intensity transform between this and `SynBTTumor` makes them wrong; that is told, and they
    are not used.

    Args:
        pre: Name of the pre-contrast image; None finds it as `SynBTTumor` does.
        post: Likewise; the same name twice for two channels of one image.
        pre_channel: Channel of pre, where one image holds both.
        post_channel: Likewise.
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
        pre_channel: int = 0,
        post_channel: int = 1,
        *,
        p: float = 1,
        copy: bool = True,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        keep: Mapping[str, str] | None = None,
        parse_input: bool = True,
        label_keys: Sequence[str] | None = None,
    ) -> None:
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
        self.pre, self.post = pre, post
        self.pre_channel, self.post_channel = pre_channel, post_channel
        self.args_names = ["pre", "post", "pre_channel", "post_channel"]

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Measure and store."""
        f = find_fields(
            subject,
            self.name,
            (self.pre, self.post, None),
            (self.pre_channel, self.post_channel),
            self.include,
            self.exclude,
            with_label=False,
        )
        pair = scans_of(subject, [(f.pre, f.pre_channel), (f.post, f.post_channel)])
        try:
            with plain_numpy():
                values = measure_reference(pair).to_tensor()
        except SynBTError as error:
            self.notices.warn(f"SynBT: a case without intensity references: {error}")
            values = torch.full((2, 2), torch.nan, dtype=torch.float64)
        subject[INTENSITY_KEY] = values
        subject.update_attributes()
        return subject


def recorded_reference(
    subject: tio.Subject, images: tuple[str, str], notices: Notices
) -> IntensityReference | None:
    """The references to paint with; None measures what is there.

    Args:
        subject: Which may hold them.
        images: Names of pre and post.
        notices: Are told where the subject is a crop without them, and where the recorded ones
            are of another signal.

    Raises:
        SynBTError: If what is recorded is not one case's.
    """
    values = subject.get(INTENSITY_KEY)
    if not isinstance(values, Tensor):
        if was_cropped(subject):
            notices.warn(
                "SynBT: the subject was cropped, and its intensity references are measured on "
                "the crop. Put RecordIntensity() before the crop to use the whole case's."
            )
        return None
    if changer := changed_since(subject, RecordIntensity.__name__, images):
        notices.warn(
            f"SynBT: {changer} came between RecordIntensity and the painting, so the recorded "
            f"intensity references are of another signal and are not used. Put RecordIntensity "
            f"after {changer}, or the painting before it."
        )
        return None
    return reference_of(values)
