"""What of a sample a transform paints and what it leaves, named once a pipeline, or refused."""

from __future__ import annotations

from collections.abc import Sequence

from synbt_aug.data.unpainted import check_unpainted, contradicting
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.transform.notices import Notices


def look_at_unpainted(
    names: Sequence[str],
    painted: Sequence[int],
    settings: InjectionSettings,
    notices: Notices,
    recomputed: Sequence[int] = (),
) -> None:
    """Name the channels that are painted, and those that are not.

    Args:
        names: Of all channels that a network may see.
        painted: Positions of the scans of the series among them, pre first.
        settings: With `unpainted_channels`.
        notices: Warn of channels that contradict the label where these are allowed; other
            sequences, such as T2, are only logged.
        recomputed: Positions of its subtractions.

    Raises:
        SynBTError: If a channel would contradict the label and the setting is "refuse".
    """
    told = check_unpainted(
        names,
        painted,
        settings.unpainted_channels,
        recomputed=recomputed,
        allow='unpainted_channels="allow"',
    )
    if told is None:
        return
    if contradicting(names, (*painted, *recomputed)):
        notices.warn(told)
    else:
        notices.log(told)
