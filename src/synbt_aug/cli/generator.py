"""What the painting commands share: loading the generator, and telling what came out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from synbt_aug.errors import SynBTError

if TYPE_CHECKING:
    from synbt_aug.support.ranges import Range, WholeRange
    from synbt_aug.synthesizer import TumorSynthesizer
    from synbt_aug.tissue.segments import Segments
    from synbt_aug.tumor.request import AppearanceRequest
    from synbt_aug.volume import Synthesis

N = TypeVar("N", int, float)

# As in `synbt_aug.texture`, which takes a second to import.
TEXTURES = ("diffusion", "syntumor", "copy_paste")
DEFAULT_STEPS = 2

Weights = Annotated[
    str, typer.Option(help="shipped, a weights folder, or a name that `synbt adapt` gave.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Roi = Annotated[
    Path | None,
    typer.Option(
        help="Mask, or weights from 0 to 1, of where tumors may go; default: asks the tissues."
    ),
]
Steps = Annotated[int, typer.Option(min=1, help="Of the sampler.")]
Guidance = Annotated[
    float, typer.Option(help="How strongly the asked appearance is followed; 1: as learnt.")
]
Tissue = Annotated[
    str,
    typer.Option(help="Finds where tumors may go: shipped, or what `synbt train tissue` wrote."),
]
Texture = Annotated[
    str,
    typer.Option(help="diffusion; syntumor, blurred noise; copy_paste, of a bank with voxels."),
]
Bank = Annotated[
    Path | None, typer.Option(help="A tumor bank (.npz); default: that of the weights.")
]

# Text: a number, or a range such as 10:30 from which each tumor draws its own.
Tumors = Annotated[str, typer.Option(help="How many to paint, or a range: 1:3.")]
DiameterMm = Annotated[
    str | None,
    typer.Option(help="Of the sphere of the same volume, or a range: 10:30; default: drawn."),
]
Enhancement = Annotated[
    str | None,
    typer.Option(help="Tumor over its surroundings in post, or a range: 0.8:1.6; default: drawn."),
]
Rim = Annotated[
    str | None, typer.Option(help="Periphery over core, or a range; above 1 is rim enhancement.")
]
Heterogeneity = Annotated[
    str | None, typer.Option(help="Coefficient of variation inside, or a range.")
]
PreContrast = Annotated[
    str | None, typer.Option(help="Tumor over its surroundings in pre, or a range.")
]
Category = Annotated[str | None, typer.Option(help="mass, rim or non-mass.")]
Curve = Annotated[
    str | None,
    typer.Option(help="In later scans: washout, plateau or persistent; default: drawn."),
]


def make_synthesizer(
    weights: str = "shipped",
    *,
    device: str = "auto",
    bank: Path | None = None,
    tissue: str | Segments = "shipped",
    texture: str = "diffusion",
    steps: int = DEFAULT_STEPS,
    guidance: float = 1.0,
    precision: str = "auto",
) -> TumorSynthesizer:
    """Load the generator.

    Raises:
        SynBTError: If the texture or the device is not there, or the weights cannot be used.
    """
    check_texture(texture)
    place = pick_device(device)
    from synbt_aug.synthesizer import TumorSynthesizer

    return TumorSynthesizer(
        weights,
        bank=bank,
        tissue=tissue,
        texture=texture,
        device=place,
        steps=steps,
        guidance=guidance,
        precision=precision,
    )


def check_texture(name: str) -> None:
    """See that there is such a texture, before anything is read."""
    if name not in TEXTURES:
        raise SynBTError(f"--texture is one of {', '.join(TEXTURES)}, not {name!r}.")


def pick_device(name: str) -> str:
    """`auto` is the first GPU, torchrun's of this process, else the CPU.

    Raises:
        SynBTError: If there is no such device.
    """
    import torch

    from synbt_aug.support.device import check_device

    if name == "auto":
        # torchrun starts one process a GPU.
        rank = os.environ.get("LOCAL_RANK", "")
        cuda = f"cuda:{rank}" if rank.isdecimal() else "cuda"
        return cuda if torch.cuda.is_available() else "cpu"
    return str(check_device(name, "--device"))


def number_or_range(option: str, text: str | None) -> float | Range | None:
    """What was typed after an option: `20`, or `10:30`.

    Raises:
        SynBTError: If it is neither.
    """
    return None if text is None else _typed(option, text, float, "20, or a range such as 10:30")


def count_or_range(option: str, text: str) -> int | WholeRange:
    """What was typed after an option: `2`, or `1:3`; at least 1.

    Raises:
        SynBTError: If it is neither.
    """
    from synbt_aug.support.ranges import check_whole_range
    from synbt_aug.tumor.request import MAX_TUMORS

    typed = _typed(option, text, int, "2, or a range such as 1:3")
    return check_whole_range(option, typed, 1, MAX_TUMORS)


def _typed(option: str, text: str, kind: type[N], example: str) -> N | tuple[N, N]:
    from synbt_aug.support.ranges import read_range

    try:
        return read_range(text, kind)
    except ValueError as error:
        raise SynBTError(f"{option} needs a number such as {example}, not {text!r}.") from error


def settings_typed(**options: Any) -> dict[str, Any]:
    """Settings by their names in `InjectionSettings`, of the options that were typed.

    Args:
        options: Each as typed, or None where it was not. Ranges are text: `10:30`.

    Raises:
        SynBTError: If a number cannot be read.
    """
    found = {name: value for name, value in options.items() if value is not None}
    for name in ("diameter_mm", "enhancement", "rim", "heterogeneity", "pre_contrast"):
        if name in found:
            found[name] = number_or_range(f"--{name.replace('_', '-')}", found[name])
    if "tumors" in found:
        found["tumors"] = count_or_range("--tumors", found["tumors"])
    if "bank" in found:
        found["bank"] = str(found["bank"])
    return found


def appearance_of(
    enhancement: str | None,
    rim: str | None,
    heterogeneity: str | None,
    pre_contrast: str | None,
    category: str | None,
) -> AppearanceRequest:
    """The appearance that the options ask of every tumor.

    Raises:
        SynBTError: If a number cannot be read, or is not one that a tumor can have.
    """
    from synbt_aug.tumor.request import AppearanceRequest

    return AppearanceRequest(
        enhancement=number_or_range("--enhancement", enhancement),
        heterogeneity=number_or_range("--heterogeneity", heterogeneity),
        rim=number_or_range("--rim", rim),
        pre_contrast=number_or_range("--pre-contrast", pre_contrast),
        category=category,
    )


def facts_of(result: Synthesis) -> dict[str, Any]:
    """Rows for a table: what was asked, and what came out."""
    rows: dict[str, Any] = {}
    tumors = result.measured.get("tumors", [])
    everything = (result.recipe or {}).get("tumors", [])
    wishes = [wish for wish in everything if wish["kind"] != "distractor"]
    for number, wish in enumerate(wishes):
        measured = tumors[number] if number < len(tumors) else {}
        which = f" {number + 1}" if len(wishes) > 1 else ""
        if measured:
            rows[f"diameter{which}"] = f"{measured['diameter_mm']:.1f} mm"
            rows[f"longest extent{which}"] = f"{measured['longest_mm']:.1f} mm"
            rows |= _appearance(which, wish.get("appearance", {}), measured["appearance"])
        if "visible_share" in measured:
            rows[f"label that is visible{which}"] = f"{measured['visible_share']:.0%}"
            rows[f"contrast{which}"] = f"{measured['contrast_to_noise']:.1f} x noise"
        if curve := wish.get("curve"):
            parts = ", ".join(f"{part:.2f}" for part in curve["fractions"])
            rows[f"curve{which}"] = f"{curve['kind']} ({parts} of the enhancement in post)"
        rows[f"window{which}"] = f"{' x '.join(map(str, wish['window_mm']))} mm"
    benign = [w["distractor"]["shape"] for w in everything if w["kind"] == "distractor"]
    if benign:
        rows["distractors"] = ", ".join(benign)
    for reason in result.measured.get("left_out", []):
        rows["left out"] = reason
    return rows


def _appearance(which: str, asked: dict[str, Any], found: dict[str, Any]) -> dict[str, str]:
    rows = {}
    for name, value in found.items():
        if value is None:
            continue
        shown = value if isinstance(value, str) else f"{value:.2f}"
        wanted = asked.get(name)
        if wanted is not None:
            shown += f" (asked {wanted if isinstance(wanted, str) else f'{wanted:.2f}'})"
        rows[f"{name.replace('_', '-')}{which}"] = shown
    return rows
