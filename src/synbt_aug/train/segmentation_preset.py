"""Every number of the segmenters' training, each marked as the paper's (section 3.1) or as ours.

Three presets: `paper` for MAMA-MIA on GPUs; `small`, the same fields of view in mm at half the
resolution, for phantoms on CPU cores; `tiny` for tests.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.train.segmenters import NETWORKS, SegmenterSettings

Sides = tuple[int, int, int]
FIELDS_OF_VIEW = ("volume", "patch")


@dataclass(frozen=True)
class SegmentationPreset:
    """How segmenters are trained.

    Args:
        name: Of the preset.
        networks: The shape of each of `NETWORKS`.
        spacing_mm: Voxel size that the networks see, whole mm. Crops are cut and tumors are
            painted at 1 mm; both are averaged down to this afterwards, so that real and
            synthetic tumors lose the same.
        volume: Large field of view along D, H and W, in mm.
        patch: Small field of view, in mm.
        epochs: One epoch is `steps_per_epoch` steps.
        steps_per_epoch: None: as many as see each training case once.
        validate_every: Epochs between validations; one more follows the last step.
        batch: Real samples a step, over all devices together.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        warmup_steps: Of the learning rate.
        decay_from: Progress where the cosine starts; 1 for a constant rate.
        on_tumor: Share of crops centred near a tumor; the rest lies anywhere in the body.
        flip: Chance of a flip, for each axis.
        rotated: Share of samples that are rotated.
        rotation_deg: Largest angle, about each axis.
        jittered: Share of samples whose intensities are scaled and shifted.
        scale: Largest change of the scale, as a share.
        shift: Largest shift, where ordinary tissue fills [-1, 1].
        overlap: Of the sliding window.
        repeats: How often a candidate for painting is used, painted or not, each time turned and
            scaled anew.
        pool: Candidates among which the repeats are shuffled; they stay in memory.
    """

    name: str
    networks: tuple[SegmenterSettings, ...]
    spacing_mm: int
    volume: Sides
    patch: Sides
    epochs: int
    steps_per_epoch: int | None
    validate_every: int
    batch: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    decay_from: float
    on_tumor: float
    flip: float
    rotated: float
    rotation_deg: float
    jittered: float
    scale: float
    shift: float
    overlap: float
    repeats: int
    pool: int

    def network(self, name: str) -> SegmenterSettings:
        """The shape of the network of this name.

        Raises:
            SynBTError: If there is none.
        """
        for settings in self.networks:
            if settings.name == name:
                return settings
        raise SynBTError(f"--network takes one of {', '.join(NETWORKS)}, got {name!r}.")

    def sides_mm(self, field_of_view: str) -> Sides:
        """Sides of the crops, in mm.

        Raises:
            SynBTError: If it is neither "volume" nor "patch".
        """
        if field_of_view not in FIELDS_OF_VIEW:
            raise SynBTError(f"--field-of-view takes volume or patch, got {field_of_view!r}.")
        return self.volume if field_of_view == "volume" else self.patch

    def sides(self, field_of_view: str) -> Sides:
        """Sides of what the networks see, in voxels."""
        d, h, w = (mm // self.spacing_mm for mm in self.sides_mm(field_of_view))
        return d, h, w

    def steps(self, cases: int) -> int:
        """Steps in all, for so many training cases."""
        return self.epochs * self.steps_of_an_epoch(cases)

    def steps_of_an_epoch(self, cases: int) -> int:
        """Steps of an epoch, for so many training cases."""
        return self.steps_per_epoch or max(1, -(-cases // self.batch))

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


SEGMENTATION_PRESETS = {
    "paper": SegmentationPreset(
        name="paper",
        networks=(
            # Paper: "MONAI implementation", no more. Ours: the widths of MONAI's tutorial, of
            # nnU-Net's plan for this field of view, and of SwinUNETR's paper.
            SegmenterSettings("unet", (16, 32, 64, 128, 256)),
            SegmenterSettings("nnunet", (32, 64, 128, 256, 320, 320)),
            SegmenterSettings("swinunetr", (48,), checkpointing=True),
        ),
        spacing_mm=1,  # paper
        volume=(128, 192, 192),  # paper
        patch=(64, 64, 64),  # paper
        epochs=300,  # paper
        steps_per_epoch=None,  # ours: each case once
        validate_every=1,  # ours
        batch=1,  # paper
        learning_rate=1e-4,  # paper
        weight_decay=1e-5,  # ours: the paper names no optimizer
        warmup_steps=1,  # ours: none
        decay_from=1.0,  # ours: the paper names no decay
        on_tumor=0.5,  # ours: the paper says "randomly cropped"
        flip=0.5,  # ours: the paper names flips, rotations, scales and shifts without numbers
        rotated=0.5,  # ours
        rotation_deg=15.0,  # ours
        jittered=0.5,  # ours
        scale=0.1,  # ours
        shift=0.1,  # ours
        overlap=0.25,  # ours
        repeats=1,  # paper: on the fly
        pool=1,
    ),
    # All ours but the fields of view in mm: an affordable step on one CPU core.
    "small": SegmentationPreset(
        name="small",
        networks=(
            # A patch is 32 voxels wide and the coarsest level 4: the weight gradients of bfloat16
            # convolutions over 2 voxels come out random on a CPU (torch 2.15, oneDNN).
            SegmenterSettings("unet", (16, 32, 64, 128)),
            SegmenterSettings("nnunet", (8, 16, 32, 64)),
            SegmenterSettings("swinunetr", (12,), window=4, norm="group"),
        ),
        spacing_mm=2,
        volume=(128, 192, 192),
        patch=(64, 64, 64),
        epochs=10,
        steps_per_epoch=100,
        validate_every=1,
        batch=1,
        # At 2e-3 the validation's Dice swung by .2 from one epoch to the next.
        learning_rate=1e-3,
        weight_decay=1e-5,
        warmup_steps=50,
        decay_from=0.4,
        on_tumor=0.5,
        flip=0.5,
        rotated=0.5,
        rotation_deg=15.0,
        jittered=0.5,
        scale=0.1,
        shift=0.1,
        overlap=0.25,
        # Painting takes about 1 s of a core, all else of a U-Net's step with an added sample .6 s.
        repeats=4,
        pool=16,
    ),
    "tiny": SegmentationPreset(
        name="tiny",
        networks=(
            SegmenterSettings("unet", (4, 8, 8)),
            SegmenterSettings("nnunet", (4, 8, 8)),
            SegmenterSettings("swinunetr", (12,), window=4, norm="group"),
        ),
        spacing_mm=1,
        volume=(64, 64, 64),
        patch=(32, 32, 32),
        epochs=1,
        steps_per_epoch=2,
        validate_every=1,
        batch=1,
        learning_rate=1e-3,
        weight_decay=1e-5,
        warmup_steps=1,
        decay_from=1.0,
        on_tumor=0.5,
        flip=0.5,
        rotated=0.5,
        rotation_deg=15.0,
        jittered=0.5,
        scale=0.1,
        shift=0.1,
        overlap=0.25,
        repeats=1,
        pool=1,
    ),
}


def segmentation_preset(name: str) -> SegmentationPreset:
    """Look a preset up.

    Raises:
        SynBTError: If there is none of that name.
    """
    if name not in SEGMENTATION_PRESETS:
        raise SynBTError(f"No preset is called {name!r}. Use one of {list(SEGMENTATION_PRESETS)}.")
    return SEGMENTATION_PRESETS[name]
