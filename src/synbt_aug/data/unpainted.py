"""Channels that are not painted, although a real tumor shows in them.

Tumors are painted into one pre- and one post-contrast channel. In a later phase or a subtraction
beside them the painted tumor is missing, and the label contradicts what the network sees.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from synbt_aug.data.channel_roles import Role, roles_of
from synbt_aug.data.channels import list_channels
from synbt_aug.errors import SynBTError


def contradicting(names: Sequence[str], painted: Collection[int]) -> tuple[int, ...]:
    """Channels that stay as they are where a tumor is painted, although a real one shows there.

    Those are further post-contrast phases, subtractions and maps of several phases, and channels
    whose names say nothing; not other sequences such as T2 and diffusion.

    Args:
        names: Of all channels, by position; "" for one without a name.
        painted: The positions that are painted, pre and post.
    """
    return tuple(
        c
        for c, role in enumerate(roles_of(names))
        if c not in painted and role not in (Role.OTHER, Role.PRE)
    )


def check_unpainted(
    names: Sequence[str], painted: Sequence[int], unpainted_channels: str, *, allow: str
) -> str | None:
    """Refuse channels that would contradict the label, unless they are allowed.

    Args:
        names: As for `contradicting`.
        painted: Likewise.
        unpainted_channels: The setting: "refuse" or "allow".
        allow: What to type to go on all the same, such as `unpainted_channels="allow"`.

    Returns:
        A sentence that names all channels that are not painted; None where there are none.

    Raises:
        SynBTError: If there are such channels and the setting is "refuse".
    """
    told = list_channels(names, painted)
    against = contradicting(names, painted)
    if against and unpainted_channels == "refuse":
        raise SynBTError(
            f"SynBT paints {told} alone, and a tumor that it paints would be missing in "
            f"{list_channels(names, against)}, where real ones show: the label would contradict "
            f"these channels. Leave them out, or go on all the same with {allow}."
        )
    rest = [c for c in range(len(names)) if c not in painted]
    if not rest:
        return None
    missing = f"; they contradict the label in {list_channels(names, against)}" if against else ""
    return f"SynBT paints {told}; not painted: {list_channels(names, rest)}{missing}."
