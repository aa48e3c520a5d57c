"""`synbt synthesize`: tumors into the scans of one examination on disk, or out of them."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import complain, note
from synbt_aug.errors import SynBTError
from synbt_aug.support.number import MAX_SEED

if TYPE_CHECKING:
    from synbt_aug.data import Pair
    from synbt_aug.volume import Synthesis

# Nothing was painted, and the reason is in the case, not in the command.
NOTHING_PAINTED = 3


def synthesize(
    pre: Annotated[Path, typer.Argument(help="Pre-contrast scan, .nii.gz or .nii.")],
    post: Annotated[Path, typer.Argument(help="Post-contrast scan on the same grid.")],
    later: Annotated[
        list[Path] | None,
        typer.Argument(help="Later post-contrast scans, in order of time.", show_default=False),
    ] = None,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    tumors: generator.Tumors = "1",
    multifocal: Annotated[
        float,
        typer.Option(min=0, max=1, help="Probability that a tumor comes with further lesions."),
    ] = 0.0,
    distractors: Annotated[
        float,
        typer.Option(min=0, max=8, help="Benign things beside the tumors, on average; unlabelled."),
    ] = 0.0,
    diameter_mm: generator.DiameterMm = None,
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="All that is random follows from it.")
    ] = 0,
    existing: Annotated[
        Path | None, typer.Option(help="Mask of tumors that are there; they stay untouched.")
    ] = None,
    forbidden: Annotated[
        Path | None, typer.Option(help="Mask of other places where nothing may go.")
    ] = None,
    roi: generator.Roi = None,
    tissue: generator.Tissue = "shipped",
    only_free_side: Annotated[
        bool, typer.Option("--only-free-side", help="Only a breast without an existing tumor.")
    ] = False,
    tumor_mask: Annotated[
        Path | None, typer.Option(help="Paint a tumor of this shape at this place.")
    ] = None,
    remove: Annotated[
        Path | None, typer.Option(help="Paint the tumor under this mask away.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Replay a recipe.json that was written here.")
    ] = None,
    enhancement: generator.Enhancement = None,
    rim: generator.Rim = None,
    heterogeneity: generator.Heterogeneity = None,
    pre_contrast: generator.PreContrast = None,
    category: generator.Category = None,
    curve: generator.Curve = None,
    steps: generator.Steps = generator.DEFAULT_STEPS,
    guidance: generator.Guidance = 1.0,
    texture: generator.Texture = "diffusion",
    precision: Annotated[
        str,
        typer.Option(help="Of the networks: fp32, bf16, fp16; auto: bf16 where it is fast."),
    ] = "auto",
    device: generator.Device = "auto",
    weights: generator.Weights = "shipped",
    bank: generator.Bank = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite results of another request.")
    ] = False,
) -> None:
    """Paint synthetic tumors into a DCE-MRI pair, and into later scans of its series.

    Writes pre.nii.gz, post.nii.gz, post2.nii.gz and so on for later scans, tumor.nii.gz,
    recipe.json and preview.png. In later scans the tumors follow a kinetic curve. Voxels outside
    the new tumor's support are those of the input, bit by bit. Where no tumor can go, nothing is
    written, the reason is told and the exit code is 3.
    """
    from synbt_aug.data import read_mask, read_pair
    from synbt_aug.support.files import check_output_folder, read_json
    from synbt_aug.tumor.request import AppearanceRequest

    modes = {"--tumor-mask": tumor_mask, "--remove": remove, "--recipe": recipe}
    if len(chosen := [name for name, value in modes.items() if value is not None]) > 1:
        raise SynBTError(f"{' and '.join(chosen)} do not go together: name one of them.")
    look = generator.appearance_of(enhancement, rim, heterogeneity, pre_contrast, category)
    count = generator.count_or_range("--tumors", tumors)
    size = generator.number_or_range("--diameter-mm", diameter_mm)
    unused = {"--tumors": count != 1, "--multifocal": multifocal > 0}
    unused |= {"--diameter-mm": diameter_mm is not None}
    unused["--distractors"] = tumor_mask is None and distractors > 0
    unused |= {"--roi": roi is not None, "--only-free-side": only_free_side}
    unused["--tissue"] = tissue != "shipped"
    unused["--curve"] = tumor_mask is None and curve is not None
    unused["an appearance"] = tumor_mask is None and look != AppearanceRequest()
    if chosen and (idle := [name for name, given in unused.items() if given]):
        raise SynBTError(f"{chosen[0]} leaves no choice of {' or '.join(idle)}: leave that out.")
    further = later or []
    if curve is not None and not further:
        raise SynBTError("--curve is of later scans: name them after POST, or leave it out.")
    if roi is not None and tissue != "shipped":
        raise SynBTError(
            "--roi says where tumors may go, and no tissue is asked for: leave --tissue out."
        )
    options: dict[str, Any] = {
        "steps": steps,
        "guidance": guidance,
        "precision": precision,
        "texture": texture,
    }
    recorded: dict[str, Any] | None = None
    if recipe is not None:
        recorded = read_json(recipe, "a recipe that `synbt synthesize` wrote")
        options = _options_of(recorded)
    check_output_folder(output)
    _refuse_own_input(output, [pre, post, *further, existing, forbidden, roi, tumor_mask, remove])

    started = time.perf_counter()
    pair = read_pair(pre, post, further, existing=existing, forbidden=forbidden, roi=roi)
    shape = None
    for path, what in ((tumor_mask, "The tumor mask"), (remove, "The mask to remove")):
        if path is not None:
            shape = read_mask(path, pair.pre, what)
            if not shape.any():
                raise SynBTError(f"{what} needs at least one voxel above 0, but {path} is empty.")
    inputs = {"pre": pre, "post": post, "existing": existing, "forbidden": forbidden}
    inputs |= {name: path for name, path in zip(_scan_names(pair)[2:], further, strict=True)}
    inputs |= {"roi": roi, "tumor_mask": tumor_mask, "remove": remove, "recipe": recipe}
    request = {
        "files": {name: _fingerprint(path) for name, path in inputs.items() if path is not None},
        "tumors": _plain(count),
        "multifocal": multifocal,
        "diameter_mm": _plain(size),
        "seed": seed,
        "appearance": {name: _plain(value) for name, value in asdict(look).items()},
        "weights": weights,
        "bank": None if bank is None else str(bank),
        **options,
        **({"curve": curve} if curve else {}),
        **({"only_free_side": True} if only_free_side else {}),
        **({"distractors": distractors} if distractors else {}),
        **({"tissue": tissue} if tissue != "shipped" else {}),
    }
    _refuse_other_results(output, request, force)
    synthesizer = generator.make_synthesizer(
        weights, device=device, bank=bank, tissue=tissue, **options
    )
    ready = time.perf_counter()
    if recorded is not None:
        result = synthesizer.replay(pair.volume, recorded)
    elif remove is not None and shape is not None:
        result = synthesizer.remove(pair.volume, shape, seed=seed)
    else:
        result = synthesizer(
            pair.volume,
            seed=seed,
            tumors=count,
            multifocal=multifocal,
            distractors=distractors,
            diameter_mm=size,
            appearance=look,
            tumor_mask=shape,
            only_free_side=only_free_side,
            curve=curve,
        )
    painted = time.perf_counter()
    if not result.painted:
        complain(f"Nothing was painted: {result.reason}.")
        raise typer.Exit(NOTHING_PAINTED)
    seconds = {"reading and loading": ready - started, "painting": painted - ready}
    _write(output, pair, result, request, seconds)
    _tell(output, pair, result, seconds)


def _plain(value: Any) -> Any:
    """A range as JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def _options_of(recorded: Any) -> dict[str, Any]:
    """The generator's settings that a recipe was painted with."""
    settings = recorded.get("texture") if isinstance(recorded, dict) else None
    if not isinstance(settings, dict):
        raise SynBTError("A recipe names the texture it was painted with; this file does not.")
    known = {"steps", "guidance", "precision"}
    chosen = {name: value for name, value in settings.items() if name in known}
    return chosen | {"texture": settings.get("name", "diffusion")}


