"""The textures by name, as settings, recipes and the command line call them."""

from __future__ import annotations

from synbt_aug.errors import SynBTError

#: The paper's, and the two that it is compared with.
TEXTURES = ("diffusion", "syntumor", "copy_paste")

#: DDIM steps of a tumor, where nothing else is asked for (paper: 10). Fewer cost less and lose
#: nothing that was measured; one loses (docs/lab-book.md, 29).
DEFAULT_STEPS = 2

#: Most steps: those of the schedule that the networks are trained with.
MAX_STEPS = 1000

#: Most guidance: it extrapolates, and networks stray long before.
MAX_GUIDANCE = 20.0


def check_texture(name: str) -> str:
    """The name, if there is such a texture.

    Raises:
        SynBTError: If there is not.
    """
    if name not in TEXTURES:
        raise SynBTError(f"texture needs one of {', '.join(map(repr, TEXTURES))}, got {name!r}.")
    return name
