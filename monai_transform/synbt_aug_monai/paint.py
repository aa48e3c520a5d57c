"""The part without chance: what a recipe says, painted again."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms.transform import MapTransform, Transform
from monai.utils import TransformBackends

from synbt_aug.errors import SynBTError
from synbt_aug.injection_settings import InjectionSettings
from synbt_aug.injector import Injected, SynBTInjector
from synbt_aug.volume import Spacing
from synbt_aug_monai.keys import image_keys
from synbt_aug_monai.options import call_text, described, settings_from
from synbt_aug_monai.scan import Scan, read_scan, write_scan
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
        settings: `InjectionSettings`; those given by name go before.
        **kwargs: Of its fields weights, bank, generator_device, pre_channel, post_channel,
            tumor_label, paint_over and roi_labels.

    Raises:
        SynBTError: If the recipe cannot be read, or does not belong to the image or the weights.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        spacing: Spacing | None = None,
        settings: InjectionSettings | None = None,
        **kwargs: Any,
    ) -> None:
        own = ("recipe", "spacing", "settings")
        self.settings = settings_from(type(self).__name__, own, settings, kwargs)
        self.recipe = None if recipe is None else read_recipe(recipe)
        self.spacing = spacing

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
        scan = read_scan(type(self).__name__, [img], label, self.spacing)
        (new,), new_label = write_scan(self.replay(scan, recipe), [img], label)
        return new, new_label

    def replay(self, scan: Scan, recipe: Recipe | None) -> Injected:
        """Paint into plain tensors; a batch of one."""
        found = self.recipe if recipe is None else read_recipe(recipe)
        if recipe is None and found is None:
            raise SynBTError(
                f"{type(self).__name__} needs a recipe: pass recipe=, as SynBTTumor.outcome"
                f'["recipe"] or a sample\'s "{RECIPE_KEY}" holds it.'
            )
        return SynBTInjector(self.settings).replay(
            scan.image[None], scan.label[None], [found], scan.spacing
        )

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
        **kwargs: As for `PaintTumor`.

    Raises:
        SynBTError: If a recipe cannot be read, or does not belong to its image or the weights.
        KeyError: If a key is missing.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

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
        **kwargs: Any,
    ) -> None:
        self.image_keys, self.label_key = image_keys(keys, label_key), label_key
        needed = (*self.image_keys, label_key, *([] if recipe is not None else [recipe_key]))
        super().__init__(needed, allow_missing_keys)
        self.recipe_key = recipe_key
        self.painter = PaintTumor(recipe, spacing=spacing, settings=settings, **kwargs)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Paint into a copy of the dictionary."""
        d = dict(data)
        if len(list(self.key_iterator(d))) < len(self.keys):
            return d
        images, label = [d[key] for key in self.image_keys], d[self.label_key]
        scan = read_scan(type(self).__name__, images, label, self.painter.spacing)
        recipe = None if self.painter.recipe is not None else d[self.recipe_key]
        new, d[self.label_key] = write_scan(self.painter.replay(scan, recipe), images, label)
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
