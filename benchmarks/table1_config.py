"""One configuration for all rows of Table 1, in three sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.phantom import PhantomSettings
from synbt_aug.support.files import read_json, write_json
from synbt_aug.train.segmentation_preset import SegmentationPreset, segmentation_preset

# Phantoms of the shipped weights have seeds below 1,000; 1,000,000 and above are for tests only.
FIRST_LABELLED, FIRST_EXTRA = 20_000, 21_000
FIRST_VALIDATION, FIRST_TEST = 1_200_000, 1_300_000


@dataclass(frozen=True)
class Training:
    """Steps of a generator, on the labelled cases; None: the preset's. Steps and no time boxes:
    a busy machine gives the same generator.

    Args:
        crops: Of the autoencoder.
        volumes: Of its decoder.
        denoiser: Of the denoiser.
    """

    crops: int | None = None
    volumes: int | None = None
    denoiser: int | None = None


@dataclass(frozen=True)
class Configuration:
    """What all rows share.

    Args:
        size: "paper", "small" or "tiny".
        epochs: Of each segmenter; None: the preset's.
        steps_per_epoch: Likewise.
        labelled: Phantoms the segmenter, its bank and its own generator learn from.
        validation: Phantoms that choose the best weights (paper: 100 cases).
        test: Phantoms that are scored (paper: 206 cases).
        extra: Further real cases of the method "extra": as many as paintings are made.
        phantoms: How they look.
        generator_preset: Of autoencoder and denoiser.
        own: Training of the generator that has seen the labelled cases alone.
        tuned: Training of the shipped one on the same cases.
        painting: Precision of the generator.
        precisions: Of the segmenters, by network; what is not named is picked.
    """

    size: str
    epochs: int | None
    steps_per_epoch: int | None
    labelled: int
    validation: int
    test: int
    extra: int
    phantoms: PhantomSettings
    generator_preset: str
    own: Training
    tuned: Training
    painting: str
    precisions: Mapping[str, str] = field(default_factory=dict)

    @property
    def preset(self) -> SegmentationPreset:
        """Every number of the segmenters."""
        chosen = segmentation_preset(self.size)
        return dataclasses.replace(
            chosen,
            epochs=self.epochs or chosen.epochs,
            steps_per_epoch=self.steps_per_epoch or chosen.steps_per_epoch,
        )

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"preset": self.preset.to_dict()}


#: A look that the shipped weights never saw: they learned from slices of 1.0-2.6 mm, an SNR of
#: 9-30 and the second minute after injection.
HELD_OUT_STYLE: dict[str, Any] = {"times_s": (300.0,), "slice_thickness_mm": 3.2, "snr": 8.0}

SIZES = {
    "paper": Configuration(
        size="paper",
        epochs=None,
        steps_per_epoch=None,
        labelled=1200,
        validation=100,
        test=206,
        extra=0,
        phantoms=PhantomSettings(),  # none: MAMA-MIA
        generator_preset="paper",
        own=Training(),
        tuned=Training(),
        painting="bf16",
    ),
    "small": Configuration(
        size="small",
        epochs=None,
        steps_per_epoch=None,
        labelled=24,
        validation=12,
        test=200,
        extra=250,  # 1000 steps, each painting used four times
        phantoms=PhantomSettings(**HELD_OUT_STYLE),
        generator_preset="shipped",
        # About an hour and a quarter of an hour of one core.
        own=Training(8000, 150, 4000),
        tuned=Training(1500, 60, 1200),
        painting="bf16",
        # Its coarsest level is one voxel of a patch: bfloat16's weight gradients are wrong there.
        precisions={"swinunetr": "32-true"},
    ),
    "tiny": Configuration(
        size="tiny",
        epochs=None,
        steps_per_epoch=None,
        labelled=2,
        validation=1,
        test=2,
        extra=2,
        phantoms=PhantomSettings(shape=(64, 64, 64), diameter_mm=14.0),
        generator_preset="tiny",
        own=Training(),
        tuned=Training(),
        painting="fp32",
        precisions={name: "32-true" for name in ("unet", "nnunet", "swinunetr")},
    ),
}


def remember(folder: Path, configuration: Configuration, data: str | None) -> None:
    """Refuse to go on with another configuration: rows of two tables would mix.

    Raises:
        SynBTError: If the folder has one.
    """
    path = folder / "configuration.json"
    wanted = {**configuration.to_dict(), "data": data}
    if path.is_file():
        there = read_json(path)
        plain = _plain(wanted)
        if differ := sorted(k for k in {*there, *plain} if there.get(k) != plain.get(k)):
            raise SynBTError(
                f"{folder} holds rows of another configuration ({', '.join(differ)}). Name another "
                f"folder with -o."
            )
        return
    write_json(path, wanted)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
