"""What helps in training: variants of both networks, each from nothing for the same time.

    python benchmarks/training_trials.py --data COHORT -o FOLDER             # all of them
    python benchmarks/training_trials.py --data COHORT -o FOLDER --only v vq-b --max-time 30s
    python benchmarks/training_trials.py --data COHORT -o FOLDER --only guidance  # no training

COHORT is a phantom cohort (`synbt phantom -o COHORT -n 200`). Denoisers learn on the latents of
`--autoencoder`. All are measured on the same phantoms from 1,170,000 on: codecs by PSNR against
the noise-free phantom; denoisers by the error of the clean latent at the four steps that
sampling visits, and by what four steps of DDIM paint, without gains and grain. Trainings that
are done are kept in FOLDER, each with its `measured.json`. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from realism_phantoms import stack
from torch import Tensor

from synbt_aug.cli.console import seconds
from synbt_aug.data import load_cohort
from synbt_aug.data.phantom_cohort import write_phantom_cohort
from synbt_aug.evaluate.realism.codecs import by_codec
from synbt_aug.evaluate.realism.reconstruction import Row, find, measure_reconstruction, medians
from synbt_aug.loop.training_loop import fresh_weights, seeded_generator
from synbt_aug.networks import (
    VQVAE,
    Denoiser,
    NoiseSchedule,
    add_noise,
    ddim_timesteps,
    sample_ddim,
    split,
)
from synbt_aug.networks.denoiser import guided
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.signal.intensity import inverse_knee, measure_reference
from synbt_aug.support.files import check_output_folder, write_json
from synbt_aug.texture.names import DEFAULT_STEPS
from synbt_aug.train.autoencoder import train_autoencoder
from synbt_aug.train.autoencoder_presets import AutoencoderPreset, autoencoder_preset
from synbt_aug.train.denoiser import train_denoiser
from synbt_aug.train.denoiser_presets import DenoiserPreset, denoiser_preset
from synbt_aug.train.files import load_autoencoder, load_denoiser, read_facts, save_network
from synbt_aug.train.pool import Encoded, encode_example
from synbt_aug.train.windows import Example, ExampleSampler, HoleSettings
from synbt_aug.tumor.appearance import measure_appearance

FIRST_SEED = 1_170_000
#: Strengths of the wish for an appearance; 0 leaves it out, 1 is what was trained.
GUIDANCES = (0.0, 1.0, 1.5, 2.0, 3.0)

ATTRIBUTES = ("enhancement", "rim", "heterogeneity")


@dataclass(frozen=True)
class DenoiserTrial:
    """A variant of the shipped preset.

    Args:
        change: Makes the preset.
        spread: SD of the latents that the network sees, on average over the channels.
        seed: Of weights and batches.
    """

    change: Callable[[DenoiserPreset], DenoiserPreset] = lambda preset: preset
    spread: float = 1.0
    seed: int = 0


DENOISERS = {
    "v": DenoiserTrial(),
    "noise predicted": DenoiserTrial(
        lambda p: replace(p, network=replace(p.network, predicts="noise"))
    ),
    "min-SNR 5": DenoiserTrial(lambda p: replace(p, min_snr=5.0)),
    "loss outside the hole as inside": DenoiserTrial(lambda p: replace(p, background=1.0)),
    "loss in the hole alone": DenoiserTrial(lambda p: replace(p, background=0.0)),
    "latents of half the size": DenoiserTrial(spread=0.5),
    "betas twice as large": DenoiserTrial(
        lambda p: replace(p, schedule=replace(p.schedule, last_beta=0.04))
    ),
    "11 M parameters": DenoiserTrial(
        lambda p: replace(
            p, network=replace(p.network, channels=(40, 80, 160), norm_groups=8, head_channels=40)
        )
    ),
    "v, another seed": DenoiserTrial(seed=1),
}

CODECS: dict[str, Callable[[AutoencoderPreset], AutoencoderPreset]] = {
    "vq-a": lambda p: p,
    "vq-b": lambda p: replace(
        p, network=replace(p.network, channels=(32, 64, 128), strides=(1, 2, 2))
    ),
    "adversarial loss from step 700": lambda p: replace(p, discriminator_start=700),
    "no loss of gradients and differences": lambda p: replace(
        p, gradient_weight=0.0, difference_weight=0.0
    ),
}


class Held(NamedTuple):
    """What denoisers are measured on: windows with a tumor each."""

    examples: list[Example]
    encoded: list[Encoded]
    noise: list[Tensor]


def trained(path: Path, train: Callable[[Path], Path]) -> Path:
    """Train into a folder, unless a run there came to its end."""
    if not (path / "done").is_file():
        train(path)
        (path / "done").touch()
    return path


def scaled_start(
    trial: DenoiserTrial, preset: DenoiserPreset, measured: Denoiser, folder: Path
) -> Path | None:
    """A denoiser with fresh weights that sees its latents smaller; None for SD 1.

    Args:
        trial: With the SD.
        preset: Of its network.
        measured: A trained denoiser, whose statistics of the latents it takes.
        folder: Where to write it.
    """
    if trial.spread == 1:
        return None
    with fresh_weights(trial.seed):
        start = Denoiser(preset.network)
    start.latent_mean.copy_(measured.latent_mean)
    start.latent_std.copy_(measured.latent_std / trial.spread)
    save_network(start, folder, "denoiser", {"training": {"steps": 0}})
    return folder


def held_out(cases: Any, vqvae: VQVAE, windows: int) -> Held:
    """Windows of 64 mm with a tumor each, encoded, and the noise that goes on them."""
    sampler = ExampleSampler(cases, HoleSettings(healthy=0.0, alone=1.0, rescaled=0.0))
    examples, encoded, noise = [], [], []
    for k in range(windows):
        generator = seeded_generator(FIRST_SEED, k)
        example = sampler.draw((64, 64, 64), generator=generator)
        examples.append(example)
        encoded.append(encode_example(example, vqvae.encode, torch.device("cpu"), 0.0))
        noise.append(torch.randn(encoded[-1].z.shape, generator=generator))
    return Held(examples, encoded, noise)


@torch.no_grad()
def latent_errors(net: Denoiser, schedule: NoiseSchedule, held: Held, unit: Tensor) -> list[float]:
    """Error of the clean latent in the hole at the steps that sampling visits.

    Args:
        net: The denoiser.
        schedule: Of the noise.
        held: What it is measured on.
        unit: SD of each latent channel: errors are in these, root mean square.
    """
    alpha_bar = schedule.alpha_bar
    errors = []
    for t in ddim_timesteps(DEFAULT_STEPS, schedule.steps):
        squares, weight = 0.0, 0.0
        for one, noise in zip(held.encoded, held.noise, strict=True):
            z, z_masked = (net.normalise(x[None]) for x in (one.z, one.z_masked))
            z_t = add_noise(z, noise[None], alpha_bar[t])
            prediction = net(
                z_t, t[None], z_masked, one.mask[None], one.appearance[None],
                one.appearance_known[None],
            )  # fmt: skip
            clean, _ = split(net.settings.predicts, prediction, z_t, alpha_bar[t])
            error = (net.restore(clean)[0] - one.z) / unit[:, None, None, None]
            squares += float((one.weight * error.square().mean(0, keepdim=True)).sum())
            weight += float(one.weight.sum())
        errors.append((squares / weight) ** 0.5)
    return errors


@torch.no_grad()
def painted(
    net: Denoiser, schedule: NoiseSchedule, vqvae: VQVAE, held: Held, guidance: float = 1.0
) -> dict[str, Any]:
    """Asked against measured of what four steps of DDIM paint, and how uneven it is."""
    asked: dict[str, list[float]] = {name: [] for name in ATTRIBUTES}
    measured: dict[str, list[float]] = {name: [] for name in ATTRIBUTES}
    spreads = []
    for example, one, noise in zip(held.examples, held.encoded, held.noise, strict=True):
        condition = net.normalise(one.z_masked[None])

        def predict(z_t: Tensor, t: Tensor, one: Encoded = one, c: Tensor = condition) -> Tensor:
            told = one.mask[None], one.appearance[None], one.appearance_known[None]
            return guided(net, z_t, t, c, *told, guidance=guidance)

        z = net.restore(
            sample_ddim(
                predict, noise[None], schedule, DEFAULT_STEPS,
                predicts=net.settings.predicts,
            )
        )  # fmt: skip
        # Compared with what the codec leaves of the real tumor: only the denoiser differs.
        seen, real = (
            inverse_knee(vqvae.decode(vqvae.quantize(latent)[0])[0]) for latent in (z, one.z[None])
        )
        around = example.valid & ~example.hole
        looks = [measure_appearance(x, example.mask, around=around) for x in (seen, real)]
        for name in ATTRIBUTES:
            got, wish = (getattr(look, name) for look in looks)
            if got is not None and wish is not None:
                asked[name].append(wish)
                measured[name].append(got)
        spreads.append(float(seen[1][example.mask].std() / real[1][example.mask].std()))
    found: dict[str, Any] = {"SD": statistics.median(spreads)}
    for name in ATTRIBUTES:
        a, b = np.array(asked[name]), np.array(measured[name])
        found[name] = {
            "r": float(np.corrcoef(a, b)[0, 1]),
            "error": float(np.abs(a - b).mean()),
        }
    return found


@torch.no_grad()
def reconstruction(vqvae: VQVAE, phantoms: int) -> list[Row]:
    """PSNR of held-out phantoms, medians."""
    rows = []
    for k in range(phantoms):
        phantom = make_phantom(FIRST_SEED + k, PhantomSettings(shape=(192, 192, 128)))
        image = stack(phantom)
        rows += measure_reconstruction(
            image,
            measure_reference(image),
            {
                "breast": torch.from_numpy(phantom.breast),
                "tumor": torch.from_numpy(phantom.tumor),
            },
            {"codec": by_codec(vqvae)},
            noise_free=stack(phantom, clean=True),
            with_ssim=False,
        )
    return medians(rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="phantoms to learn from")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", help="names of trials, as the table has them")
    parser.add_argument("--autoencoder", default="shipped", help="of the denoisers")
    parser.add_argument("--max-time", default="6m", help="of each training")
    parser.add_argument("--preset", default="shipped")
    parser.add_argument("--windows", type=int, default=32, help="that denoisers are measured on")
    parser.add_argument("--phantoms", type=int, default=6, help="that codecs are measured on")
    return parser.parse_args()


class DenoiserTrials:
    """Trains and measures denoisers, all on the same windows.

    Args:
        given: The command line.
        folder: For files.
    """

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.cases = load_cohort(given.data)
        # Evaluation mode: the codebook must not move.
        self.vqvae = load_autoencoder(given.autoencoder).eval().requires_grad_(False)
        self.start = load_denoiser(given.autoencoder).eval().requires_grad_(False)
        seeds = range(FIRST_SEED, FIRST_SEED + given.windows)
        apart = write_phantom_cohort(folder / "held_out", seeds, workers=1)
        self.held = held_out(load_cohort(apart), self.vqvae, given.windows)
        print(
            "| denoiser | steps | s | error of the latent at each step | enhancement: r, error "
            "| rim: r | heterogeneity: r | SD |\n|---|---|---|---|---|---|---|---|"
        )

    def train(self, name: str) -> None:
        """Train one, measure it, and print its row."""
        trial = DENOISERS[name]
        preset = trial.change(denoiser_preset(self.given.preset))
        init = scaled_start(trial, preset, self.start, self.folder / f"{name}, start")
        box = seconds(self.given.max_time)
        path = trained(
            self.folder / name,
            lambda path: train_denoiser(
                self.cases, self.vqvae, preset, path, max_time_s=box, init=init, seed=trial.seed
            ),
        )
        training = read_facts(path, "denoiser")["training"]
        net = load_denoiser(path).eval().requires_grad_(False)
        took = f"{training['steps']:,} | {training['seconds']:.0f}"
        write_json(path / "measured.json", self.measure(name, took, net, preset.schedule))

    def guide(self, guidance: float) -> None:
        """Measure the weights as they are with some guidance."""
        schedule = denoiser_preset(self.given.preset).schedule
        self.measure(f"as it is, guidance {guidance:g}", "|", self.start, schedule, guidance)

    def measure(
        self, name: str, took: str, net: Denoiser, schedule: NoiseSchedule, guidance: float = 1.0
    ) -> dict[str, Any]:
        """Measure one and print its row."""
        errors = latent_errors(net, schedule, self.held, self.start.latent_std)
        looks = painted(net, schedule, self.vqvae, self.held, guidance)
        e, rim, spread = (looks[a] for a in ATTRIBUTES)
        cells = [
            " / ".join(f"{x:.2f}" for x in errors),
            f"{e['r']:.2f}, {e['error']:.2f}",
            *(f"{x:.2f}" for x in (rim["r"], spread["r"], looks["SD"])),
        ]
        print(f"| {name} | {took} | {' | '.join(cells)} |", flush=True)
        return {"errors": errors, **looks}


def main() -> None:
    given = parse()
    names = given.only or [*DENOISERS, *CODECS]
    if unknown := sorted({*names} - {*DENOISERS, *CODECS, "guidance"}):
        raise SystemExit(
            f"No trial is called {', '.join(unknown)}. There are: "
            f"{', '.join([*DENOISERS, *CODECS, 'guidance'])}."
        )
    folder = check_output_folder(given.output)
    if denoisers := [name for name in names if name in DENOISERS or name == "guidance"]:
        trials = DenoiserTrials(given, folder)
        for name in denoisers:
            if name == "guidance":
                for guidance in GUIDANCES:
                    trials.guide(guidance)
            else:
                trials.train(name)
    if codecs := [name for name in names if name in CODECS]:
        print(
            "\n| codec | steps on crops + volumes | breast, pre / post, dB | tumor, pre / post, dB "
            "| bias of tumors, pre / post |\n|---|---|---|---|---|"
        )
        cases = load_cohort(given.data)
        for name in codecs:
            codec_trial(name, given, cases, folder)


def codec_trial(name: str, given: argparse.Namespace, cases: Any, folder: Path) -> None:
    """Train one autoencoder, measure it, and print its row."""
    preset, box = CODECS[name](autoencoder_preset(given.preset)), seconds(given.max_time)
    path = trained(
        folder / name, lambda path: train_autoencoder(cases, preset, path, max_time_s=box)
    )
    rows = reconstruction(load_autoencoder(path).eval(), given.phantoms)
    # The log has a line every 50 steps.
    lines = (path / "crops.log.jsonl").read_text().splitlines()
    crops = json.loads(lines[-1])["step"] if lines else 0
    volumes = read_facts(path, "autoencoder")["training"]
    cells = []
    for region, value in (("breast", "psnr_db"), ("tumor", "psnr_db"), ("tumor", "bias")):
        seen = [find(rows, "codec", region, channel, "noise-free") for channel in ("pre", "post")]
        form = "{:+.3f}" if value == "bias" else "{:.2f}"
        cells.append(" / ".join(form.format(getattr(row, value)) for row in seen if row))
    print(f"| {name} | {crops:,} + {volumes['steps']} | {' | '.join(cells)} |", flush=True)
    write_json(path / "measured.json", [asdict(row) for row in rows])


if __name__ == "__main__":
    main()
