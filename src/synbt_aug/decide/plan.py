"""One thing decided: what it is, its shape and its place. No pixels of the host."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe

#: Noise tried for one tumor before it is dropped with its label.
ATTEMPTS = 3

#: Enhancement added for each further attempt, in reference ranges.
RETRY_ENHANCEMENT = 0.4


@dataclass(frozen=True)
class Plan:
    """One thing to paint. Pickles; all tensors lie on the CPU.

    Args:
        recipe: What it is; its JSON form is what a recipe keeps.
        label: Its shape in the window, B = 1.
        spare_seeds: Noise for further attempts.
        contrast_was_asked: Whether a faint tumor is what was wanted.
        signal: A real tumor's signal posed as the shape, for textures that paste,
            `(2, d, h, w)`.
    """

    recipe: TumorRecipe
    label: LabelShape
    spare_seeds: tuple[int, ...] = ()
    contrast_was_asked: bool = False
    signal: Tensor | None = None

    @property
    def distance(self) -> Tensor:
        """Signed distance to the surface in the window, in mm, shape `(d, h, w)`."""
        return self.label.distance[0]

    def retry(self) -> Plan | None:
        """The same with other noise, and brighter unless the contrast was asked for.

        Returns:
            None when no attempt is left.
        """
        if not self.spare_seeds:
            return None
        seed, *rest = self.spare_seeds
        recipe = self.recipe.with_noise(seed)
        asked = recipe.appearance
        if asked.enhancement is not None and not self.contrast_was_asked:
            # A template from a fatty breast may drown in gland: noise alone would not save it.
            # 20 is the most that an `Appearance` takes.
            brighter = replace(asked, enhancement=min(asked.enhancement + RETRY_ENHANCEMENT, 20.0))
            recipe = replace(recipe, appearance=brighter)
        return replace(self, recipe=recipe, spare_seeds=tuple(rest))
