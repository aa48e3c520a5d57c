"""The part without chance: what a recipe says, painted again."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms.transform import MapTransform, Transform
from monai.utils import TransformBackends

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.transform import (
    NOT_GIVEN,
    Notices,
    SeriesPlaces,
    checked_keywords,
    merged_settings,
    replay,
    subtractions_after,
)
from synbt_aug.volume import Spacing
from synbt_aug_monai.call_text import call_text, described
from synbt_aug_monai.geometry import recorded_grid_of
from synbt_aug_monai.keys import image_keys
from synbt_aug_monai.record_intensity import GRID_KEY
from synbt_aug_monai.scan import IMAGE, LABEL, Recorded, read_sample, write_sample
from synbt_aug_monai.tumor_dict import RECIPE_KEY

Recipe = Mapping[str, Any] | str


class PaintTumor(Transform):
    """Paint what a recipe says: the same voxels in the same image.

        painted, new_label = PaintTumor()(image, label, recipe)

    Voxels are bitwise the same on the same device, torch, threads and precision. The recipe
    brings all but the weights, the bank and the label's values; it belongs to one image in one
    axis order.

    Args:
        recipe: As `SynBTTumor.outcome["recipe"]` or `Synthesis.recipe`, or as JSON; for calls
            that bring none.
        spacing: As for `SynBTTumor`.
        settings: `InjectionSettings`; those given by name go before. The rest is of them what a
            recipe does not bring.

    Raises:
        SynBTError: If the recipe cannot be read, or does not belong to the image or the weights.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    @checked_keywords()
    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        spacing: Spacing | None = None,
        settings: InjectionSettings | None = None,
        weights: str = NOT_GIVEN,
        bank: str | None = NOT_GIVEN,
        generator_device: str = NOT_GIVEN,
        pre_channel: int = NOT_GIVEN,
        post_channel: int = NOT_GIVEN,
        post_channels: tuple[int, ...] = NOT_GIVEN,
        subtraction_channels: tuple[int, ...] = NOT_GIVEN,
        tumor_label: int = NOT_GIVEN,
        paint_over: tuple[int, ...] = NOT_GIVEN,
        roi_labels: tuple[int, ...] = NOT_GIVEN,
    ) -> None:
        self.settings = merged_settings("PaintTumor", settings, locals())
        self.recipe = None if recipe is None else read_recipe(recipe)
        self.spacing = spacing
        self.notices = Notices()

    def __call__(
        self, img: NdarrayOrTensor, label: NdarrayOrTensor, recipe: Recipe | None = None
    ) -> tuple[Any, Any]:
        """Paint.

        Args:
            img: Shape `(C, H, W, D)`, as it was before.
            label: Shape `(1, H, W, D)`, likewise.
            recipe: In place of the transform's own; an empty text paints nothing.

        Returns:
            Image and label.
        """
        (new,), new_label = self.paint(type(self).__name__, {IMAGE: img}, (LABEL, label), recipe)
        return new, new_label

    def paint(
        self,
        who: str,
        images: Mapping[Hashable, NdarrayOrTensor],
        label: tuple[Hashable, NdarrayOrTensor],
        recipe: Recipe | None,
        recorded: Recorded | None = None,
    ) -> tuple[list[Any], Any]:
        """Paint what a recipe says.

        Args:
            who: The transform's name, for errors.
            images: By name, as for `read_sample`.
            label: Likewise.
            recipe: In place of the transform's own.
            recorded: Where an image has lost its voxel size.

        Returns:
            New images and a new label.
        """
        found = self.recipe if recipe is None else read_recipe(recipe)
        if recipe is None and found is None:
            raise SynBTError(
                f"{who} needs a recipe: pass recipe=, as SynBTTumor.outcome"
                f'["recipe"] or a sample\'s "{RECIPE_KEY}" holds it.'
            )
        # What stays was told or refused when the recipe was made.
        s = replace(self.settings, unpainted_channels="allow")
        painted, new, series = None, [], SeriesPlaces(())
        if found is not None:
            sample, series = read_sample(
                who,
                images,
                label,
                s,
                spacing=self.spacing,
                recorded=recorded or Recorded(),
                notices=self.notices,
            )
            painted = replay(sample, s, found, self.notices)
            new = subtractions_after(sample, painted, s, self.notices)
        return write_sample(painted, images, series, new, label[1], s.tumor_label)

    def __repr__(self) -> str:
        return call_text(type(self).__name__, described(self.settings))