def _scan_names(pair: Pair) -> list[str]:
    """What the painted scans are called on disk, in the order of the volume's channels."""
    return ["pre", "post", *(f"post{number}" for number in range(2, 2 + len(pair.further)))]


def _refuse_own_input(output: Path, inputs: list[Path | None]) -> None:
    names = ("pre", "post", *(f"post{n}" for n in range(2, len(inputs))), "tumor")
    written = {(output / f"{name}.nii.gz").resolve() for name in names}
    for path in inputs:
        if path is not None and path.resolve() in written:
            raise SynBTError(
                f"The input {path} would be overwritten by the result. Name another folder with -o."
            )


def _refuse_other_results(output: Path, request: dict[str, Any], force: bool) -> None:
    """The same request may be made again; another one asks first."""
    from synbt_aug.support.files import read_json

    names = ("pre.nii.gz", "post.nii.gz", "tumor.nii.gz", "recipe.json", "preview.png")
    there = [name for name in names if (output / name).exists()]
    if force or not there:
        return
    before = None
    if "recipe.json" in there:
        before = read_json(output / "recipe.json", "a recipe").get("request")
    if before != request:
        raise SynBTError(
            f"{output} already holds results of another request ({', '.join(there)}). Name another "
            f"folder with -o, or overwrite them with --force."
        )


