"""Every number of the autoencoder's training, each marked as the paper's or as ours.

Three presets: `paper` repeats section 3.1 of the SynBT paper where it speaks;
`shipped` is what the weights in the wheel were trained with, within an hour of CPU;
`tiny` is for tests. Change a number with `dataclasses.replace`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.networks import VQVAESettings


@dataclass(frozen=True)
class CropPhase:
    """From some progress on, crops of one size.

    Args:
        progress_from: Share of the run, in [0, 1), where the phase starts.
        patch: Side of the crops in voxels; 16 at least, since the weight gradients of
            bfloat16 convolutions over 2 latent voxels come out random on a CPU
            (torch 2.15, oneDNN: uninitialised memory).
        batch: Crops a step.
    """

    progress_from: float
    patch: int
    batch: int


@dataclass(frozen=True)
class VolumeStage:
    """Stage 2: the decoder alone, on volumes; encoder and codebook frozen.

    Args:
        steps: Steps in all.
        learning_rate: Of Adam.
        decay_from: Progress where the cosine starts; 1 for a constant rate.
        volume: Sides of the volumes in voxels.
        batch: Volumes a step.
        patch: Side of the patches that are encoded and joined.
        patch_joined: Share of the steps that encode by patches; the rest in one pass.
        time_share: Of a time box, left to this stage.
    """

    steps: int
    learning_rate: float
    decay_from: float
    volume: tuple[int, int, int]
    batch: int
    patch: int
    patch_joined: float
    time_share: float


@dataclass(frozen=True)
class AutoencoderPreset:
    """How the VQ-VAE is trained.

    Args:
        name: Of the preset.
        network: Its shape.
        phases: Crops over the run; the first starts at 0.
        steps: Steps of stage 1.
        learning_rate: Of Adam.
        betas: Of Adam.
        decay_from: Progress where the cosine starts; 1 for a constant rate.
        warmup_steps: Of the learning rate.
        codebook_start: Steps without quantizing, before the codebook is initialised.
        restart_every: Steps between restarts of dead codes.
        restart_until: Progress after which none is restarted.
        keep_continuous: Share of crops whose latent skips the codebook on its way to
            the decoder.
        gradient_weight: Of the L1 distance of finite differences.
        difference_weight: Of the L1 distance of post - pre.
        linear_weight: Of the squared error before the knee.
        adversarial_weight: Of the discriminator's verdict.
        perceptual_weight: Of the perceptual network, if one is given.
        discriminator_start: First step with the discriminator; None for never.
        discriminator_channels: Its first width.
        jitter: Whether intensities are scaled and shifted at random.
        volumes: Stage 2, or None to leave it out.
    """

    name: str
    network: VQVAESettings
    phases: tuple[CropPhase, ...]
    steps: int
    learning_rate: float
    betas: tuple[float, float]
    decay_from: float
    warmup_steps: int
    codebook_start: int
    restart_every: int
    restart_until: float
    keep_continuous: float
    gradient_weight: float
    difference_weight: float
    linear_weight: float
    adversarial_weight: float
    perceptual_weight: float
    discriminator_start: int | None
    discriminator_channels: int
    jitter: bool
    volumes: VolumeStage | None

    @property
    def min_steps(self) -> int:
        """Fewer steps of stage 1 make no weights: the codebook has only begun to learn."""
        return 2 * max(self.warmup_steps, self.codebook_start)

    def phase(self, progress: float) -> CropPhase:
        """The crops at some progress in [0, 1]."""
        return [p for p in self.phases if p.progress_from <= progress][-1]

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


AUTOENCODER_PRESETS = {
    "paper": AutoencoderPreset(
        name="paper",
        network=VQVAESettings(),  # paper: 2 channels, 32 doubling, 4x, 8192 codes of 8
        phases=(CropPhase(0.0, patch=64, batch=8),),  # paper
        steps=300_000,  # ours: the paper says only that 200,000 steps have no discriminator
        learning_rate=1e-4,  # paper
        betas=(0.9, 0.99),  # ours
        decay_from=1.0,  # ours: the paper names no decay
        warmup_steps=100,  # ours
        codebook_start=150,  # ours
        restart_every=20,  # ours
        restart_until=0.85,  # ours
        keep_continuous=0.0,  # ours
        gradient_weight=0.0,  # the paper names no such loss
        difference_weight=0.0,  # the paper names no such loss
        linear_weight=0.0,  # the paper names no such loss
        adversarial_weight=0.01,  # paper
        perceptual_weight=0.001,  # paper
        discriminator_start=200_000,  # paper
        discriminator_channels=64,  # ours
        jitter=False,  # ours
        volumes=VolumeStage(
            steps=100_000,  # paper
            learning_rate=1e-5,  # paper
            decay_from=1.0,  # ours
            volume=(128, 192, 192),  # paper
            batch=1,  # paper
            patch=64,  # paper
            patch_joined=1.0,  # paper
            time_share=0.4,  # ours
        ),
    ),
    # All ours: found in a first trial on two CPU cores.
    "shipped": AutoencoderPreset(
        name="shipped",
        network=VQVAESettings(),
        # Tumor brightness swings at a constant rate and small crops; it settles when
        # the end is large crops under a falling rate.
        phases=(CropPhase(0.0, patch=32, batch=4), CropPhase(0.65, patch=64, batch=1)),
        steps=40_000,
        learning_rate=6e-4,
        betas=(0.9, 0.99),
        decay_from=0.55,
        warmup_steps=100,
        codebook_start=150,
        restart_every=20,
        restart_until=0.85,
        keep_continuous=0.2,
        gradient_weight=0.5,
        difference_weight=0.25,
        linear_weight=0.5,
        adversarial_weight=0.01,
        perceptual_weight=0.001,
        discriminator_start=None,
        discriminator_channels=32,
        jitter=True,
        volumes=VolumeStage(
            steps=1000,
            learning_rate=1e-4,
            decay_from=0.0,
            volume=(96, 96, 96),
            batch=1,
            patch=64,
            patch_joined=0.5,
            time_share=0.1,
        ),
    ),
    "tiny": AutoencoderPreset(
        name="tiny",
        network=VQVAESettings(channels=(4, 8), residual_layers=1, codebook_size=64),
        phases=(CropPhase(0.0, patch=16, batch=2), CropPhase(0.5, patch=24, batch=1)),
        steps=8,
        learning_rate=1e-3,
        betas=(0.9, 0.99),
        decay_from=0.5,
        warmup_steps=2,
        codebook_start=3,
        restart_every=2,
        restart_until=0.85,
        keep_continuous=0.2,
        gradient_weight=0.5,
        difference_weight=0.25,
        linear_weight=0.5,
        adversarial_weight=0.01,
        perceptual_weight=0.001,
        discriminator_start=5,
        discriminator_channels=4,
        jitter=True,
        volumes=VolumeStage(
            steps=3,
            learning_rate=1e-4,
            decay_from=0.5,
            volume=(16, 16, 24),
            batch=1,
            patch=16,
            patch_joined=0.5,
            time_share=0.3,
        ),
    ),
}


def autoencoder_preset(name: str) -> AutoencoderPreset:
    """Look a preset up.

    Raises:
        SynBTError: If there is none of that name.
    """
    if name not in AUTOENCODER_PRESETS:
        raise SynBTError(f"No preset is called {name!r}. Use one of {list(AUTOENCODER_PRESETS)}.")
    return AUTOENCODER_PRESETS[name]
