"""The channels of one DCE series among all that a network reads: which follow a painted tumor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synbt_aug.data.channel_roles import (
    Role,
    in_order_of_time,
    is_subtraction,
    phase_numbers,
    roles_of,
)


@dataclass(frozen=True)
class SeriesChannels:
    """Channels that show a painted tumor, by position.

    Args:
        posts: All post-contrast scans in order of time, the painted one among them.
        subtractions: Differences of scans of the series.
    """

    posts: tuple[int, ...]
    subtractions: tuple[int, ...] = ()


def series_channels(names: Sequence[str], pre: int, post: int) -> SeriesChannels:
    """Tell the channels of a series by their names.

    Further phases are those called post-contrast, or of the numbered series that `post` belongs
    to, `in_order_of_time`.

    Args:
        names: Of all channels, by position; "" for one without a name.
        pre: The pre-contrast channel.
        post: The painted post-contrast channel.
    """
    roles, numbers = roles_of(names), phase_numbers(names)
    wanted = roles[post]
    if wanted not in (Role.POST, Role.UNKNOWN) or (
        wanted is Role.UNKNOWN and numbers[post] is None
    ):
        posts = [post]
    else:
        posts = [c for c, role in enumerate(roles) if c != pre and role is wanted]
        if wanted is Role.UNKNOWN:
            posts = [c for c in posts if numbers[c] is not None]
    posts = in_order_of_time(names, posts)
    subtractions = tuple(c for c, name in enumerate(names) if is_subtraction(name))
    return SeriesChannels(
        tuple(posts), tuple(c for c in subtractions if c not in (pre, post, *posts))
    )
