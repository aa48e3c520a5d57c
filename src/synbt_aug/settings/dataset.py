"""The settings in force for an nnU-Net dataset: what is not set is read from its names."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from synbt_aug.data.channels import channel_names, channels_of, list_channels
from synbt_aug.data.dataset_json import check_dataset_json
from synbt_aug.data.label_names import breast_labels_of, label_values, tumor_label_of
from synbt_aug.data.raw_dataset import PaintedPlaces
from synbt_aug.data.series_channels import series_channels
from synbt_aug.data.unpainted import check_unpainted
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.settings.reading import PREFIX
from synbt_aug.volume import MAX_PHASES

S = TypeVar("S", bound=InjectionSettings)


def settings_for(
    dataset_json: Mapping[str, Any],
    kind: type[S],
    fixed: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> S:
    """The settings in force for a dataset.

    Channels, the tumor's label and tissue labels that are not set are read from the names in
    dataset.json.

    Args:
        dataset_json: Its content.
        kind: The settings' class.
        fixed: Values that have the last word.
        environment: In place of `os.environ`.

    Raises:
        SynBTError: If a setting cannot be read, or the dataset lacks a channel or a tumor label.
    """
    check_dataset_json(dataset_json)
    section, fixed = dataset_json.get("synbt", {}), dict(fixed or {})
    asked = dataclasses.replace(kind.gather(section, environment), **fixed)
    variables = os.environ if environment is None else environment
    given = {*section, *fixed}
    given |= {name[len(PREFIX) :].lower() for name in variables if name.startswith(PREFIX)}
    channels = channels_of(
        dataset_json,
        asked.pre_channel if "pre_channel" in given else None,
        asked.post_channel if "post_channel" in given else None,
    )
    label = tumor_label_of(dataset_json, asked.tumor_label if "tumor_label" in given else None)
    if label is None:
        raise SynBTError("SynBT needs a tumor label, but dataset.json names no label.")
    _refuse_unknown_labels(asked.roi_labels, label_values(dataset_json))
    found: dict[str, Any] = {
        "pre_channel": channels.pre,
        "post_channel": channels.post,
        "tumor_label": label,
    }
    series = series_channels(channels.names, channels.pre, channels.post)
    if "post_channels" not in given:
        found["post_channels"] = series.posts[:MAX_PHASES] if len(series.posts) > 1 else ()
    if "subtraction_channels" not in given:
        found["subtraction_channels"] = series.subtractions
    _refuse_unknown_channels(asked, channels.names)
    if "paint_over" not in given:
        found["paint_over"] = breast_labels_of(dataset_json, label)
    return dataclasses.replace(asked, **found)


def places_of(settings: InjectionSettings) -> PaintedPlaces:
    """What of a dataset's files these settings paint, and over what."""
    return PaintedPlaces(
        scans=settings.scans,
        earlier=settings.earlier,
        subtractions=settings.subtraction_channels,
        tumor_label=settings.tumor_label,
        open_labels=settings.open_labels,
        roi_labels=settings.roi_labels,
    )


def unpainted_line(dataset_json: Mapping[str, Any], settings: InjectionSettings) -> str | None:
    """A line on the channels that stay as they are; None where all are painted, or nothing is.

    Args:
        dataset_json: Its content.
        settings: Those in force.

    Raises:
        SynBTError: If such channels would contradict the label, and `unpainted_channels` does not
            allow it.
    """
    if settings.probability == 0:
        return None
    return check_unpainted(
        channel_names(dataset_json),
        settings.scans,
        settings.unpainted_channels,
        recomputed=settings.subtraction_channels,
        allow='SYNBT_UNPAINTED_CHANNELS=allow, or "synbt": {"unpainted_channels": "allow"} in '
        "dataset.json",
    )


def _refuse_unknown_channels(asked: InjectionSettings, names: Sequence[str]) -> None:
    for name in ("post_channels", "subtraction_channels"):
        if unknown := [c for c in getattr(asked, name) if c >= len(names)]:
            raise SynBTError(
                f"{name} names channel {unknown[0]}, which dataset.json does not have. There are "
                f"{list_channels(names)}."
            )


def _refuse_unknown_labels(
    roi_labels: tuple[int, ...], labels: Mapping[str, tuple[int, ...]]
) -> None:
    """A value that no case has would leave every case without a site."""
    known = {value for values in labels.values() for value in values}
    if unknown := [value for value in roi_labels if value not in known]:
        named = ", ".join(f"{name} {', '.join(map(str, v))}" for name, v in labels.items())
        raise SynBTError(
            f"roi_labels names {', '.join(map(str, unknown))}, but dataset.json has no such label. "
            f"There are: {named}."
        )
