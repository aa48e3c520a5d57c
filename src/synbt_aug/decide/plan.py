"""One thing decided: what it is, its shape and its place. No pixels of the host."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synbt_aug.grid.window import Shape
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe

#: Noise tried for one tumor before it is dropped with its label.
ATTEMPTS = 3

#: Enhancement added for each further attempt, in reference ranges, and factor of heterogeneity.
RETRY_ENHANCEMENT, RETRY_HETEROGENEITY = 0.4, 0.8


@dataclass(frozen=True)
class Plan:
    """One thing to paint. Pickles; all tensors lie on the CPU.

    Args:
        recipe: What it is; its JSON form is what a recipe keeps.
        label: Its shape in the window, B = 1.
        spare_seeds: Noise for further attempts.
        contrast_was_asked: Whether a faint tumor is what was wanted.
        unevenness_was_asked: Whether one with dark parts is.
        satellite: Whether it is a further lesion of the group whose largest comes before it.
        shift_mm: How far resampling to the host moves the surface, taken back when it is written.
        free: Host voxels under the window that may change, boolean, shape
            `recipe.window.region_shape`; None: all that lie in the host.
        signal: A real tumor's signal posed as the shape, for textures that paste,
            `(2, d, h, w)`.
    """

    recipe: TumorRecipe
    label: LabelShape
    spare_seeds: tuple[int, ...] = ()
    contrast_was_asked: bool = False
    unevenness_was_asked: bool = False
    satellite: bool = False
    shift_mm: float = 0.0
    free: Tensor | None = None
    signal: Tensor | None = None

    @property
    def distance(self) -> Tensor:
        """Signed distance to the surface of what is labelled, in mm, shape `(d, h, w)`."""
        return self.label.labelled[0]

    def free_region(self, shape: Shape) -> Tensor:
        """Host voxels under the window that may change, in a host of this shape; on the CPU."""
        if self.free is not None:
            return self.free
        free = torch.zeros(self.recipe.window.region_shape, dtype=torch.bool)
        free[self.recipe.window.inside_region(shape)] = True
        return free

    def retry(self) -> Plan | None:
        """The same with other noise, brighter and more even unless that was asked for.

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
            asked = replace(asked, enhancement=min(asked.enhancement + RETRY_ENHANCEMENT, 20.0))
        if asked.heterogeneity is not None and not self.unevenness_was_asked:
            # Its dark parts may be what does not show.
            asked = replace(asked, heterogeneity=RETRY_HETEROGENEITY * asked.heterogeneity)
        recipe = replace(recipe, appearance=asked)
        return replace(self, recipe=recipe, spare_seeds=tuple(rest))


@dataclass(frozen=True)
class LeftOut:
    """One thing that was asked for and is not painted.

    Args:
        reason: Why.
        kind: What it was to be, as in a recipe.
        satellite: As for `Plan`.
        error: What was raised while deciding; None where there was no room or no site.
    """

    reason: str
    kind: str = "tumor"
    satellite: bool = False
    error: Exception | None = None