class PaintTumord(MapTransform):
    """Paint what the recipe of each sample says, or one recipe.

    The same as `PaintTumor`, which see, with entries in place of arguments. It has no chance in
    it: caches keep its result.

    Args:
        keys: As for `SynBTTumord`.
        label_key: Of the label.
        recipe: One for all samples; None takes each sample's own.
        recipe_key: Of the sample's own, as `SynBTTumord` left it; an empty text paints nothing.
        spacing: As for `SynBTTumord`.
        settings: `InjectionSettings`; those given by name go before.
        allow_missing_keys: Leave samples alone that lack an image, the label or the recipe.
        grid_key: As for `SynBTTumord`.
        weights: This and the rest as for `PaintTumor`.

    Raises:
        SynBTError: If a recipe cannot be read, or does not belong to its image or the weights.
        KeyError: If a key is missing.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    @checked_keywords()
    def __init__(
        self,
        keys: KeysCollection = "image",
        label_key: Hashable = "label",
        recipe: Recipe | None = None,
        *,
        recipe_key: str = RECIPE_KEY,
        spacing: Spacing | None = None,
        settings: InjectionSettings | None = None,
        allow_missing_keys: bool = False,
        grid_key: str = GRID_KEY,
        weights: str = NOT_GIVEN,
        bank: str | None = NOT_GIVEN,
        generator_device: str = NOT_GIVEN,
        pre_channel: int = NOT_GIVEN,
        post_channel: int = NOT_GIVEN,
        post_channels: tuple[int, ...] = NOT_GIVEN,
        subtraction_channels: tuple[int, ...] = NOT_GIVEN,
        tumor_label: int = NOT_GIVEN,
        paint_over: tuple[int, ...] = NOT_GIVEN,
        roi_labels: tuple[int, ...] = NOT_GIVEN,
    ) -> None:
        merged = merged_settings("PaintTumord", settings, locals())
        self.image_keys, self.label_key = image_keys(keys, label_key), label_key
        needed = (*self.image_keys, label_key, *([] if recipe is not None else [recipe_key]))
        super().__init__(needed, allow_missing_keys)
        self.recipe_key, self.grid_key = recipe_key, grid_key
        self.painter = PaintTumor(recipe, spacing=spacing, settings=merged)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paint into a copy of the dictionary."""
        d = dict(data)
        if len(list(self.key_iterator(d))) < len(self.keys):
            return d
        new, d[self.label_key] = self.painter.paint(
            type(self).__name__,
            {key: d[key] for key in self.image_keys},
            (self.label_key, d[self.label_key]),
            None if self.painter.recipe is not None else d[self.recipe_key],
            Recorded(grid=recorded_grid_of(d.get(self.grid_key))),
        )
        d.update(zip(self.image_keys, new, strict=True))
        return d

    def __repr__(self) -> str:
        keys = {"keys": self.image_keys, "label_key": self.label_key}
        return call_text(type(self).__name__, {**keys, **described(self.painter.settings)})


PaintTumorD = PaintTumorDict = PaintTumord


def read_recipe(recipe: Recipe) -> Mapping[str, Any] | None:
    """A recipe from a dictionary or its JSON; None for an empty text.

    Raises:
        SynBTError: If it is neither.
    """
    if recipe == "":
        return None
    try:
        found = json.loads(recipe) if isinstance(recipe, str) else recipe
    except json.JSONDecodeError as error:
        raise SynBTError(
            f"A recipe needs to be a dictionary or its JSON, got {str(recipe)[:40]!r}. Read a "
            f"file with path.read_text()."
        ) from error
    if not isinstance(found, Mapping):
        raise SynBTError(
            f"A recipe needs to be a dictionary or its JSON, got {type(found).__name__}."
        )
    return found
