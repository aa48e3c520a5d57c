"""What a channel holds, by the words of its name: pre-contrast, post-contrast, or something else.

Words count whole: "compressed" and "posterior" are neither. Which channels a dataset is read from
follows in `channels.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

from synbt_aug.data.name_words import words_of


class Role(Enum):
    """What a channel holds."""

    PRE = "pre-contrast"
    POST = "post-contrast"
    #: Subtractions, and maps computed from several phases.
    DERIVED = "computed from pre and post"
    #: Another sequence, or no scan at all.
    OTHER = "something else"
    UNKNOWN = "unknown"


_PRE = {
    "pre", "precontrast", "predose", "preinjection", "prebolus", "pregadolinium", "pregad", "pregd",
    "prekm", "precm", "unenhanced", "nonenhanced", "noncontrast", "native", "nativ",
}  # fmt: skip
_POST = {
    "post", "postcontrast", "postdose", "postinjection", "postbolus", "postgadolinium", "postgad",
    "postgd", "postkm", "postcm",
}  # fmt: skip

#: Post-contrast unless the name says that it is missing.
_CONTRAST = {"contrast", "enhanced", "ce", "gd", "gad", "gadolinium", "km"}
_WITHOUT = {"non", "no", "not", "without", "o", "ohne"}

#: Of a dynamic series every phase is contrast-enhanced by name, the first one, too.
_SERIES = {"dce", "dynamic", "dyn"}

#: "Pre" and "post" of these are no phases of a contrast agent.
_NO_AGENT = {
    "treatment", "therapy", "nac", "chemo", "chemotherapy", "op", "operative", "surgery",
    "surgical", "biopsy", "processed", "processing", "registered", "registration",
}  # fmt: skip

_SUBTRACTION = {
    "sub", "subs", "subtr", "subtract", "subtracted", "subtraction", "subtractions", "minus",
    "difference",
}  # fmt: skip

#: Maps computed from several phases otherwise than by a difference.
_MAP = {
    "mip", "ser", "pe", "pei", "washin", "washout", "wash", "uptake", "enhancement", "slope",
    "ktrans", "kep", "auc", "iauc", "ttp", "perfusion", "kinetic", "kinetics",
}  # fmt: skip
_DERIVED = _SUBTRACTION | _MAP

_OTHER = {
    "adc", "dwi", "dti", "ivim", "diffusion", "stir", "tirm", "flair", "swi", "pd", "pdw", "ct",
    "pet", "us", "mask", "masks", "seg", "segmentation", "label", "labels", "prior", "atlas",
    "heatmap", "distance", "coordinate", "coordinates",
}  # fmt: skip


def roles_of(names: Sequence[str]) -> list[Role]:
    """What each channel of a dataset holds; `UNKNOWN` where no word says it."""
    times = _are_times(names)
    return [_role(words_of(name), times) for name in names]


def is_subtraction(name: str) -> bool:
    """Whether a channel is called a difference of phases, and nothing else computed of them.

    "post-pre" is one; "MIP sub", a projection of one, is none.
    """
    words = words_of(name)
    if roles_of([name]) != [Role.DERIVED] or _MAP & set(words):
        return False
    return bool(_SUBTRACTION & set(words)) or (_is_phase(words, _PRE) and _is_phase(words, _POST))


def _are_times(names: Sequence[str]) -> bool:
    """Whether t0, t1, t2 are time points, and not the weightings T1 and T2."""
    return ("t", "0") in map(words_of, names)


def _role(words: Sequence[str], times: bool) -> Role:
    if _OTHER & set(words) or (not times and ("t", "2") in pairwise(words)):
        return Role.OTHER
    pre, post = (_is_phase(words, of) for of in (_PRE, _POST))
    if _DERIVED & set(words) or (pre and post):
        return Role.DERIVED
    if pre or post:
        return Role.PRE if pre else Role.POST
    for before, word in pairwise(("", *words)):
        if word in _CONTRAST and not _SERIES & set(words):
            return Role.PRE if before in _WITHOUT else Role.POST
    return Role.UNKNOWN


def _is_phase(words: Sequence[str], of: set[str]) -> bool:
    return any(word in of and after not in _NO_AGENT for word, after in pairwise((*words, "")))


def phase_numbers(names: Sequence[str]) -> list[int | None]:
    """The number of each channel in a numbered series, such as DCE_0, DCE_1, DCE_2.

    Args:
        names: Of all channels of a dataset.

    Returns:
        Numbers of those channels whose names differ from another's in their last number alone;
        None for the others. The 1 and 2 of T1 and T2 are none, unless there is a T0.
    """
    split, times = [words_of(name) for name in names], _are_times(names)
    found: list[tuple[tuple[str, ...], int] | None] = []
    for words in split:
        at = [
            k
            for k, word in enumerate(words)
            if word.isdecimal() and (times or k == 0 or (words[k - 1], word) not in _WEIGHTINGS)
        ]
        found.append(((*words[: at[-1]], *words[at[-1] + 1 :]), int(words[at[-1]])) if at else None)
    numbers: list[int | None] = []
    for one in found:
        series = [other[1] for other in found if one and other and other[0] == one[0]]
        numbered = one is not None and len(series) > 1 and len(set(series)) == len(series)
        numbers.append(one[1] if one is not None and numbered else None)
    return numbers


_WEIGHTINGS = {("t", "1"), ("t", "2")}

_EARLY = {"early", "first", "arterial"}
_LATE = {"late", "delayed", "delay", "last"}


def in_order_of_time(names: Sequence[str], which: Sequence[int]) -> list[int]:
    """Post-contrast channels in the order of time that their names tell.

    By words such as "early" and "late", then by their last number; one without a number ("post"
    beside "post2") comes first. Where two share a time the order is that of the channels.

    Args:
        names: Of all channels of a dataset.
        which: The post-contrast ones.
    """
    numbers = phase_numbers(names)

    def time(c: int) -> tuple[int, int]:
        words, number = words_of(names[c]), numbers[c]
        if number is None:
            own = [p[1] for p in pairwise(("", *words)) if p not in _WEIGHTINGS]
            number = next((int(word) for word in reversed(own) if word.isdecimal()), 0)
        return bool(_LATE & set(words)) - bool(_EARLY & set(words)), number

    times = {time(c): c for c in which}
    return [times[at] for at in sorted(times)] if len(times) == len(which) else list(which)
