"""Every number of the denoiser's training, each marked as the paper's or as ours.

Three presets: `paper` repeats section 3.1 of the SynBT paper where it speaks;
`shipped` is what the weights in the wheel were trained with, within an hour of CPU;
`tiny` is for tests. Change a number with `dataclasses.replace`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.networks import DenoiserSettings, NoiseSchedule
from synbt_aug.train.windows import HoleSettings


@dataclass(frozen=True)
class WindowPool:
    """Windows of one size, kept encoded.

    Args:
        sides: In mm and voxels.
        share: Of the training steps.
        batch: Windows a step.
        start: Windows encoded before the first step.
        most: Windows kept; a new one then takes the place of the oldest.
    """

    sides: tuple[int, int, int]
    share: float
    batch: int
    start: int
    most: int


@dataclass(frozen=True)
class DenoiserPreset:
    """How the denoiser is trained.

    Args:
        name: Of the preset.
        network: Its shape and what it predicts.
        schedule: Of the noise.
        pools: Windows by size.
        refresh: New windows a step, on average, over all pools in proportion to share.
        steps: Steps in all.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        decay_from: Progress where the cosine starts; 1 for a constant rate.
        warmup_steps: Of the learning rate.
        average: Decay of the running average of weights that is saved.
        background: Weight of the loss away from the hole; 1 in it and in one ring.
        min_snr: Signal-to-noise ratio above which a noise level counts for less; None lets all
            count alike (Hang et al., "Efficient diffusion training via min-SNR weighting
            strategy", ICCV 2023, eq. 6; there 5).
        holes: How holes are drawn.
        encode_patch: Side of the patches that windows are encoded by; None for one pass.
        drop_each: Chance that a number of the appearance is withheld.
        drop_all: Chance that all of it is.
    """

    name: str
    network: DenoiserSettings
    schedule: NoiseSchedule
    pools: tuple[WindowPool, ...]
    refresh: float
    steps: int
    learning_rate: float
    weight_decay: float
    decay_from: float
    warmup_steps: int
    average: float
    background: float
    min_snr: float | None
    holes: HoleSettings
    encode_patch: int | None
    drop_each: float
    drop_all: float

    @property
    def min_steps(self) -> int:
        """Fewer steps make no weights: the learning rate is still on its way up."""
        return self.warmup_steps

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


DENOISER_PRESETS = {
    "paper": DenoiserPreset(
        name="paper",
        network=DenoiserSettings(
            latent_channels=8,  # paper
            channels=(64, 128, 256),  # ours: the paper says "a specially designed UNet"
            residual_blocks=2,  # ours
            predicts="noise",  # paper, eq. 2
        ),
        schedule=NoiseSchedule(steps=1000),  # paper; the betas are ours
        pools=(
            WindowPool(
                sides=(128, 192, 192),  # paper
                share=1.0,
                batch=1,  # ours: the paper names none
                start=16,  # ours
                most=128,  # ours
            ),
        ),
        refresh=0.5,  # ours
        steps=500_000,  # paper
        learning_rate=1e-4,  # paper
        weight_decay=0.0,  # ours
        decay_from=1.0,  # ours: the paper names no decay
        warmup_steps=100,  # ours
        average=0.999,  # ours
        background=1.0,  # the paper names no weighting
        min_snr=None,  # the paper names no weighting
        holes=HoleSettings(),  # ours
        encode_patch=64,  # paper
        drop_each=0.0,
        drop_all=1.0,  # the paper's network is told nothing of the appearance
    ),
    # All ours but T: found in a first trial on two CPU cores.
    "shipped": DenoiserPreset(
        name="shipped",
        network=DenoiserSettings(),
        schedule=NoiseSchedule(),
        pools=(
            WindowPool((64, 64, 64), share=0.75, batch=6, start=96, most=384),
            WindowPool((96, 96, 96), share=0.17, batch=2, start=8, most=96),
            WindowPool((128, 128, 128), share=0.08, batch=1, start=4, most=32),
        ),
        refresh=0.3,
        steps=40_000,
        learning_rate=4e-4,
        weight_decay=1e-4,
        decay_from=0.55,
        warmup_steps=100,
        average=0.998,
        background=0.1,
        min_snr=None,
        # Real tumors enhance by 2 reference ranges and more, phantoms by .3 to 1.5.
        # Without its share of small lesions it painted one in ten of 6-13 mm visibly.
        holes=HoleSettings(scale=1.4, small=0.35),
        encode_patch=None,
        drop_each=0.1,
        drop_all=0.15,
    ),
    "tiny": DenoiserPreset(
        name="tiny",
        network=DenoiserSettings(channels=(8, 16), norm_groups=4, head_channels=8),
        schedule=NoiseSchedule(),
        pools=(
            WindowPool((32, 32, 32), share=0.7, batch=2, start=4, most=6),
            WindowPool((48, 48, 48), share=0.3, batch=1, start=2, most=3),
        ),
        refresh=1.0,
        steps=6,
        learning_rate=1e-3,
        weight_decay=1e-4,
        decay_from=0.5,
        warmup_steps=2,
        average=0.9,
        background=0.1,
        min_snr=None,
        holes=HoleSettings(),
        encode_patch=None,
        drop_each=0.1,
        drop_all=0.15,
    ),
}


def denoiser_preset(name: str) -> DenoiserPreset:
    """Look a preset up.

    Raises:
        SynBTError: If there is none of that name.
    """
    if name not in DENOISER_PRESETS:
        raise SynBTError(f"No preset is called {name!r}. Use one of {list(DENOISER_PRESETS)}.")
    return DENOISER_PRESETS[name]
