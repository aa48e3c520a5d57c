"""`synbt train autoencoder|denoiser|tissue`: the networks, from a folder of cases."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synbt_aug.cli.console import counting, note, seconds
from synbt_aug.cli.training import check_folder, first_rank, told_how_to_go_on, told_weights
from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.support.number import MAX_SEED
from synbt_aug.support.progress import each

if TYPE_CHECKING:
    from synbt_aug.data import Cohort

app = typer.Typer(
    help="Train the networks (needs the extra `train`).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path,
    typer.Option("--data", help="A phantom cohort, a MAMA-MIA folder or an nnU-Net raw dataset."),
]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for checkpoints, logs and weights.")
]
Preset = Annotated[str, typer.Option(help="paper, shipped or tiny.")]
Init = Annotated[
    Path | None,
    typer.Option(help="Start from this training folder, weights folder, or shipped."),
]
MaxTime = Annotated[
    str | None,
    typer.Option(
        help="Time for the steps: 45m, 1.5h, 1:30:00. Rates fall over it; what is read and "
        "prepared before does not count."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")]
Devices = Annotated[int, typer.Option(min=1, help="Devices a node.")]
Nodes = Annotated[int, typer.Option(min=1, help="Nodes.")]
Precision = Annotated[
    str | None, typer.Option(help="As Lightning Fabric names it, such as 32-true or bf16-mixed.")
]
Accelerator = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
Seed = Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of everything that is drawn.")]
Fold = Annotated[
    int | None,
    typer.Option(
        min=0, help="Only the training cases of this nnU-Net fold; also before nnU-Net split it."
    ),
]
Split = Annotated[
    str | None, typer.Option(help="Only this part of the dataset's own split: train or test.")
]


@app.command("autoencoder")
def autoencoder(
    data: Data,
    output: Output,
    preset: Preset = "shipped",
    init: Init = None,
    max_time: MaxTime = None,
    resume: Resume = False,
    devices: Devices = 1,
    num_nodes: Nodes = 1,
    precision: Precision = None,
    accelerator: Accelerator = "auto",
    seed: Seed = 0,
    fold: Fold = None,
    split: Split = None,
    perceptual: Annotated[
        Path | None,
        typer.Option(help="MedicalNet's ResNet-10 as a file; without, that loss is left out."),
    ] = None,
    keep_encoder: Annotated[
        bool,
        typer.Option(
            "--keep-encoder",
            help="Train codebook and decoder alone; denoisers of the --init encoder stay valid.",
        ),
    ] = False,
) -> None:
    """Train the patch-to-volume VQ-VAE: on crops, then its decoder on volumes."""
    _check_extra()
    from synbt_aug.train.autoencoder import train_autoencoder
    from synbt_aug.train.autoencoder_presets import autoencoder_preset
    from synbt_aug.train.files import read_facts

    chosen = autoencoder_preset(preset)
    max_time_s = None if max_time is None else seconds(max_time)
    check_folder(output, "crops", resume)
    if init is not None:
        read_facts(init, "autoencoder")
    if keep_encoder and init is None:
        raise SynBTError("--keep-encoder keeps the encoder of a start: name it with --init.")
    if perceptual is not None and not perceptual.is_file():
        raise SynBTError(f"--perceptual names a file, but {perceptual} is none.")
    with told_how_to_go_on(output, "crops", resume):
        weights = train_autoencoder(
            _cases(data, fold=fold, split=split, seed=seed),
            chosen,
            output,
            max_time_s=max_time_s,
            resume=resume,
            init=init,
            perceptual=perceptual,
            keep_encoder=keep_encoder,
            seed=seed,
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,
            accelerator=accelerator,
        )
    told_weights(weights)


@app.command("denoiser")
def denoiser(
    data: Data,
    output: Output,
    autoencoder: Annotated[
        Path,
        typer.Option(help="Training folder of the autoencoder, a weights folder, or shipped."),
    ],
    preset: Preset = "shipped",
    init: Init = None,
    max_time: MaxTime = None,
    resume: Resume = False,
    devices: Devices = 1,
    num_nodes: Nodes = 1,
    precision: Precision = None,
    accelerator: Accelerator = "auto",
    seed: Seed = 0,
    fold: Fold = None,
    split: Split = None,
) -> None:
    """Train the latent diffusion model on an autoencoder's latents.

    With the autoencoder and a tumor bank of the same cases it becomes OUTPUT/weights, a folder
    for `synbt synthesize --weights`.
    """
    _check_extra()
    from synbt_aug.data.bank import bank_of
    from synbt_aug.data.phantom_cohort import generator_of
    from synbt_aug.tissue.segmenter import load_segmenter
    from synbt_aug.train.assemble import assemble_weights
    from synbt_aug.train.denoiser import train_denoiser
    from synbt_aug.train.denoiser_presets import denoiser_preset
    from synbt_aug.train.files import load_autoencoder, read_facts

    chosen = denoiser_preset(preset)
    max_time_s = None if max_time is None else seconds(max_time)
    vqvae = load_autoencoder(autoencoder)
    check_folder(output, "denoiser", resume)
    if init is not None:
        read_facts(init, "denoiser")
    trained = read_facts(autoencoder, "autoencoder").get("training", {})
    if trained.get("finished") is False:
        note(
            f"Warning: the training of {autoencoder} was stopped (stage {trained.get('stage')}, "
            f"step {trained.get('steps')}). Should it go on, this denoiser will not fit it."
        )
    with told_how_to_go_on(output, "denoiser", resume):
        cohort = _cases(data, fold=fold, split=split, seed=seed)
        # Before the training: a cohort without a template of 6 mm would be told of hours later.
        bank = bank_of(each("Tumor bank", cohort, note), segmenter=load_segmenter())
        train_denoiser(
            cohort,
            vqvae,
            chosen,
            output,
            max_time_s=max_time_s,
            resume=resume,
            init=init,
            seed=seed,
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,
            accelerator=accelerator,
        )
    if first_rank():
        card: dict[str, Any] = {"cases": [case.name for case in cohort]}
        generator = generator_of(data)
        if generator is not None:
            card["phantom_generator"] = generator
        made = assemble_weights(autoencoder, output, bank, output / "weights", card=card)
        told_weights(made, output / "denoiser.json")


@app.command("tissue")
def tissue(
    output: Output,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Duke's breast and fibroglandular labels with their scans; default: phantoms.",
        ),
    ] = None,
    phantoms: Annotated[
        int | None, typer.Option(min=1, help="How many to make where there is no --data.")
    ] = None,
    preset: Annotated[str, typer.Option(help="shipped or tiny.")] = "shipped",
    init: Init = None,
    max_time: MaxTime = None,
    resume: Resume = False,
    devices: Devices = 1,
    num_nodes: Nodes = 1,
    precision: Precision = None,
    accelerator: Accelerator = "auto",
    seed: Seed = 0,
) -> None:
    """Train the tissue segmenter on random contrasts (SynthSeg), from label maps.

    The label maps are kept in OUTPUT/label_maps, so that an interrupted run goes on. OUTPUT is
    then a folder for `synbt tissue --tissue` and for the setting `tissue`.
    """
    _check_extra()
    if importlib.util.find_spec("cornucopia") is None:
        raise ExtraMissingError("Training the tissue segmenter", "train", "cornucopia")
    from synbt_aug.data.duke import duke_label_maps
    from synbt_aug.tissue.segmenter import load_segmenter
    from synbt_aug.train.label_maps import phantom_label_maps
    from synbt_aug.train.tissue import train_tissue
    from synbt_aug.train.tissue_preset import tissue_preset

    chosen = tissue_preset(preset)
    max_time_s = None if max_time is None else seconds(max_time)
    check_folder(output, "tissue", resume)
    if init is not None:
        load_segmenter(init)
    if data is not None and phantoms is not None:
        raise SynBTError("--phantoms counts what is made where there is no --data: leave one out.")
    with told_how_to_go_on(output, "tissue", resume):
        with counting("Label maps") as on_case:
            if data is not None:
                maps = duke_label_maps(data, on_case=on_case)
            else:
                first = chosen.first_phantom
                seeds = range(first, first + (phantoms or chosen.phantoms))
                maps = phantom_label_maps(output / "label_maps", seeds, on_case=on_case)
        weights = train_tissue(
            maps,
            chosen,
            output,
            max_time_s=max_time_s,
            resume=resume,
            init=init,
            seed=seed,
            devices=devices,
            num_nodes=num_nodes,
            precision=precision,
            accelerator=accelerator,
        )
    told_weights(weights)


def _check_extra() -> None:
    """See that the training extra is there before a cohort is read for nothing."""
    if importlib.util.find_spec("lightning_fabric") is None:
        raise ExtraMissingError("Training", "train", "lightning-fabric")


def _cases(data: Path, **choice: Any) -> Cohort:
    from synbt_aug.data import load_cohort
    from synbt_aug.data.phantom_cohort import FIRST_TEST_SEED, seed_of

    with counting("Reading cases") as on_case:
        cohort = load_cohort(data, on_case=on_case, **choice)
    note(cohort.describe())
    for line in cohort.skipped[:10]:
        note(f"  left out {line}")
    tests = [case.name for case in cohort if (seed_of(case.name) or 0) >= FIRST_TEST_SEED]
    if tests:
        note(
            f"Warning: {len(tests)} phantoms have seeds of {FIRST_TEST_SEED} and above, which are "
            f"for testing only ({tests[0]}, ...). Weights trained on them must not be tested so."
        )
    return cohort
