"""Every number of the tissue segmenter's training; all are ours, the paper says "SynthSeg"."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.tissue.network import NetworkSettings


@dataclass(frozen=True)
class CropSize:
    """Crops of one size.

    Args:
        sides_mm: Their sides; half as many voxels at 2 mm, which divide by 16 and are 48 at
            least: the weight gradients of bfloat16 convolutions over 2 voxels come out random on
            a CPU (torch 2.15, oneDNN).
        share: Of the steps.
        batch: Crops a step.
    """

    sides_mm: tuple[int, int, int]
    share: float
    batch: int


@dataclass(frozen=True)
class TissuePreset:
    """How the segmenter is trained.

    Args:
        name: Of the preset.
        network: Its shape.
        first_phantom: Seed of the first label map made where no data is given.
        phantoms: How many are made.
        crops: Sizes: the network meets anything from a patch to a whole torso.
        pool: Examples kept a size; each is used several times.
        uses: How often an example is used on average.
        steps: Steps in all.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        warmup_steps: Of the learning rate.
        decay_from: Progress where the cosine starts.
        average: Decay of the running average of the weights.
    """

    name: str
    network: NetworkSettings
    first_phantom: int
    phantoms: int
    crops: tuple[CropSize, ...]
    pool: int
    uses: float
    steps: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    decay_from: float
    average: float

    @property
    def min_steps(self) -> int:
        """Fewer steps make no weights: the learning rate is still on its way up."""
        return self.warmup_steps

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "network": self.network.to_dict()}


TISSUE_PRESETS = {
    "shipped": TissuePreset(
        name="shipped",
        network=NetworkSettings(),
        first_phantom=300,
        phantoms=560,
        crops=(
            CropSize((96, 96, 96), 0.2, 4),
            CropSize((128, 128, 128), 0.4, 2),
            CropSize((192, 192, 128), 0.4, 1),
        ),
        pool=48,
        uses=4.0,
        steps=100_000,
        learning_rate=2e-3,
        weight_decay=1e-5,
        warmup_steps=100,
        decay_from=0.4,
        average=0.998,
    ),
    "tiny": TissuePreset(
        name="tiny",
        network=NetworkSettings(channels=(4, 8, 8)),
        first_phantom=0,
        phantoms=1,
        crops=(CropSize((96, 96, 96), 1.0, 1),),
        pool=2,
        uses=4.0,
        steps=3,
        learning_rate=1e-3,
        weight_decay=1e-5,
        warmup_steps=1,
        decay_from=0.4,
        average=0.9,
    ),
}


def tissue_preset(name: str) -> TissuePreset:
    """Look a preset up by name.

    Raises:
        SynBTError: If there is none of that name.
    """
    if name not in TISSUE_PRESETS:
        raise SynBTError(f"--preset takes one of {', '.join(TISSUE_PRESETS)}, got {name!r}.")
    return TISSUE_PRESETS[name]
