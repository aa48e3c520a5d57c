"""Subtraction channels of a dataset, looked at in a few training cases before the training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from synbt_aug.data.channel_roles import Role, roles_of
from synbt_aug.data.unpainted import contradicting
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.subtraction import LEAST_R2, fit_channel
from synbt_aug_nnunet.cohort import PreprocessedCases

S = TypeVar("S", bound=InjectionSettings)

#: Cases that are looked at.
MOST_CASES = 3


def recognised_subtractions(
    settings: S,
    names: Sequence[str],
    cases: PreprocessedCases,
    training: Callable[[], Sequence[str]],
    say: Callable[[str], None],
) -> S:
    """The settings with the channels that are subtractions of the series, and no others.

    Args:
        settings: With those that are named or called so.
        names: Of all channels.
        cases: The preprocessed dataset.
        training: Gives the names of the fold's training cases; the first few are read, and none
            where no channel is in question.
        say: Is told of a channel that is called a subtraction and is none.
    """
    known = settings.subtraction_channels
    left = contradicting(names, (*settings.scans, *known))
    unnamed = [c for c in left if roles_of(names)[c] is Role.UNKNOWN]
    asked = [*known, *unnamed]
    worst = dict.fromkeys(asked, 1.0)
    for case in sorted(training())[:MOST_CASES] if asked else ():
        data, labels = cases.channels(case, (*settings.scans, *asked))
        scans = data[: len(settings.scans)]
        for c, channel in zip(asked, data[len(scans) :], strict=True):
            worst[c] = min(worst[c], float(fit_channel(channel, scans, labels >= 0).r2))
    for c in known:
        if worst[c] < LEAST_R2:
            say(
                f"SynBT: channel {c}: {names[c]} is called a subtraction, but the scans that are "
                f"painted explain {worst[c]:.1%} of it ({LEAST_R2:.1%} are needed)."
            )
    found = tuple(c for c in asked if worst[c] >= LEAST_R2)
    return dataclasses.replace(settings, subtraction_channels=found)
