"""Whether the channels that settings name can be those of one series."""

from __future__ import annotations

from collections.abc import Sequence

from synbt_aug.errors import SynBTError
from synbt_aug.volume import MAX_PHASES


def check_series(pre: int, post: int, posts: Sequence[int], subtractions: Sequence[int]) -> None:
    """See that every channel of a series is one thing.

    Args:
        pre: `pre_channel`.
        post: `post_channel`.
        posts: `post_channels`.
        subtractions: `subtraction_channels`.

    Raises:
        SynBTError: If a channel is named twice, or there are too many phases.
    """
    scans = [pre, *([] if post in posts else [post]), *posts]
    for name, channels in (("post_channels", posts), ("subtraction_channels", subtractions)):
        if len(set(channels)) < len(channels):
            raise SynBTError(f"{name} names a channel twice: {tuple(channels)}.")
    if pre in posts:
        raise SynBTError(
            f"post_channels names channel {pre}, which is pre_channel. Leave it out: the rest are "
            f"the post-contrast scans."
        )
    if both := [c for c in subtractions if c in scans]:
        raise SynBTError(
            f"subtraction_channels names channel {both[0]}, which is a scan of the series. Name "
            f"those alone that were computed from scans."
        )
    if len(scans) - 1 > MAX_PHASES:
        raise SynBTError(
            f"post_channels may hold {MAX_PHASES} post-contrast scans, got {len(scans) - 1}."
        )
