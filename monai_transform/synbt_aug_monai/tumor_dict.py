"""The dictionary transform."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms.transform import MapTransform, RandomizableTransform
from monai.utils import TransformBackends

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.support.ranges import Range, WholeRange
from synbt_aug.transform import NOT_GIVEN, Origin, Sample, checked_keywords, merged_settings
from synbt_aug.volume import Spacing
from synbt_aug_monai.call_text import call_text
from synbt_aug_monai.geometry import was_cropped
from synbt_aug_monai.keys import image_keys, other_scans
from synbt_aug_monai.record_intensity import GRID_KEY, INTENSITY_KEY, recorded_in
from synbt_aug_monai.record_sites import AFFINE_KEY, SITES_KEY, origin_in
from synbt_aug_monai.scan import read_sample, write_sample
from synbt_aug_monai.tumor import HINTS, SynBTTumor

if TYPE_CHECKING:
    from typing_extensions import Self

RECIPE_KEY = "synbt_recipe"
OUTCOME_KEY = "synbt_outcome"


class SynBTTumord(RandomizableTransform, MapTransform):
    """Paint synthetic breast tumors into the image and the label of a dictionary.

        Compose([LoadImaged(["image", "label"]), ..., RecordIntensityd("image"),
                 RandSpatialCropd(["image", "label"], 128), SynBTTumord(prob=0.5),
                 RandAdjustContrastd("image")])

    The same as `SynBTTumor`, which see, with entries in place of arguments: `keys=("pre",
    "post", "post2", "sub")` paints pre and post, follows the tumor in further phases, and computes
    subtractions again, as the keys' names say. Entries called so that are not among the keys are
    refused. Each sample gets two texts, which loaders collate to lists: `synbt_recipe`, what was
    painted as JSON, for `PaintTumord` (empty where nothing was painted), and `synbt_outcome`:
    "painted", "not drawn", or the reason why nothing could be painted.

    Args:
        keys: One image that holds the series, or the keys of pre and post and of what follows
            them; the label's among them is left out.
        label_key: Of the label.
        prob: Probability of painting; the same as `probability`, .5 unless given.
        spacing: Voxel size along the image's axes, in mm; None takes it from the affine.
        settings: `InjectionSettings`; those given by name go before.
        roi_key: Of a label map that says where tumors may go, in place of what the tissues say:
            a mask, or weights in [0, 1]; None: none does. It is not changed. Give it to the
            spatial transforms before this one, too.
        intensity_key: Where `RecordIntensityd` left its references, if it ran.
        grid_key: Where it left the grid.
        sites_key: Where `RecordSitesd` left its map, if it ran; taken off the sample.
        affine_key: Where it left its affine.
        recipe_key: None leaves the recipe out.
        outcome_key: None leaves the outcome out.
        allow_missing_keys: Leave samples alone that lack an image or the label.
        probability: This and the rest are settings, as `InjectionSettings` describes them.

    Attributes:
        outcome: Of the last call, as for `SynBTTumor`.
        counts: Of all calls in this process, by outcome.

    Raises:
        SynBTError: If a name is unknown, a value is out of range, or a file is not there; on a
            sample, if shapes or grids do not fit, or a channel would contradict the label.
        KeyError: If a key is missing.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    @checked_keywords(**HINTS)
    def __init__(
        self,
        keys: KeysCollection = "image",
        label_key: Hashable = "label",
        prob: float | None = None,
        *,
        spacing: Spacing | None = None,
        settings: InjectionSettings | None = None,
        roi_key: Hashable | None = None,
        intensity_key: str = INTENSITY_KEY,
        grid_key: str = GRID_KEY,
        sites_key: str = SITES_KEY,
        affine_key: str = AFFINE_KEY,
        recipe_key: str | None = RECIPE_KEY,
        outcome_key: str | None = OUTCOME_KEY,
        allow_missing_keys: bool = False,
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
    ) -> None:
        name = type(self).__name__
        merged = merged_settings(name, settings, locals(), {"prob": prob})
        self.image_keys = image_keys(keys, label_key, roi_key)
        self.label_key, self.roi_key = label_key, roi_key
        needed = (*self.image_keys, label_key, *(() if roi_key is None else (roi_key,)))
        MapTransform.__init__(self, needed, allow_missing_keys)
        if len(self.image_keys) > 1 and (merged.pre_channel, merged.post_channel) != (0, 1):
            raise SynBTError(
                f"pre_channel and post_channel are for one image that holds both; {name} has the "
                f"keys {self.image_keys}. Leave them out."
            )
        self.painter = SynBTTumor(spacing=spacing, settings=merged)
        RandomizableTransform.__init__(self, merged.probability)
        self.intensity_key, self.grid_key = intensity_key, grid_key
        self.sites_key, self.affine_key = sites_key, affine_key
        self.recipe_key, self.outcome_key = recipe_key, outcome_key

    @property
    def settings(self) -> InjectionSettings:
        """The settings in force; those of the painter."""
        return self.painter.settings

    @property
    def outcome(self) -> dict[str, Any]:
        """What became of the last call."""
        return self.painter.outcome

    @property
    def counts(self) -> Counter[str]:
        """Calls in this process, by outcome."""
        return self.painter.counts

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> Self:
        """Seed; see MONAI. The array transform of the same seed paints the same."""
        super().set_random_state(seed, state)
        self.painter.set_random_state(seed, state)
        return self

    def randomize(self, data: Any = None) -> None:
        """Draw whether, and one integer that all else follows from."""
        self.painter.prob = self.prob
        self.painter.randomize()
        self._do_transform = self.painter._do_transform

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paint into a copy of the dictionary."""
        d = dict(data)
        packed, affine = d.pop(self.sites_key, None), d.pop(self.affine_key, None)
        self.randomize()
        if len(list(self.key_iterator(d))) < len(self.keys):
            missing = ", ".join(str(key) for key in self.keys if key not in d)
            self._tell(d, f"{missing} is missing", None)
            return d
        images, label = {key: d[key] for key in self.image_keys}, d[self.label_key]
        settings = self.painter.settings
        sample, series = read_sample(
            type(self).__name__,
            images,
            (self.label_key, label),
            settings,
            None if self.roi_key is None else (self.roi_key, d[self.roi_key]),
            others=lambda shape: other_scans(d, self.keys, shape),
            spacing=self.painter.spacing,
            recorded=recorded_in(d, self.intensity_key, self.grid_key),
            notices=self.painter.notices,
        )
        first = images[self.image_keys[0]]
        if packed is not None and self._do_transform:
            sample = self._with_origin(sample, first, packed, affine)
        painted = self.painter.inject(sample, was_cropped(first))
        new, d[self.label_key] = write_sample(
            painted,
            images,
            series,
            self.painter.new_subtractions(sample, painted),
            label,
            settings.tumor_label,
        )
        d.update(zip(self.image_keys, new, strict=True))
        self._tell(d, self.outcome["reason"] or "painted", self.outcome["recipe"])
        return d

    def _with_origin(self, sample: Sample, image: Any, packed: Any, affine: Any) -> Sample:
        d, h, w = sample.label.shape
        found = origin_in(image, packed, affine, (d, h, w), sample.spacing)
        if isinstance(found, Origin):
            return replace(sample, origin=found)
        self.painter.notices.warn(
            f"SynBT: where the image lies in the case of its recorded site map is not known: "
            f"{found}. Sites are looked for in what is in view. Keep metadata (track_meta=True), "
            f"or put RecordSitesd after what drops them."
        )
        return sample

    def _tell(self, d: dict[Hashable, Any], outcome: str, recipe: Mapping[str, Any] | None) -> None:
        if self.recipe_key is not None:
            d[self.recipe_key] = "" if recipe is None else json.dumps(recipe)
        if self.outcome_key is not None:
            d[self.outcome_key] = outcome

    def __repr__(self) -> str:
        described = {**self.painter.described(), "prob": self.prob}
        keys = {"keys": self.image_keys, "label_key": self.label_key}
        if self.roi_key is not None:
            keys["roi_key"] = self.roi_key
        return call_text(type(self).__name__, {**keys, **described})


SynBTTumorD = SynBTTumorDict = SynBTTumord
