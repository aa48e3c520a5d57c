"""The part without chance: what a recipe says, painted again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torchio as tio
from torchio.transforms import Transform

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.shared_synthesizer import check_files
from synbt_aug.transform import Notices, replay, subtractions_after
from synbt_aug_torchio.exchange import plain_numpy, read_sample, write_synthesis
from synbt_aug_torchio.fields import ensure_label, find_fields, find_series_in

#: Attribute (no item, so that batches collate) with what became of a subject.
OUTCOME = "synbt_outcome"


class PaintTumor(Transform):
    """Paint what a recipe says: the same voxels in the same scan.

    `SynBTTumor` leaves one in the history of every subject that it painted, so that
    `subject.get_composed_history()` replays it. A recipe is a few hundred numbers and words,
    JSON-ready, in the axis order of TorchIO's tensors. Voxels are bitwise the same on the same
    device, torch, threads and precision. Painting loses what was there: not invertible.

    Args:
        recipe: As a `Synthesis` or the history holds it, or read from its JSON.
        pre: Name of the pre-contrast image; None finds it as `SynBTTumor` does.
        post: Likewise; the same name twice for two channels of one image.
        label: Name of the label map.
        pre_channel: Channel of pre, where one image holds both.
        post_channel: Likewise.
        post_channels: As `SynBTTumor` was given them.
        subtraction_channels: Likewise.
        tumor_label: Value that the tumor gets.
        paint_over: Other label values that it may replace.
        weights: Those that the recipe was made with.
        bank: Likewise.
        generator_device: Where the networks run; "auto" takes the images' device.
        p: As for every TorchIO transform, like the rest.

    Raises:
        SynBTError: If the recipe cannot be read, or, on a subject, does not belong to it or to
            these weights.
    """

    def __init__(
        self,
        recipe: Mapping[str, Any],
        pre: str | None = None,
        post: str | None = None,
        label: str | None = None,
        pre_channel: int = 0,
        post_channel: int = 1,
        tumor_label: int = 1,
        paint_over: Sequence[int] = (),
        weights: str = "shipped",
        bank: str | None = None,
        generator_device: str = "auto",
        post_channels: Sequence[int] = (),
        subtraction_channels: Sequence[int] = (),
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
        if not isinstance(recipe, Mapping):
            raise SynBTError(
                f"PaintTumor needs a recipe as a dictionary, got {type(recipe).__name__}. Read a "
                f"file with json.loads(path.read_text())."
            )
        self.recipe = deepcopy(dict(recipe))
        self.pre, self.post, self.label = pre, post, label
        self.pre_channel, self.post_channel = pre_channel, post_channel
        self.tumor_label, self.paint_over = tumor_label, tuple(paint_over)
        self.weights, self.bank, self.generator_device = weights, bank, generator_device
        self.post_channels = tuple(post_channels)
        self.subtraction_channels = tuple(subtraction_channels)
        self.settings = InjectionSettings(
            pre_channel=pre_channel,
            post_channel=post_channel,
            post_channels=self.post_channels,
            subtraction_channels=self.subtraction_channels,
            # It was told or refused when the recipe was made.
            unpainted_channels="allow",
            tumor_label=tumor_label,
            paint_over=self.paint_over,
            weights=weights,
            bank=bank,
            generator_device=generator_device,
        )
        check_files(self.settings)
        self.notices = Notices()
        self.args_names = [
            "recipe",
            "pre",
            "post",
            "label",
            "pre_channel",
            "post_channel",
            "tumor_label",
            "paint_over",
            "weights",
            "bank",
            "generator_device",
            "post_channels",
            "subtraction_channels",
        ]

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Paint."""
        fields = find_fields(
            subject,
            self.name,
            (self.pre, self.post, self.label),
            (self.pre_channel, self.post_channel),
            self.include,
            self.exclude,
        )
        series = find_series_in(
            subject, self.name, fields, self.settings, self.notices, self.include, self.exclude
        )
        ensure_label(subject, fields, self.tumor_label)
        sample = read_sample(subject, fields, series, self.tumor_label)
        with plain_numpy():
            painted = replay(sample, self.settings, self.recipe, self.notices)
        new = subtractions_after(sample, painted, self.settings, self.notices)
        write_synthesis(subject, fields, series, painted, new, self.tumor_label)
        set_outcome(subject, painted.reason, painted.measured)
        return subject


def set_outcome(
    subject: tio.Subject, reason: str | None, measured: Mapping[str, Any] | None = None
) -> None:
    """Leave `subject.synbt_outcome`.

    Args:
        subject: Gets the attribute.
        reason: Why nothing was painted; None where something was.
        measured: What came out.
    """
    found = {"painted": reason is None, "reason": reason, "measured": dict(measured or {})}
    setattr(subject, OUTCOME, found)
