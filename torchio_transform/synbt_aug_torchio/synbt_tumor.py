"""The part with chance: whether, what and where; painting itself is the core's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torchio as tio
from torchio.transforms.augmentation import RandomTransform

from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.clipping import order_advice
from synbt_aug.support.ranges import Range, WholeRange
from synbt_aug.transform import (
    NOT_DRAWN,
    NOT_GIVEN,
    Notices,
    Origin,
    Sample,
    SeriesPlaces,
    checked_keywords,
    inject,
    merged_settings,
    subtractions_after,
)
from synbt_aug.volume import Synthesis
from synbt_aug_torchio.exchange import plain_numpy, read_sample, write_synthesis
from synbt_aug_torchio.fields import Fields, ensure_label, find_fields, find_series_in
from synbt_aug_torchio.history import bent_by
from synbt_aug_torchio.paint_tumor import PaintTumor, set_outcome
from synbt_aug_torchio.record_intensity import recorded_reference
from synbt_aug_torchio.record_sites import taken_origin


class SynBTTumor(RandomTransform):
    """Paint synthetic breast tumors into a subject, and into its label.

    Without names it takes the ScalarImages called `pre` and `post`, or the only ScalarImage with
    two channels, and the only LabelMap. Where a subject has no LabelMap, one of zeros is written
    (under `label`, or "label"), whether something is painted or not, so that batches of cases
    with and without tumor collate. Values of the label other than 0, `tumor_label` and
    `paint_over` are left alone; negative ones mark voxels without signal.

    One integer is drawn from torch's global generator, as TorchIO's own transforms do, so
    `torch.manual_seed` and the seeds of loader workers rule all that happens. The history holds
    a `PaintTumor` with the recipe where something was painted, and nothing where not;
    `subject.synbt_outcome` says what was: `{"painted": ..., "reason": ..., "measured": ...}`. It
    is an attribute, not an item: batches do not hold it. Where nothing can be painted (no room,
    no tissue, constant or NaN signal, out of memory) the subject stays as it is, with the reason.

    A tumor is painted into pre and post, and follows a kinetic curve in further phases: images
    called post-contrast (post2, post3), or `post_channels` of one image that holds the series.
    Subtractions are computed again. What is painted is told once. Other channels in which a real
    tumor would show are refused, unless `unpainted_channels` is "allow"; T2 and the like stay.

    Put it before gamma, clipping, histogram and noise transforms, and with `RecordIntensity`
    before any crop. Networks are loaded on first use, once a process; the transform pickles as
    its settings.

    Args:
        pre: Name of the pre-contrast image.
        post: Likewise; the same name twice for two channels of one image, by `pre_channel` and
            `post_channel`.
        label: Name of the label map.
        roi: Name of an image in the subject, best a LabelMap, that says where tumors may go, in
            place of what the tissues say: a mask, or weights in [0, 1]. It is not changed, and
            spatial transforms before this one move it along.
        p: Probability of painting; the same as `probability`, .5 unless given.
        settings: `InjectionSettings`; those given by name go before.
        probability: This and the next are settings, as `InjectionSettings` describes them.
        copy: This and the rest are what every TorchIO transform takes.

    Raises:
        SynBTError: If a name is unknown, a value is out of range, or a file is not there; on a
            subject, if images are not found or lie on different grids, or one would contradict
            the label.

    Example:
        >>> transform = tio.Compose([tio.RandomFlip(), SynBTTumor(p=0.5), tio.RandomGamma()])
    """

    @checked_keywords(
        prob="TorchIO's name of it is p.",
        seed="Randomness is torch's: call torch.manual_seed(...).",
        keys="TorchIO's newer name of it is include.",
    )
    def __init__(
        self,
        pre: str | None = None,
        post: str | None = None,
        label: str | None = None,
        *,
        roi: str | None = None,
        p: float | None = None,
        settings: InjectionSettings | None = None,
        probability: float = NOT_GIVEN,
        tumors: int | WholeRange = NOT_GIVEN,
        multifocal: float = NOT_GIVEN,
        diameter_mm: float | Range | None = NOT_GIVEN,
        enhancement: float | Range | None = NOT_GIVEN,
        rim: float | Range | None = NOT_GIVEN,
        heterogeneity: float | Range | None = NOT_GIVEN,
        pre_contrast: float | Range | None = NOT_GIVEN,
        category: str | None = NOT_GIVEN,
        curve: str | None = NOT_GIVEN,
        texture: str = NOT_GIVEN,
        guidance: float = NOT_GIVEN,
        steps: int = NOT_GIVEN,
        weights: str = NOT_GIVEN,
        bank: str | None = NOT_GIVEN,
        tissue: str = NOT_GIVEN,
        pre_channel: int = NOT_GIVEN,
        post_channel: int = NOT_GIVEN,
        post_channels: tuple[int, ...] = NOT_GIVEN,
        subtraction_channels: tuple[int, ...] = NOT_GIVEN,
        unpainted_channels: str = NOT_GIVEN,
        tumor_label: int = NOT_GIVEN,
        paint_over: tuple[int, ...] = NOT_GIVEN,
        roi_labels: tuple[int, ...] = NOT_GIVEN,
        only_tumor_free: bool = NOT_GIVEN,
        only_free_side: bool = NOT_GIVEN,
        null_paint: float = NOT_GIVEN,
        distractors: float = NOT_GIVEN,
        precision: str = NOT_GIVEN,
        generator_device: str = NOT_GIVEN,
        copy: bool = True,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] | None = None,
        keep: Mapping[str, str] | None = None,
        parse_input: bool = True,
        label_keys: Sequence[str] | None = None,
    ) -> None:
        merged = merged_settings("SynBTTumor", settings, locals(), {"p": p})
        # With p here, too, a subject that is passed by would get no label of zeros.
        super().__init__(
            p=1,
            copy=copy,
            include=include,
            exclude=exclude,
            keep=keep,
            parse_input=parse_input,
            label_keys=label_keys,
        )
        self.pre, self.post, self.label, self.roi = pre, post, label, roi
        self.settings = merged
        self.notices = Notices()

    def _get_named_arguments(self) -> dict[str, Any]:
        """What differs from the defaults, for `repr` and configuration files."""
        names = {"pre": self.pre, "post": self.post, "label": self.label, "roi": self.roi}
        found: dict[str, Any] = {k: v for k, v in names.items() if v is not None}
        for field in dataclasses.fields(self.settings):
            value = getattr(self.settings, field.name)
            if field.name == "probability":
                found["p"] = value
            elif value != field.default:
                found[field.name] = value
        return found

    def __call__(self, data: Any) -> Any:
        """Transform; see TorchIO."""
        if isinstance(data, dict) and not isinstance(data, tio.Subject):
            self.notices.warn(
                "SynBT: SynBTTumor takes 1 mm voxels, since a dictionary of arrays brings no "
                "affine. Pass a torchio.Subject of images with affine=..."
            )
        return super().__call__(data)

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Draw, paint, and record."""
        s = self.settings
        seed = int(torch.randint(2**62, (1,)))
        origin = taken_origin(subject)
        fields = find_fields(
            subject,
            self.name,
            (self.pre, self.post, self.label),
            (s.pre_channel, s.post_channel),
            self.include,
            self.exclude,
            roi=self.roi,
        )
        series = find_series_in(
            subject, self.name, fields, s, self.notices, self.include, self.exclude
        )
        ensure_label(subject, fields, s.tumor_label)
        if float(torch.rand((), generator=_seeded(seed))) >= s.probability:
            set_outcome(subject, NOT_DRAWN)
            return subject
        with plain_numpy():
            sample, painted = self._painted(subject, fields, series, origin, _seeded(seed))
        set_outcome(subject, painted.reason, painted.measured)
        if not painted.painted:
            return subject
        new = subtractions_after(sample, painted, s, self.notices)
        write_synthesis(subject, fields, series, painted, new, s.tumor_label)
        # Painted already: the history gets the transform that would do it again.
        paint = self._paint(fields, painted)
        subject.add_transform(paint, paint._get_reproducing_arguments())
        return subject

    def _painted(
        self,
        subject: tio.Subject,
        fields: Fields,
        series: SeriesPlaces,
        origin: Origin | None,
        generator: torch.Generator,
    ) -> tuple[Sample, Synthesis]:
        images = (fields.pre, fields.post)
        reference = recorded_reference(subject, images, self.notices)
        sample = read_sample(subject, fields, series, self.settings.tumor_label, reference)
        bender = bent_by(subject, images)
        if bender is not None:
            self.notices.warn(order_advice(f"{bender} came before the tumor"))
        painted, _ = inject(
            dataclasses.replace(sample, origin=origin),
            self.settings,
            generator,
            self.notices,
            look_for_clipping=bender is None,
        )
        return sample, painted

    def _paint(self, fields: Fields, painted: Synthesis) -> PaintTumor:
        s = self.settings
        assert painted.recipe is not None
        return PaintTumor(
            painted.recipe,
            pre=fields.pre,
            post=fields.post,
            label=fields.label,
            pre_channel=s.pre_channel,
            post_channel=s.post_channel,
            post_channels=s.post_channels,
            subtraction_channels=s.subtraction_channels,
            tumor_label=s.tumor_label,
            paint_over=s.open_labels,
            weights=s.weights,
            bank=s.bank,
            generator_device=s.generator_device,
            include=self.include,
            exclude=self.exclude,
            copy=self.copy,
        )


def _seeded(seed: int) -> torch.Generator:
    """All that is random of one subject."""
    return torch.Generator().manual_seed(seed)
