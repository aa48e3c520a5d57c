"""Slices whose features can be worked out by hand: a bright disc in even tissue."""

from __future__ import annotations

import numpy as np

from synbt_aug.evaluate.slices import TumorSlice

SIDE = 80
TISSUE, TUMOR, UPTAKE = 100.0, 150.0, 200.0


def disc(radius: float, middle: tuple[float, float] = (40.0, 40.0)) -> np.ndarray:
    """Pixels within a distance of a point, boolean, shape `(80, 80)`."""
    rows, columns = np.indices((SIDE, SIDE))
    return (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= radius**2


def slice_of(tumor: np.ndarray, name: str = "patient", pre: np.ndarray | None = None) -> TumorSlice:
    """A tumor of one brightness that gains `UPTAKE`, in tissue that gains nothing."""
    before = np.where(tumor, TUMOR, TISSUE) if pre is None else pre
    image = np.stack([before, before + UPTAKE * tumor]).astype(np.float32)
    rows, columns = np.nonzero(tumor)
    box = (
        max(rows.min() - 4, 0),
        min(rows.max() + 5, SIDE),
        max(columns.min() - 4, 0),
        min(columns.max() + 5, SIDE),
    )
    return TumorSlice(name, image, box)


def grainy(seed: int, radius: float = 9.0) -> TumorSlice:
    """A disc with noise: no two alike."""
    random = np.random.default_rng(seed)
    made = slice_of(disc(radius + random.normal(0, 0.5)), f"patient {seed}")
    image = made.image * random.uniform(0.8, 1.2) + random.normal(0, 6, made.image.shape)
    return TumorSlice(made.name, image.astype(np.float32), made.box)
