"""Which channels of a host's sample are one series: found by setting, by name, or by regression.

A host lists its channels by name and place (an image and a channel of it); what it gets back says
which of them are painted and which computed again. All others stay, and are named once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from torch import Tensor, stack

from synbt_aug.data.channel_roles import Role, roles_of
from synbt_aug.data.series_channels import series_channels
from synbt_aug.data.unpainted import contradicting
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.subtraction import fit_channel
from synbt_aug.transform.notices import Notices
from synbt_aug.transform.unpainted import look_at_unpainted
from synbt_aug.volume import MAX_PHASES

#: The name of an image, and a channel of it.
Place = tuple[Hashable, int]


@dataclass(frozen=True)
class SeriesPlaces:
    """Where the channels of a series are.

    Args:
        scans: Pre, the painted post, and further post-contrast scans in order of time.
        subtractions: Differences of them.
        earlier: How many of the further scans come before the painted one.
    """

    scans: tuple[Place, ...]
    subtractions: tuple[Place, ...] = ()
    earlier: int = 0

    def images(self) -> tuple[Hashable, ...]:
        """The images that hold them, each once."""
        return tuple(dict.fromkeys(name for name, _ in (*self.scans, *self.subtractions)))


def find_series(
    names: Sequence[str],
    places: Sequence[Place | None],
    painted: tuple[int, int],
    settings: InjectionSettings,
    notices: Notices,
    read: Callable[[Place], Tensor],
) -> SeriesPlaces:
    """Tell a sample's series.

    Args:
        names: Of the images of all channels that a network may see; "" for one without a name.
        places: Of each; None for one that the host cannot write.
        painted: Positions of pre and the painted post.
        settings: With `post_channels` and `subtraction_channels`, which count the channels of one
            image that holds the series, and `unpainted_channels`.
        notices: Are given what is painted and what is not.
        read: A channel's signal, shape `(D, H, W)`; asked for where a name says nothing.

    Raises:
        SynBTError: If a channel that a setting names is not there, or one would contradict the
            label and the setting is "refuse".
    """
    pre, post = painted
    found = series_channels(names, pre, post)
    posts: Sequence[int] = [c for c in found.posts if places[c] is not None][:MAX_PHASES]
    subtractions: Sequence[int] = [c for c in found.subtractions if places[c] is not None]
    asked = (settings.post_channels, settings.subtraction_channels)
    if any(asked) and not _in_one_image(places, painted):
        raise SynBTError(
            "post_channels and subtraction_channels count the channels of one image that holds the "
            "whole series; here pre and post are two. Leave them out, and call the images so that "
            "their names tell: post2, subtraction."
        )
    if asked[0]:
        posts = [_position(places, places[post], c, "post_channels") for c in asked[0]]
    if asked[1]:
        place = places[post]
        subtractions = [_position(places, place, c, "subtraction_channels") for c in asked[1]]
    if post not in posts:
        posts = [post, *posts]
    scans = [pre, post, *(c for c in posts if c != post)]
    subtractions = [*subtractions, *_unnamed(names, places, scans, subtractions, read)]
    told = [_told(name, place, places) for name, place in zip(names, places, strict=True)]
    look_at_unpainted(told, scans, settings, notices, subtractions)
    return SeriesPlaces(
        tuple(place for c in scans if (place := places[c]) is not None),
        tuple(place for c in subtractions if (place := places[c]) is not None),
        list(posts).index(post),
    )


def _told(name: str, place: Place | None, places: Sequence[Place | None]) -> str:
    """A channel as messages name it: `dce[2]` where its image has several."""
    alone = place is None or sum(p is not None and p[0] == place[0] for p in places) == 1
    return name if alone or place is None or not name else f"{name}[{place[1]}]"


def _in_one_image(places: Sequence[Place | None], painted: tuple[int, int]) -> bool:
    pre, post = (places[c] for c in painted)
    return pre is not None and post is not None and pre[0] == post[0]


def _position(places: Sequence[Place | None], like: Place | None, channel: int, what: str) -> int:
    """The position of a channel of the image that `like` is in."""
    assert like is not None
    if (like[0], channel) not in places:
        count = sum(place is not None and place[0] == like[0] for place in places)
        raise SynBTError(f"{what} names channel {channel} of {like[0]!r}, which has {count}.")
    return places.index((like[0], channel))


def _unnamed(
    names: Sequence[str],
    places: Sequence[Place | None],
    scans: Sequence[int],
    subtractions: Sequence[int],
    read: Callable[[Place], Tensor],
) -> list[int]:
    """Subtractions among the channels whose names say nothing."""
    roles = roles_of(names)
    there = contradicting(names, (*scans, *subtractions))
    unknown = [c for c in there if roles[c] is Role.UNKNOWN and places[c] is not None]
    if not unknown:
        return []
    series = stack([read(place).double() for c in scans if (place := places[c]) is not None])
    return [c for c in unknown if (p := places[c]) and fit_channel(read(p), series).holds]