def _fingerprint(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise SynBTError(f"{path} does not exist.")
    return {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def _write(
    output: Path,
    pair: Pair,
    result: Synthesis,
    request: dict[str, Any],
    seconds: dict[str, float],
) -> None:
    from synbt_aug.data.nifti import write_mask, write_painted
    from synbt_aug.report.pictures import BeforeAfter
    from synbt_aug.report.sheets import preview
    from synbt_aug.support.files import write_json, written_whole

    # The recipe goes last: a folder with a recipe is complete.
    (output / "recipe.json").unlink(missing_ok=True)
    scans = zip(_scan_names(pair), (pair.pre, pair.post, *pair.further), strict=True)
    for channel, (name, scan) in enumerate(scans):
        write_painted(output / f"{name}.nii.gz", scan, result.image[channel], result.support)
    write_mask(output / "tumor.nii.gz", pair.pre, result.tumor)
    shown = BeforeAfter(
        title=", ".join(f"{k} {v}" for k, v in list(generator.facts_of(result).items())[:4]),
        before=pair.volume.image[:2].numpy(),
        after=result.image[:2].numpy(),
        tumor=result.tumor.numpy(),
        support=result.support.numpy(),
        spacing=pair.volume.spacing,
        affine=pair.pre.affine,
    )
    with written_whole(output / "preview.png") as unfinished:
        preview(shown).save(unfinished)
    timed = {name: round(value, 3) for name, value in seconds.items()}
    about = {"measured": result.measured, "seconds": timed, "request": request}
    write_json(output / "recipe.json", (result.recipe or {}) | about)


def _tell(output: Path, pair: Pair, result: Synthesis, seconds: dict[str, float]) -> None:
    for name, value in generator.facts_of(result).items():
        note(f"{name:>22}  {value}")
    precision = (result.recipe or {})["texture"].get("precision")
    if precision is not None:
        note(f"{'precision':>22}  {precision}")
    for name, value in seconds.items():
        note(f"{name:>22}  {value:.1f} s")
    written = [f"{name}.nii.gz" for name in (*_scan_names(pair), "tumor")]
    note(f"Written to {output}: {', '.join(written)}, recipe.json, preview.png")
