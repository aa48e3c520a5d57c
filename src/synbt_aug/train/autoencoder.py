"""Train the patch-to-volume VQ-VAE, in the paper's two stages.

Stage 1 trains everything on random crops. Stage 2 freezes encoder and codebook and
trains the decoder on volumes whose latents were joined from patches, so that no seam
shows. The result is a folder with `autoencoder.safetensors` and `autoencoder.json`.

Nothing is downloaded: the perceptual network is used only where its file is given.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from synbt_aug.errors import SynBTError
from synbt_aug.loop.training_loop import (
    TrainingRun,
    checkpoint_path,
    fresh_weights,
    make_fabric,
    refuse_other_run,
)
from synbt_aug.loop.training_step import descend, learning_rate, set_learning_rate
from synbt_aug.networks import VQVAE
from synbt_aug.train.autoencoder_presets import AutoencoderPreset, VolumeStage
from synbt_aug.train.codec_losses import (
    Adversary,
    difference_l1,
    gradient_l1,
    l1,
    linear_square,
    make_discriminator,
)
from synbt_aug.train.crops import CropSampler, TrainingCase, jitter_intensity, resident
from synbt_aug.train.files import cases_seen, load_autoencoder, save_network
from synbt_aug.train.identity import identity_of_cases, identity_of_network
from synbt_aug.train.perceptual import load_perceptual

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)

# Batches whose latents the codebook starts from.
_BATCHES_FOR_CODEBOOK = 12
# Fewer steps of stage 2 leave the decoder as stage 1 made it.
_LEAST_VOLUMES = 10


def train_autoencoder(
    cases: Sequence[TrainingCase],
    preset: AutoencoderPreset,
    output_dir: str | Path,
    *,
    max_time_s: float | None = None,
    resume: bool = False,
    init: str | Path | None = None,
    perceptual: str | Path | None = None,
    keep_encoder: bool = False,
    seed: int = 0,
    devices: int = 1,
    num_nodes: int = 1,
    precision: str | None = None,
    accelerator: str = "auto",
    save_every_s: float = 300.0,
) -> Path:
    """Train both stages and write the weights.

    Args:
        cases: What to learn from; only read.
        preset: Every number of the training.
        output_dir: Folder of checkpoints, logs and the result.
        max_time_s: Time box for both stages; rates fall over it. None: steps alone.
        resume: Continue an interrupted run of the same settings, cases and start.
        init: Folder of an autoencoder to start from.
        perceptual: File of MedicalNet's ResNet-10; None trains without that loss.
        keep_encoder: Leave the encoder of `init` as it is in stage 1, too: a denoiser learns from
            its continuous latents, so one that was trained on them stays valid while codebook and
            decoder get better.
        seed: Of everything drawn.
        devices: Devices a node.
        num_nodes: Nodes.
        precision: As Lightning Fabric names it; None picks it.
        accelerator: As Lightning Fabric names it.
        save_every_s: Seconds between checkpoints.

    Returns:
        The path of `autoencoder.safetensors`, written at every checkpoint.

    Raises:
        SynBTError: If the folder holds another run, `init` is of another shape or missing where
            its encoder is to be kept, the time ends before `preset.min_steps`, or a loss is not
            finite.
        Interrupted: After Ctrl-C or SIGTERM, when the checkpoint is written.
    """
    if keep_encoder and init is None:
        raise SynBTError("keep_encoder keeps the encoder of init: name where to start with --init.")
    output_dir = Path(output_dir)
    fabric = make_fabric(
        devices=devices, num_nodes=num_nodes, precision=precision, accelerator=accelerator
    )
    judge = load_perceptual(perceptual) if perceptual is not None else None
    if judge is None:
        logger.info("No perceptual network given: training without that loss.")
    with fresh_weights(seed):
        vqvae = VQVAE(preset.network) if init is None else load_autoencoder(init)
    if vqvae.settings != preset.network:
        raise SynBTError(
            f"The autoencoder in {init} has other settings than the preset {preset.name!r}: "
            f"{vqvae.settings}. Start from one of that preset, or without --init."
        )
    if not resume:
        refuse_other_run(output_dir, "volumes", resume)
    seen = cases_seen(cases, init, "autoencoder", output_dir if resume else None)
    learned_from = {
        "cases": identity_of_cases(cases),
        "init": identity_of_network(None if init is None else vqvae),
        "perceptual": identity_of_network(judge),
        "keep_encoder": keep_encoder,
    }
    trainer = _CodecTraining(
        fabric, cases, preset, output_dir, vqvae, judge, seed, save_every_s, seen, learned_from
    )
    left = preset.volumes.time_share if preset.volumes is not None else 0.0
    first_s = None if max_time_s is None else (1 - left) * max_time_s
    trainer.crops(first_s, resume=resume)
    if preset.volumes is not None:
        trainer.volumes(preset.volumes, None if max_time_s is None else left * max_time_s)
    return output_dir / "autoencoder.safetensors"


class _CodecTraining:
    """The two stages, sharing networks and data."""

    def __init__(
        self,
        fabric: Fabric,
        cases: Sequence[TrainingCase],
        preset: AutoencoderPreset,
        output_dir: Path,
        vqvae: VQVAE,
        judge: nn.Module | None,
        seed: int,
        save_every_s: float,
        seen: list[str],
        learned_from: Mapping[str, Any],
    ) -> None:
        self.seen, self.learned_from = seen, learned_from
        self.first_stage: dict[str, float] = {}
        self.fabric, self.preset, self.output_dir, self.seed = fabric, preset, output_dir, seed
        self.save_every_s = save_every_s
        self.sampler = CropSampler(resident(cases, fabric.device))
        self.vqvae = vqvae.to(fabric.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.judge = judge.to(fabric.device) if judge is not None else None

    def crops(self, max_time_s: float | None, *, resume: bool) -> None:
        """Stage 1."""
        p, vqvae = self.preset, self.vqvae
        vqvae.encoder.requires_grad_(not self.learned_from["keep_encoder"])
        moving = [weight for weight in vqvae.parameters() if weight.requires_grad]
        optimizer = torch.optim.Adam(moving, lr=p.learning_rate, betas=p.betas)
        network, optimizer = self.fabric.setup(vqvae, optimizer)
        adversary = self._adversary() if p.discriminator_start is not None else None
        parts = {"vqvae": vqvae, "optimizer": optimizer}
        run = self._run("crops", parts, adversary, p.steps, p.min_steps, max_time_s, resume)
        second = checkpoint_path(self.output_dir, "volumes")
        ready = bool(vqvae.codebook.initialised)
        with run:
            for step in run:
                if self.fabric.is_global_zero:
                    # Of an earlier, shorter stage 1: it would bring that one's encoder back.
                    second.unlink(missing_ok=True)
                generator = run.generator()
                set_learning_rate(optimizer, self._rate(step, run.progress))
                if not ready and step >= p.codebook_start:
                    self._start_codebook(run)
                    ready = True
                image = self._batch(run.progress, generator)
                keep = torch.rand(len(image), generator=generator) < p.keep_continuous
                out = network(image, quantized=ready, keep=keep.to(image.device))
                rival = adversary if step >= (p.discriminator_start or 0) else None
                loss = out.commitment + self._image_loss(run, out.reconstruction, image, rival)
                made = descend(self.fabric, loss, network, optimizer)
                run.log(skipped=not made)
                # Running averages would keep what is not finite for good.
                if ready and made:
                    restart = step % p.restart_every == 0 and run.progress < p.restart_until
                    vqvae.codebook.update(out.z, out.codes, restart=restart, generator=generator)
                    # Distinct codes of one batch: a collapse shows at once.
                    run.log(codes=float(out.codes.unique().numel()))
                if rival is not None:
                    self._teach(run, rival, out.reconstruction, image)
                run.log(commitment=out.commitment)
        self.first_stage = {"steps": run.step, "seconds": round(run.elapsed_s, 1)}

    def volumes(self, stage: VolumeStage, max_time_s: float | None) -> None:
        """Stage 2: the decoder on volumes; goes on where it was."""
        vqvae = self.vqvae.eval()
        vqvae.encoder.requires_grad_(False)
        optimizer = torch.optim.Adam(
            vqvae.decoder.parameters(), lr=stage.learning_rate, betas=self.preset.betas
        )
        decoder, optimizer = self.fabric.setup(vqvae.decoder, optimizer)
        adversary = self._adversary() if self.preset.discriminator_start is not None else None
        parts = {"vqvae": vqvae, "optimizer": optimizer}
        resume = checkpoint_path(self.output_dir, "volumes").exists()
        run = self._run(
            "volumes", parts, adversary, stage.steps, _LEAST_VOLUMES, max_time_s, resume
        )
        with run:
            for step in run:
                generator = run.generator()
                rate = learning_rate(
                    stage.learning_rate, step, run.progress, decay_from=stage.decay_from
                )
                set_learning_rate(optimizer, rate)
                image = self.sampler.batch(stage.volume, stage.batch, generator=generator)
                image = self._to_device(image)
                joined = float(torch.rand((), generator=generator)) < stage.patch_joined
                with torch.no_grad(), self.fabric.autocast():
                    z = vqvae.encode_patches(image, stage.patch) if joined else vqvae.encode(image)
                    z_q, _ = vqvae.quantize(z)
                reconstruction = decoder(z_q).float()
                loss = self._image_loss(run, reconstruction, image, adversary)
                run.log(skipped=not descend(self.fabric, loss, decoder, optimizer))
                if adversary is not None:
                    self._teach(run, adversary, reconstruction, image)

    def _run(
        self,
        name: str,
        parts: dict,
        adversary: Adversary | None,
        steps: int,
        min_steps: int,
        max_time_s: float | None,
        resume: bool,
    ) -> TrainingRun:
        if adversary is not None:
            parts |= {"discriminator": adversary.raw, "rival": adversary.optimizer}

        def write(run: TrainingRun) -> None:
            training = {
                "stage": name,
                "steps": run.step,
                "seconds": round(run.elapsed_s, 1),
                "finished": run.finished and (name == "volumes" or self.preset.volumes is None),
                **({"crops": self.first_stage} if name == "volumes" else {}),
            }
            facts = {"preset": self.preset.to_dict(), "training": training, "seed": self.seed}
            save_network(self.vqvae, self.output_dir, "autoencoder", {**facts, "cases": self.seen})

        return TrainingRun(
            self.fabric,
            self.output_dir,
            name=name,
            parts=parts,
            settings={"preset": self.preset.to_dict(), "seed": self.seed, **self.learned_from},
            max_steps=steps,
            min_steps=min_steps,
            max_time_s=max_time_s,
            seed=self.seed,
            resume=resume,
            save_every_s=self.save_every_s,
            on_save=write,
        )

    def _adversary(self) -> Adversary:
        with fresh_weights(self.seed):
            raw = make_discriminator(self.preset.discriminator_channels)
        rate, betas = self.preset.learning_rate, self.preset.betas
        optimizer = torch.optim.Adam(raw.parameters(), lr=rate, betas=betas)
        network, optimizer = self.fabric.setup(raw, optimizer)
        return Adversary(network, raw, optimizer)

    def _rate(self, step: int, progress: float) -> float:
        p = self.preset
        return learning_rate(
            p.learning_rate, step, progress, warmup_steps=p.warmup_steps, decay_from=p.decay_from
        )

    def _to_device(self, image: Tensor) -> Tensor:
        return image.to(self.fabric.device, memory_format=torch.channels_last_3d)

    def _batch(self, progress: float, generator: torch.Generator) -> Tensor:
        phase = self.preset.phase(progress)
        image = self.sampler.batch(phase.patch, phase.batch, generator=generator)
        image = self._to_device(image)
        return jitter_intensity(image, generator=generator) if self.preset.jitter else image

    @torch.no_grad()
    def _start_codebook(self, run: TrainingRun) -> None:
        """Start the codes at outputs of the encoder, as it is by now."""
        generator, latents = run.generator(), []
        for _ in range(_BATCHES_FOR_CODEBOOK):
            image = self._batch(run.progress, generator)
            with self.fabric.autocast():
                latents.append(self.vqvae.encode(image))
        self.vqvae.codebook.initialise(torch.cat(latents), generator=generator)

    def _image_loss(
        self, run: TrainingRun, reconstruction: Tensor, image: Tensor, adversary: Adversary | None
    ) -> Tensor:
        p = self.preset
        loss = distance = l1(reconstruction, image)
        run.log(l1=distance, squared=(reconstruction.detach() - image).square().mean())
        if p.gradient_weight:
            loss = loss + p.gradient_weight * gradient_l1(reconstruction, image)
        if p.difference_weight:
            loss = loss + p.difference_weight * difference_l1(reconstruction, image)
        if p.linear_weight:
            square = linear_square(reconstruction, image)
            loss = loss + p.linear_weight * square
            run.log(linear=square)
        if self.judge is not None:
            perceptual = self.judge(reconstruction, image)
            loss = loss + p.perceptual_weight * perceptual
            run.log(perceptual=perceptual)
        if adversary is not None:
            with self.fabric.autocast():
                verdict = adversary.verdict(reconstruction)
            loss = loss + p.adversarial_weight * verdict
            run.log(adversarial=verdict)
        return loss

    def _teach(
        self, run: TrainingRun, adversary: Adversary, reconstruction: Tensor, image: Tensor
    ) -> None:
        loss = adversary.own_loss(reconstruction, image)
        descend(self.fabric, loss, adversary.network, adversary.optimizer)
        run.log(discriminator=loss)
