"""Numbers in sentences: with as many digits as the sentence needs to be true."""

from __future__ import annotations

#: A double has no more to show.
_MOST_PLACES = 17


def shown_beside(value: float, *limits: float, places: int = 0, percent: bool = False) -> str:
    """A value with enough digits to see on which side of its limits it lies.

    Rounded to whole percents, .8997 reads "90%" beside "at least 90%".

    Args:
        value: Any number, nan too.
        limits: What the sentence holds it against.
        places: After the point, at least.
        percent: Whether to show it as a percentage.

    Returns:
        The shortest form of at least `places` that lies where the value lies.
    """
    scale = 100.0 if percent else 1.0
    shown = f"{scale * value:.{places}f}"
    while places < _MOST_PLACES and any(
        _side(float(shown) / scale, limit) != _side(value, limit) for limit in limits
    ):
        places += 1
        shown = f"{scale * value:.{places}f}"
    return f"{shown}%" if percent else shown


def _side(value: float, limit: float) -> int:
    return (value > limit) - (value < limit)
