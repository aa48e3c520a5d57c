"""Channels that are not painted, although a real tumor shows in them.

Tumors are painted into the scans of one series, and subtractions of it are computed again. In a
map computed otherwise, or a channel whose name says nothing, the painted tumor is missing, and the
label contradicts what the network sees.
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
        painted: The positions that are painted or computed again.
    """
    return tuple(
        c
        for c, role in enumerate(roles_of(names))
        if c not in painted and role not in (Role.OTHER, Role.PRE)
    )


def check_unpainted(
    names: Sequence[str],
    painted: Sequence[int],
    unpainted_channels: str,
    *,
    recomputed: Sequence[int] = (),
    allow: str,
) -> str | None:
    """Refuse channels that would contradict the label, unless they are allowed.

    Args:
        names: As for `contradicting`.
        painted: The positions that are painted: pre and post-contrast scans.
        unpainted_channels: The setting: "refuse" or "allow".
        recomputed: The positions of subtractions, which are computed again.
        allow: What to type to go on all the same, such as `unpainted_channels="allow"`.

    Returns:
        A sentence that names what is painted and what is not; None where only pre and post are
        there.

    Raises:
        SynBTError: If there are such channels and the setting is "refuse".
    """
    told = list_channels(names, painted)
    covered = (*painted, *recomputed)
    against = contradicting(names, covered)
    if against and unpainted_channels == "refuse":
        raise SynBTError(
            f"SynBT paints {told} alone, and a tumor that it paints would be missing in "
            f"{list_channels(names, against)}, where real ones show: the label would contradict "
            f"these channels. Leave them out, name later phases in post_channels, or go on all "
            f"the same with {allow}."
        )
    rest = [c for c in range(len(names)) if c not in covered]
    parts = [f"SynBT paints {told}"]
    if recomputed:
        parts.append(f"computed again: {list_channels(names, recomputed)}")
    if rest:
        parts.append(f"not painted: {list_channels(names, rest)}")
    if against:
        parts.append(f"they contradict the label in {list_channels(names, against)}")
    return f"{'; '.join(parts)}." if len(names) > 2 else None
