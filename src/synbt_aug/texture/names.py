"""The textures by name, as settings, recipes and the command line call them."""

from __future__ import annotations

from synbt_aug.errors import SynBTError

#: The paper's, and the two that it is compared with.
TEXTURES = ("diffusion", "syntumor", "copy_paste")


def check_texture(name: str) -> str:
    """The name, if there is such a texture.

    Raises:
        SynBTError: If there is not.
    """
    if name not in TEXTURES:
        raise SynBTError(f"texture needs one of {', '.join(map(repr, TEXTURES))}, got {name!r}.")
    return name
