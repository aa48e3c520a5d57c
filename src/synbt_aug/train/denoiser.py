"""Train the latent denoiser on windows with holes, encoded on the fly.

The autoencoder is frozen. Targets and conditions are its continuous latents, normalised
a channel; quantizing is left to sampling. The result is a folder with
`denoiser.safetensors`, the running average of the weights, and `denoiser.json`.
"""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.loop.training_loop import TrainingRun, fresh_weights, make_fabric
from synbt_aug.loop.training_step import AveragedWeights, descend, learning_rate, set_learning_rate
from synbt_aug.networks import VQVAE, Denoiser, add_noise
from synbt_aug.networks.schedule import min_snr_weight, target
from synbt_aug.train.crops import TrainingCase, resident
from synbt_aug.train.denoiser_presets import DenoiserPreset
from synbt_aug.train.files import cases_seen, load_autoencoder, load_denoiser, save_network
from synbt_aug.train.identity import identity_of_cases, identity_of_encoder, identity_of_network
from synbt_aug.train.pool import LatentPool
from synbt_aug.train.windows import ExampleSampler
from synbt_aug.tumor.appearance import CATEGORIES

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)


def train_denoiser(
    cases: Sequence[TrainingCase],
    vqvae: VQVAE | str | Path,
    preset: DenoiserPreset,
    output_dir: str | Path,
    *,
    max_time_s: float | None = None,
    resume: bool = False,
    init: str | Path | None = None,
    seed: int = 0,
    devices: int = 1,
    num_nodes: int = 1,
    precision: str | None = None,
    accelerator: str = "auto",
    save_every_s: float = 300.0,
) -> Path:
    """Train and write the weights.

    Args:
        cases: What to learn from, some with tumors; only read.
        vqvae: The trained autoencoder, or the folder that `train_autoencoder` wrote.
        preset: Every number of the training.
        output_dir: Folder of checkpoints, logs and the result.
        max_time_s: Time box of the steps; rates fall over it. None: steps alone.
        resume: Continue an interrupted run of the same settings, cases, encoder and start.
        init: Folder of a denoiser to start from; its latent statistics are kept.
        seed: Of everything drawn.
        devices: Devices a node.
        num_nodes: Nodes.
        precision: As Lightning Fabric names it; None picks it.
        accelerator: As Lightning Fabric names it.
        save_every_s: Seconds between checkpoints.

    Returns:
        The path of `denoiser.safetensors`, written at every checkpoint.

    Raises:
        SynBTError: If no case has a tumor, the autoencoder has other latents, `init` is of
            another shape, the folder holds another run, the time ends before `preset.min_steps`,
            or a loss is not finite.
        Interrupted: After Ctrl-C or SIGTERM, when the checkpoint is written.
    """
    output_dir = Path(output_dir)
    if not isinstance(vqvae, VQVAE):
        vqvae = load_autoencoder(vqvae)
    if vqvae.settings.latent_channels != preset.network.latent_channels:
        raise SynBTError(
            f"The denoiser takes {preset.network.latent_channels} latent channels, the autoencoder "
            f"has {vqvae.settings.latent_channels}. Set the preset's network to match."
        )
    fabric = make_fabric(
        devices=devices, num_nodes=num_nodes, precision=precision, accelerator=accelerator
    )
    with fresh_weights(seed):
        denoiser = Denoiser(preset.network) if init is None else load_denoiser(init)
    if denoiser.settings != preset.network:
        raise SynBTError(
            f"The denoiser in {init} has other settings than the preset {preset.name!r}: "
            f"{denoiser.settings}. Start from one of that preset, or without --init."
        )
    learned_from = {
        "cases": identity_of_cases(cases),
        "encoder": identity_of_encoder(vqvae),
        "init": identity_of_network(None if init is None else denoiser),
    }
    sampler = ExampleSampler(resident(cases, fabric.device), preset.holes)
    pools = _pools(preset, sampler, vqvae, fabric, seed)
    _train(
        fabric,
        denoiser,
        pools,
        preset,
        output_dir,
        max_time_s,
        resume,
        seed,
        save_every_s,
        learned_from=learned_from,
        seen=cases_seen(cases, init, "denoiser", Path(output_dir) if resume else None),
    )
    return output_dir / "denoiser.safetensors"


