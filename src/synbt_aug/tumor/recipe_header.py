"""Whether a recipe belongs to these weights, this bank, this texture and this scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.tumor.recipe import RECIPE_FORMAT

#: Most tumors and distractors in a recipe: 100 groups of lesions are fewer.
MAX_THINGS = 1000


def check_header(
    recipe: Mapping[str, Any],
    *,
    weights: str,
    bank: str,
    texture: Mapping[str, Any],
    shape: Sequence[int],
    spacing: Sequence[float],
    channels: int = 2,
) -> None:
    """See that a recipe was made with what it is to be replayed with.

    Args:
        recipe: As `Synthesis.recipe`, or read from its JSON.
        weights: SHA-256 of the weights here.
        bank: Of the tumor bank.
        texture: Its settings here.
        shape: Of the volume.
        spacing: Of the volume, in mm.
        channels: Of the volume: pre, post and further phases.

    Raises:
        SynBTError: If it was not, or is no recipe.
    """
    if not isinstance(recipe, Mapping):
        raise SynBTError(
            f"A recipe is a dictionary, as `synbt synthesize` writes it, got "
            f"{type(recipe).__name__}. Read a file with json.loads(path.read_text())."
        )
    needed = ("format", "weights", "bank", "texture", "reference", "shape", "spacing", "tumors")
    missing = [name for name in (*needed, "seed") if name not in recipe]
    if missing:
        raise SynBTError(
            f"A recipe needs the fields that `synbt synthesize` writes; this one lacks "
            f"{', '.join(missing)}."
        )
    kinds = {"weights": str, "bank": str, "texture": Mapping, "reference": Mapping}
    kinds |= {"shape": Sequence, "spacing": Sequence, "tumors": Sequence}
    if wrong := [name for name, kind in kinds.items() if not isinstance(recipe[name], kind)]:
        raise SynBTError(
            f"A recipe's fields are as `synbt synthesize` writes them; {', '.join(wrong)} of "
            f"this one cannot be read. Pass an unchanged recipe.json."
        )
    if recipe["format"] != RECIPE_FORMAT:
        raise SynBTError(
            f"The recipe is of format {recipe['format']}, this version reads format "
            f"{RECIPE_FORMAT}. Use synbt-aug {recipe.get('synbt_aug', 'of its time')}."
        )
    if recipe["weights"] != weights:
        raise SynBTError(
            f"The recipe was made with other weights (SHA-256 {recipe['weights'][:12]}..., "
            f"these are {weights[:12]}...). Pass those with weights=."
        )
    if recipe["bank"] != bank:
        raise SynBTError(
            f"The recipe was made with another tumor bank (SHA-256 {recipe['bank'][:12]}..., "
            f"this one is {bank[:12]}...). Pass that one with bank=."
        )
    if dict(recipe["texture"]) != dict(texture):
        raise SynBTError(
            f"The recipe was made with texture settings {dict(recipe['texture'])}, these are "
            f"{dict(texture)}. Pass the same."
        )
    if len(recipe["tumors"]) > MAX_THINGS:
        raise SynBTError(
            f"A recipe holds at most {MAX_THINGS} things, this one has {len(recipe['tumors'])}. "
            f"Pass an unchanged recipe.json."
        )
    painted = recipe["reference"].get("low")
    if isinstance(painted, Sequence) and len(painted) != channels:
        raise SynBTError(
            f"The recipe was made for pre and {len(painted) - 1} post-contrast scans, this volume "
            f"has {channels - 1}. Replay needs the same series in the same order."
        )
    if list(recipe["shape"]) != list(shape) or list(recipe["spacing"]) != list(spacing):
        raise SynBTError(
            f"The recipe was made for a volume of shape {recipe['shape']} and spacing "
            f"{recipe['spacing']} mm, this one is {list(shape)} and "
            f"{list(spacing)}. Replay needs the same scan in the same axis order."
        )
