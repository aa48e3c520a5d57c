"""How a tumor's enhancement goes on after the scan that it is painted into: its kinetic curve.

A course is the enhancement (post less pre) of one tumor in every post-contrast scan of a series,
in order of time, over that in the first. Cohorts with several phases bring the courses of their
own tumors; without them one of three types is drawn by the shares of patients.

Levels are in units of each channel's reference range, so that courses do not depend on how a host
scaled its channels. That range grows from phase to phase, as the body takes up contrast: a course
measured in levels lies lower than one in signal by about `BODY_RISE` at the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.support.number import check_number
from synbt_aug.volume import MAX_PHASES

#: Types of curve.
CURVES = ("washout", "plateau", "persistent")

#: From the first to the last phase a plateau changes by less than this share.
PLATEAU = 0.10

#: Shares of the types among 264 patients with cancer, whose last phase lay -13, -5, -1, 3 and 13 %
#: (5, 25, 50, 75 and 95 % of them) from the first.
TUMOR_SHARES = (0.10, 0.83, 0.07)

#: Of benign lesions.
#: Source: Kuhl et al., Radiology 211:101 (1999), 165 benign lesions.
BENIGN_SHARES = (0.055, 0.115, 0.83)

#: Mean change beyond `PLATEAU` of a washout and of a persistent curve; mean and SD of a plateau's.
#: With `TUMOR_SHARES` they give the quantiles above to a percent.
_WASHOUT_MEAN, _PERSISTENT_MEAN = 0.045, 0.09
_PLATEAU_MEAN, _PLATEAU_SD = -0.008, 0.046

#: Change of a single phase beside the smooth course.
_JITTER_SD = 0.01

#: The body's median signal rises by 1 to 7 % after the first phase in phantoms, by 9 % in one real
#: case; a tumor's post level is about 1.5 times its enhancement.
BODY_RISE = 0.06

#: No phase shows less or more than this, over the painted one.
FRACTION_LIMITS = (0.1, 5.0)

#: A tumor that enhances less than this, in reference ranges, has no course to measure.
_LEAST_ENHANCEMENT = 0.15

#: Of the random numbers of a curve, apart from those of the tumor's noise.
_STREAM = 0xC0_44E


@dataclass(frozen=True)
class Curve:
    """The curve of one tumor in one host, as a recipe keeps it.

    Args:
        kind: One of `CURVES`.
        fractions: Enhancement in each further scan of the host over that in the painted one.

    Raises:
        SynBTError: If the type is unknown or a fraction is not one that a tumor can have.
    """

    kind: str
    fractions: tuple[float, ...]

    def __post_init__(self) -> None:
        check_curve(self.kind)
        if len(self.fractions) >= MAX_PHASES:
            raise SynBTError(
                f"A curve has at most {MAX_PHASES - 1} further phases, got {len(self.fractions)}."
            )
        for value in self.fractions:
            check_number("Each fraction of a curve", value, *FRACTION_LIMITS)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"kind": self.kind, "fractions": list(self.fractions)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Curve:
        """Read what `to_dict` wrote."""
        return cls(str(values["kind"]), tuple(float(v) for v in values["fractions"]))


def check_curve(kind: str | None) -> None:
    """See that a type of curve, if one is asked for, is one that there is.

    Raises:
        SynBTError: If it is not.
    """
    if kind is not None and kind not in CURVES:
        raise SynBTError(f"curve needs one of {', '.join(map(repr, CURVES))}, got {kind!r}.")


def kind_of(course: Sequence[float]) -> str:
    """The type of a course that was measured in levels."""
    change = course[-1] - 1 + (BODY_RISE if len(course) > 1 else 0.0)
    return CURVES[0 if change < -PLATEAU else 1 if change <= PLATEAU else 2]


def in_time(image: Tensor, earlier: int = 0) -> Tensor:
    """A volume's channels as pre and all post-contrast scans in order of time.

    Args:
        image: Pre, the painted post and further scans, shape `(2 + P, ...)`.
        earlier: How many of the further scans come before the painted one.
    """
    return torch.cat([image[:1], image[2 : 2 + earlier], image[1:2], image[2 + earlier :]])


def measure_course(linear: Tensor, mask: Tensor) -> tuple[float, ...]:
    """Measure a tumor.

    Args:
        linear: Pre and all post-contrast scans in order of time by `intensity.to_linear`, shape
            `(1 + n, D, H, W)`.
        mask: The tumor, boolean, shape `(D, H, W)`, not empty.

    Returns:
        n numbers, 1 first; none where the tumor hardly enhances or there is one phase.
    """
    if linear.shape[0] < 3:
        return ()
    pre, *posts = (linear[:, mask].to(torch.float64).mean(1) / 2).tolist()
    first = posts[0] - pre
    if not first >= _LEAST_ENHANCEMENT:
        return ()
    low, high = FRACTION_LIMITS
    return tuple(min(max((post - pre) / first, low), high) for post in posts)


def draw_curve(
    seed: int,
    further: int,
    earlier: int = 0,
    *,
    kind: str | None = None,
    benign: bool = False,
    courses: Sequence[Sequence[float]] = (),
) -> Curve:
    """Draw a curve.

    Args:
        seed: All that is random follows from it.
        further: Post-contrast scans besides the painted one.
        earlier: How many of them were taken before it; the rest after it.
        kind: The type that is asked for.
        benign: Whether it is that of a benign thing.
        courses: Measured ones, from which one of the type is drawn; without any the type's own
            distribution is.

    Returns:
        Fractions of the further scans in order of time.
    """
    generator = torch.Generator().manual_seed(seed ^ _STREAM)
    fitting = [c for c in courses if kind is None or kind_of(c) == kind]
    if fitting:
        measured = fitting[int(torch.randint(len(fitting), (1,), generator=generator))]
        kind, course = kind_of(measured), _at_phases(measured, further + 1)
    else:
        kind = kind or _draw_kind(BENIGN_SHARES if benign else TUMOR_SHARES, generator)
        course = _draw_course(kind, further + 1, generator)
    low, high = FRACTION_LIMITS
    others = [value for phase, value in enumerate(course) if phase != earlier]
    return Curve(kind, tuple(min(max(v / course[earlier], low), high) for v in others))


def _draw_kind(shares: Sequence[float], generator: torch.Generator) -> str:
    at = torch.multinomial(torch.tensor(shares), 1, generator=generator)
    return CURVES[int(at)]


def _draw_course(kind: str, phases: int, generator: torch.Generator) -> list[float]:
    """A course in levels; phases are taken to be equally far apart."""
    beyond = -math.log1p(-float(torch.rand((), generator=generator)))
    normal, *jitter = torch.randn(phases, generator=generator).tolist()
    if kind == "washout":
        change = -PLATEAU - min(_WASHOUT_MEAN * beyond, 0.5)
    elif kind == "persistent":
        change = PLATEAU + min(_PERSISTENT_MEAN * beyond, 0.7)
    else:
        change = min(max(_PLATEAU_MEAN + _PLATEAU_SD * normal, -PLATEAU), PLATEAU)
    times = [phase / max(phases - 1, 1) for phase in range(1, phases)]
    # What washes out or goes on rising does so ever more slowly.
    risen = [-math.expm1(-time) / -math.expm1(-1.0) for time in times]
    return [1.0] + [
        1 + (change - BODY_RISE) * part + _JITTER_SD * noise
        for part, noise in zip(risen, jitter, strict=True)
    ]


def _at_phases(course: Sequence[float], phases: int) -> list[float]:
    """A course of another number of phases over the same time, interpolated."""
    last = len(course) - 1
    if phases - 1 == last:
        return list(course)
    found = []
    for phase in range(phases):
        at = phase / max(phases - 1, 1) * last
        before = min(int(at), max(last - 1, 0))
        after = min(before + 1, last)
        found.append(course[before] + (at - before) * (course[after] - course[before]))
    return found