def _train(
    fabric: Fabric,
    denoiser: Denoiser,
    pools: list[LatentPool],
    preset: DenoiserPreset,
    output_dir: Path,
    max_time_s: float | None,
    resume: bool,
    seed: int,
    save_every_s: float,
    *,
    learned_from: Mapping[str, Any],
    seen: list[str],
) -> None:
    denoiser = denoiser.to(fabric.device)
    average = AveragedWeights(denoiser, preset.average)
    optimizer = torch.optim.AdamW(
        denoiser.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay
    )
    network, optimizer = fabric.setup(denoiser, optimizer)
    alpha_bar = preset.schedule.alpha_bar.to(fabric.device)
    shares = torch.tensor([pool.size.share for pool in pools])

    def write(run: TrainingRun) -> None:
        saved = copy.deepcopy(denoiser)
        average.copy_to(saved)
        facts = {
            "schedule": preset.schedule.to_dict(),
            "latent": {"mean": saved.latent_mean.tolist(), "std": saved.latent_std.tolist()},
            "quantized_latents": False,
            "preset": preset.to_dict(),
            "training": {
                "steps": run.step,
                "seconds": round(run.elapsed_s, 1),
                "finished": run.finished,
            },
            "seed": seed,
            "encoder": learned_from["encoder"],
            "cases": seen,
        }
        save_network(saved, output_dir, "denoiser", facts)

    run = TrainingRun(
        fabric,
        output_dir,
        name="denoiser",
        parts={"denoiser": denoiser, "average": average, "optimizer": optimizer},
        settings={"preset": preset.to_dict(), "seed": seed, **learned_from},
        max_steps=preset.steps,
        min_steps=preset.min_steps,
        max_time_s=max_time_s,
        seed=seed,
        resume=resume,
        save_every_s=save_every_s,
        on_save=write,
    )
    with run:
        windows = itertools.chain.from_iterable(pool.fill(run.step) for pool in pools)
        missing = sum(len(pool.missing(run.step)) for pool in pools)
        run.prepare("encoding windows", windows, missing)
        if run.step == 0 and learned_from["init"] is None:
            _measure_latents(fabric, denoiser, pools)
        for step in run:
            generator = run.generator()
            rate = learning_rate(
                preset.learning_rate,
                step,
                run.progress,
                warmup_steps=preset.warmup_steps,
                decay_from=preset.decay_from,
            )
            set_learning_rate(optimizer, rate)
            for pool in pools:
                pool.advance(step)
            pool = pools[int(torch.multinomial(shares, 1, generator=generator))]
            batch = pool.batch(generator)
            z = denoiser.normalise(batch.z)
            noise = torch.randn(z.shape, generator=generator).to(z)
            t = torch.randint(preset.schedule.steps, (len(z),), generator=generator).to(z.device)
            known = withhold(batch.appearance_known, preset, generator)
            prediction = network(
                add_noise(z, noise, alpha_bar[t]),
                t,
                denoiser.normalise(batch.z_masked),
                batch.mask,
                batch.appearance,
                known,
            )
            wanted = target(preset.network.predicts, z, noise, alpha_bar[t])
            level_weight = None
            if preset.min_snr is not None:
                level_weight = min_snr_weight(preset.network.predicts, alpha_bar[t], preset.min_snr)
            loss = weighted_error(prediction, wanted, batch.weight, level_weight)
            run.log(loss=loss, skipped=not descend(fabric, loss, network, optimizer))
            average.update(denoiser)


def weighted_error(
    prediction: Tensor, wanted: Tensor, weight: Tensor, of_window: Tensor | None = None
) -> Tensor:
    """Weighted mean squared error, each window counting alike: small holes as much as large ones.

    Args:
        prediction: Shape `(B, C, d, h, w)`.
        wanted: Same shape.
        weight: Shape `(B, 1, d, h, w)`, not negative; a window of weight 0 counts as no error.
        of_window: A further weight of each window, shape `(B,)`; None: 1.
    """
    error = (prediction - wanted).square().mean(1)
    weight = weight[:, 0]
    each = (weight * error).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1e-6)
    return each.mean() if of_window is None else (of_window * each).mean()


def withhold(known: Tensor, preset: DenoiserPreset, generator: torch.Generator) -> Tensor:
    """Withhold single attributes and, of some windows, all of them.

    Args:
        known: Shape `(B, A)`; the last entries are the categories, told together.
        preset: With the chances.
        generator: CPU generator.
    """
    count, numbers = len(known), known.shape[1] - len(CATEGORIES)
    told = torch.rand(count, numbers + 1, generator=generator) >= preset.drop_each
    whole = torch.rand(count, 1, generator=generator) >= preset.drop_all
    categories = told[:, -1:].expand(-1, len(CATEGORIES))
    keep = torch.cat([told[:, :-1], categories], dim=1) & whole
    return known * keep.to(known)


def _pools(
    preset: DenoiserPreset, sampler: ExampleSampler, vqvae: VQVAE, fabric: Fabric, seed: int
) -> list[LatentPool]:
    vqvae = vqvae.to(fabric.device, memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload]
    vqvae.requires_grad_(False)

    def encode(x: Tensor) -> Tensor:
        with fabric.autocast():
            if preset.encode_patch is not None:
                return vqvae.encode_patches(x, preset.encode_patch)
            return vqvae.encode(x)

    return [
        LatentPool(
            size,
            sampler,
            encode,
            fabric.device,
            background=preset.background,
            refresh=preset.refresh * size.share,
            seed=(seed, fabric.global_rank, index),
        )
        for index, size in enumerate(preset.pools)
    ]


@torch.no_grad()
def _measure_latents(fabric: Fabric, denoiser: Denoiser, pools: list[LatentPool]) -> None:
    """Set mean and SD of each latent channel from the first windows, all ranks' together."""
    sums = [pool.statistics() for pool in pools]
    total = torch.stack([s for s, _, _ in sums]).sum(0)
    squares = torch.stack([s for _, s, _ in sums]).sum(0)
    count = torch.tensor(float(sum(n for _, _, n in sums)), device=total.device).double()
    if fabric.world_size > 1:
        for value in (total, squares, count):
            torch.distributed.all_reduce(value)
    mean = total / count
    denoiser.latent_mean.copy_(mean)
    denoiser.latent_std.copy_((squares / count - mean.square()).clamp_min(1e-8).sqrt())
