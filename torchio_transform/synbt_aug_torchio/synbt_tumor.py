"""The part with chance: whether, what and where; painting itself is the core's."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import torch
import torchio as tio
from torchio.transforms.augmentation import RandomTransform

from synbt_aug.clipping import CLIPPED_SHARE, clipped_advice, clipped_share, order_advice
from synbt_aug.errors import SynBTError, first_line
from synbt_aug.injection_settings import InjectionSettings
from synbt_aug.shared_synthesizer import shared_synthesizer
from synbt_aug.tumor.placement import draw_seed
from synbt_aug.volume import BreastVolume, Synthesis
from synbt_aug_torchio.exchange import (
    check_label_type,
    plain_numpy,
    read_volume,
    write_synthesis,
)
from synbt_aug_torchio.fields import Fields, ensure_label, find_fields
from synbt_aug_torchio.history import bent_by, warn_once
from synbt_aug_torchio.paint_tumor import PaintTumor, set_outcome
from synbt_aug_torchio.record_intensity import recorded_reference

logger = logging.getLogger(__name__)

#: Arguments of TorchIO's own base class; `p` is ours.
_TORCHIO = ("copy", "include", "exclude", "keys", "keep", "parse_input", "label_keys")


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
        **kwargs: Fields of `InjectionSettings` by name, and what every TorchIO transform takes.

    Raises:
        SynBTError: If a name is unknown or a value is out of range.

    Example:
        >>> transform = tio.Compose([tio.RandomFlip(), SynBTTumor(p=0.5), tio.RandomGamma()])
    """

    def __init__(
        self,
        pre: str | None = None,
        post: str | None = None,
        label: str | None = None,
        *,
        roi: str | None = None,
        p: float | None = None,
        settings: InjectionSettings | None = None,
        **kwargs: Any,
    ) -> None:
        values, torchio_values = _split(kwargs)
        if settings is not None and not isinstance(settings, InjectionSettings):
            raise SynBTError(
                f"settings needs InjectionSettings, got {type(settings).__name__}. A dictionary "
                f"is given as SynBTTumor(**dictionary)."
            )
        if p is not None and values.setdefault("probability", p) != p:
            raise SynBTError(
                f"p and probability are one setting, got {p} and {values['probability']}. Give one."
            )
        # With p here, too, a subject that is passed by would get no label of zeros.
        super().__init__(p=1, **torchio_values)
        self.pre, self.post, self.label, self.roi = pre, post, label, roi
        self.settings = dataclasses.replace(settings or InjectionSettings(), **values)

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

    def apply_transform(self, subject: tio.Subject) -> tio.Subject:
        """Draw, paint, and record."""
        s = self.settings
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, (1,))))
        fields = find_fields(
            subject,
            self.name,
            (self.pre, self.post, self.label),
            (s.pre_channel, s.post_channel),
            self.include,
            self.exclude,
            roi=self.roi,
        )
        ensure_label(subject, fields, s.tumor_label)
        chance, null = torch.rand(2, generator=generator).tolist()
        if chance >= s.probability:
            set_outcome(subject, "not drawn")
            return subject
        check_label_type(subject, fields, s.tumor_label)
        with plain_numpy():
            painted = self._painted(subject, fields, null, draw_seed(generator))
        if isinstance(painted, str) or not painted.painted:
            set_outcome(subject, painted)
            return subject
        write_synthesis(subject, fields, painted, s.tumor_label)
        set_outcome(subject, painted)
        # Painted already: the history gets the transform that would do it again.
        paint = self._paint(fields, painted)
        subject.add_transform(paint, paint._get_reproducing_arguments())
        return subject

    def _painted(
        self, subject: tio.Subject, fields: Fields, null: float, seed: int
    ) -> Synthesis | str:
        """A synthesis, or the reason why there is none."""
        s = self.settings
        try:
            volume = read_volume(subject, fields, s.tumor_label, s.open_labels, s.roi_labels)
        except SynBTError as error:
            warn_once(f"SynBT: an unusable subject stays as it is: {error}")
            return f"unusable subject: {error}"
        if s.only_tumor_free and volume.tumor is not None and bool(volume.tumor.any()):
            return "not drawn: it has a tumor"
        images = (fields.pre, fields.post)
        _look_at_order(subject, images, volume)
        reference = recorded_reference(subject, images)
        synthesizer = shared_synthesizer(s)
        asked = s.request("null" if null < s.null_paint else "tumor")
        try:
            return synthesizer(
                volume,
                seed=seed,
                tumors=asked.tumors,
                diameter_mm=asked.diameter_mm,
                appearance=asked.appearance,
                kind=asked.kind,
                multifocal=asked.multifocal,
                distractors=asked.distractors,
                reference=reference,
                only_free_side=asked.only_free_side,
            )
        except (RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError) as error:
            # torch's own for "out of memory" is a RuntimeError, ours are ValueErrors.
            logger.warning("SynBT: painting failed, the subject stays as it is: %s", error)
            return f"error: {type(error).__name__}: {first_line(error)}"

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
            tumor_label=s.tumor_label,
            paint_over=s.open_labels,
            weights=s.weights,
            bank=s.bank,
            generator_device=s.generator_device,
            include=self.include,
            exclude=self.exclude,
            copy=self.copy,
        )


def _split(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings, and what TorchIO's base class takes."""
    known = {f.name for f in dataclasses.fields(InjectionSettings)} - {"seed"}
    if "seed" in given:
        raise SynBTError("seed has no effect in TorchIO. Call torch.manual_seed(...) instead.")
    if unknown := sorted(set(given) - known - set(_TORCHIO)):
        raise SynBTError(
            f"SynBTTumor has no setting called {', '.join(unknown)}. There are: pre, post, label, "
            f"roi, p, settings, {', '.join(sorted(known))}; and TorchIO's {', '.join(_TORCHIO)}."
        )
    settings = {k: v for k, v in given.items() if k in known}
    for name in {"paint_over", "roi_labels"} & set(settings):
        settings[name] = tuple(settings[name])
    return settings, {k: v for k, v in given.items() if k in _TORCHIO}


def _look_at_order(subject: tio.Subject, images: tuple[str, str], volume: BreastVolume) -> None:
    """Warn once where intensities were bent or clipped before."""
    if bender := bent_by(subject, images):
        warn_once(order_advice(f"{bender} came before the tumor"))
    elif (share := clipped_share(volume.image, volume.valid)) >= CLIPPED_SHARE:
        warn_once(clipped_advice(share))
