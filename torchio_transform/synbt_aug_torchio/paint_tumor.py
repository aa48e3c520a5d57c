"""The part without chance: what a recipe says, painted again."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torchio as tio
from torchio.transforms import Transform

from synbt_aug.errors import SynBTError
from synbt_aug.injection_settings import InjectionSettings
from synbt_aug.shared_synthesizer import settings_of_recipe, shared_synthesizer
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.volume import Synthesis
from synbt_aug_torchio.exchange import (
    check_label_type,
    plain_numpy,
    read_volume,
    write_synthesis,
)
from synbt_aug_torchio.fields import ensure_label, find_fields

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
        tumor_label: Value that the tumor gets.
        paint_over: Other label values that it may replace.
        weights: Those that the recipe was made with.
        bank: Likewise.
        generator_device: Where the networks run; "auto" takes the images' device.
        **kwargs: As for every TorchIO transform.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(recipe, Mapping):
            raise SynBTError(
                f"PaintTumor needs a recipe as a dictionary, got {type(recipe).__name__}. Read a "
                f"file with json.loads(path.read_text())."
            )
        self.recipe = copy.deepcopy(dict(recipe))
        self.pre, self.post, self.label = pre, post, label
        self.pre_channel, self.post_channel = pre_channel, post_channel
        self.tumor_label, self.paint_over = tumor_label, tuple(paint_over)
        self.weights, self.bank, self.generator_device = weights, bank, generator_device
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
        ensure_label(subject, fields, self.tumor_label)
        check_label_type(subject, fields, self.tumor_label)
        with plain_numpy():
            volume = read_volume(subject, fields, self.tumor_label, self.paint_over)
            painted = self._synthesizer().replay(volume, self.recipe)
        write_synthesis(subject, fields, painted, self.tumor_label)
        set_outcome(subject, painted)
        return subject

    def _synthesizer(self) -> TumorSynthesizer:
        settings = InjectionSettings(
            weights=self.weights, bank=self.bank, generator_device=self.generator_device
        )
        return shared_synthesizer(settings_of_recipe(self.recipe, settings))


def set_outcome(subject: tio.Subject, outcome: Synthesis | str) -> None:
    """Leave `subject.synbt_outcome`: what was painted, or the reason why nothing was."""
    if isinstance(outcome, str):
        found: dict[str, Any] = {"painted": False, "reason": outcome, "measured": {}}
    else:
        found = {
            "painted": outcome.painted,
            "reason": outcome.reason,
            "measured": outcome.measured,
        }
    setattr(subject, OUTCOME, found)
