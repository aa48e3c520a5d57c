"""Which channels of a dataset are pre- and post-contrast.

In nnU-Net's dataset.json the order of `channel_names` counts: the first is channel 0, whatever its
key, and a key that is no number may name the channel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synbt_aug.data.channel_roles import Role, in_order_of_time, phase_numbers, roles_of
from synbt_aug.data.layout import shorten
from synbt_aug.errors import SynBTError

#: Names of nnU-Net's normalizations, which stand where channels' names may.
_NORMALIZATIONS = ("zscore", "nonorm", "ct", "rescale_to_0_1", "rgb_to_0_1")


@dataclass(frozen=True)
class Channels:
    """The channels of a dataset, by position.

    Args:
        names: Of all.
        pre: The pre-contrast channel.
        posts: The post-contrast channels, in order; tumors are painted into the first.
    """

    names: tuple[str, ...]
    pre: int
    posts: tuple[int, ...]

    @property
    def post(self) -> int:
        """The post-contrast channel that is painted."""
        return self.posts[0]


def channel_names(described: Mapping[str, Any]) -> tuple[str, ...]:
    """The channels' names in order: keys that are no numbers, else the values.

    Args:
        described: The content of dataset.json.
    """
    named = described.get("channel_names", described.get("modality", {}))
    return tuple(_name(str(key), str(value)) for key, value in named.items())


def _name(key: str, value: str) -> str:
    if key.strip().isdecimal():
        return value
    return key if value.lower() in _NORMALIZATIONS else f"{key} {value}"


def channels_of(
    described: Mapping[str, Any],
    pre: int | None = None,
    post: int | None = None,
    *,
    where: str = "The dataset",
) -> Channels:
    """Tell the channels of a dataset.

    What is not asked for is read from the names: whole words such as "pre", "precontrast" and
    "post", or a numbered series, whose first is pre-contrast. Of two channels whose names say
    nothing the first is pre-contrast. All else is refused.

    Args:
        described: The content of dataset.json.
        pre: The channel asked for.
        post: Likewise.
        where: The dataset's name, for errors.

    Raises:
        SynBTError: If there are fewer than two channels, a channel asked for is not there, or
            the names leave a doubt.
    """
    names = channel_names(described)
    listed = list_channels(names)
    if len(names) < 2:
        raise SynBTError(
            f"SynBT needs two channels, pre- and post-contrast, but {where} names "
            f"{len(names)} in dataset.json ({listed})."
        )
    if wrong := [c for c in (pre, post) if c is not None and c not in range(len(names))]:
        raise SynBTError(
            f"pre_channel and post_channel need channels of {where} ({listed}), got {wrong[0]}. "
            f'Set them in a "synbt" section of dataset.json or by SYNBT_PRE_CHANNEL and '
            f"SYNBT_POST_CHANNEL."
        )
    if pre is not None and pre == post:
        raise SynBTError(
            f"pre_channel and post_channel need two channels, got {pre} for both ({listed})."
        )
    roles, numbers = roles_of(names), phase_numbers(names)
    if pre is None:
        pre = _pre(roles, numbers, post, f"{where} ({listed})")
    posts = (
        (post,) if post is not None else _posts(names, roles, numbers, pre, f"{where} ({listed})")
    )
    return Channels(names, pre, posts)


def _pre(roles: Sequence[Role], numbers: Sequence[int | None], post: int | None, which: str) -> int:
    there = [c for c in range(len(roles)) if c != post]
    if named := [c for c in there if roles[c] is Role.PRE]:
        candidates = named
    else:
        candidates = [c for c in there if roles[c] is Role.UNKNOWN]
        nothing_said = Role.POST not in roles and post is None
        series = {n: c for c in candidates if (n := numbers[c]) is not None}
        if series and len(series) == len(candidates) and min(series) <= 1:
            candidates = [series[min(series)]]
        elif len(candidates) == 2 and nothing_said and not series:
            candidates = candidates[:1]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise SynBTError(
            f"No channel of {which} is pre-contrast by its name: SynBT paints a pair, pre- and "
            f"post-contrast. If one of them is, set SYNBT_PRE_CHANNEL to its number."
        )
    raise SynBTError(
        f"Which channel of {which} is pre-contrast? Set SYNBT_PRE_CHANNEL to its number, or add "
        f'"synbt": {{"pre_channel": NUMBER}} to dataset.json.'
    )


def _posts(
    names: Sequence[str],
    roles: Sequence[Role],
    numbers: Sequence[int | None],
    pre: int,
    which: str,
) -> tuple[int, ...]:
    there = [c for c in range(len(roles)) if c != pre]
    named = [c for c in there if roles[c] is Role.POST]
    candidates = named or [c for c in there if roles[c] is Role.UNKNOWN]
    numbered = all(numbers[c] is not None for c in candidates)
    if named or numbered:
        candidates = in_order_of_time(names, candidates)
    elif len(candidates) > 1:
        raise SynBTError(
            f"Which channel of {which} is post-contrast? Set SYNBT_POST_CHANNEL to its number, or "
            f'add "synbt": {{"post_channel": NUMBER}} to dataset.json.'
        )
    if not candidates:
        raise SynBTError(
            f"No channel of {which} is post-contrast by its name: SynBT paints a pair, pre- and "
            f"post-contrast. If one of them is, set SYNBT_POST_CHANNEL to its number."
        )
    return tuple(candidates)


def list_channels(names: Sequence[str], chosen: Sequence[int] | None = None) -> str:
    """Channels as messages name them: `0: pre, 1: post`; all, or those chosen."""
    numbers = range(len(names)) if chosen is None else chosen
    return shorten([f"{c}: {names[c]}" if names[c] else f"channel {c}" for c in numbers], 8)
