"""Settings of a training: what to inject, and how long nnU-Net trains.

Read once, from four places, each stronger than the one before: the defaults, a `"synbt"` section
in dataset.json, `SYNBT_*` variables, and what the trainer's own name says
(`nnUNetTrainerSynBT_1epoch` trains one epoch wherever it runs: its results folder says so).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synbt_aug.data.nnunet_raw import breast_labels_of, channels_of, tumor_label_of
from synbt_aug.errors import SynBTError
from synbt_aug.injection_settings import InjectionSettings
from synbt_aug.number import check_whole
from synbt_aug.settings_reading import TRAINER_SETTINGS

#: Settings that change where and how fast, or what is shown, but not what is learned.
_FREE = ("generator_device", "fit_cases", "examples")


@dataclass(frozen=True)
class TrainerSettings(InjectionSettings):
    """`InjectionSettings`, and what nnU-Net has no flags for.

    Args:
        num_epochs: None leaves what the base trainer has (nnU-Net: 1000).
        num_iterations_per_epoch: None leaves nnU-Net's 250.
        num_val_iterations_per_epoch: None leaves nnU-Net's 50.
        fit_cases: Cases looked at for the fit verdict at the start; 0 leaves it out.
        examples: Pictures of injected patches that are saved beside the results.

    Raises:
        SynBTError: If a value is out of range.
    """

    num_epochs: int | None = None
    num_iterations_per_epoch: int | None = None
    num_val_iterations_per_epoch: int | None = None
    fit_cases: int = 20
    examples: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in TRAINER_SETTINGS:
            value, least = getattr(self, name), 0 if name in ("fit_cases", "examples") else 1
            if value is not None:
                object.__setattr__(self, name, check_whole(name, value, least))

    def learned_from(self) -> dict[str, Any]:
        """What decides the result, JSON-ready: two runs that differ here are two experiments."""
        return {name: value for name, value in self.to_dict().items() if name not in _FREE}


def gather_settings(
    dataset_json: Mapping[str, Any],
    fixed: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> TrainerSettings:
    """The settings in force for a dataset.

    Channels, the tumor's label and tissue labels that are not set are read from the names in
    dataset.json.

    Args:
        dataset_json: As nnU-Net holds it.
        fixed: What the trainer's class says; it has the last word.
        environment: In place of `os.environ`.

    Raises:
        SynBTError: If a setting cannot be read, or the dataset lacks a channel or a tumor label.
    """
    section = dataset_json.get("synbt", {})
    if not isinstance(section, Mapping):
        raise SynBTError(
            f'The "synbt" section of dataset.json needs names and values, such as '
            f'{{"probability": 0.3}}, got {section!r}.'
        )
    fixed = dict(fixed or {})
    names = {f.name for f in dataclasses.fields(TrainerSettings)}
    if unknown := sorted(set(fixed) - names):
        raise SynBTError(
            f"synbt_fixed of the trainer has no setting called {', '.join(unknown)}. There are: "
            f"{', '.join(sorted(names))}."
        )
    asked = dataclasses.replace(TrainerSettings.gather(section, environment), **fixed)
    given = set(section) | set(fixed) | _set_by_environment(environment)
    pre, posts = channels_of(
        dataset_json,
        asked.pre_channel if "pre_channel" in given else None,
        asked.post_channel if "post_channel" in given else None,
    )
    label = tumor_label_of(dataset_json, asked.tumor_label if "tumor_label" in given else None)
    if label is None:
        raise SynBTError("SynBT needs a tumor label, but dataset.json names no label.")
    _refuse_unknown_labels(asked.roi_labels, dataset_json.get("labels", {}))
    found: dict[str, Any] = {"pre_channel": pre, "post_channel": posts[0], "tumor_label": label}
    if "paint_over" not in given:
        found["paint_over"] = breast_labels_of(dataset_json, label)
    return dataclasses.replace(asked, **found)


def _refuse_unknown_labels(roi_labels: tuple[int, ...], labels: Mapping[str, Any]) -> None:
    """A value that no case has would leave every case without a site."""
    known = {v for label in labels.values() for v in np.ravel(label).tolist()}
    if unknown := [value for value in roi_labels if value not in known]:
        named = ", ".join(f"{name} {value}" for name, value in labels.items())
        raise SynBTError(
            f"roi_labels names {', '.join(map(str, unknown))}, but dataset.json has no such label. "
            f"There are: {named}."
        )


def _set_by_environment(environment: Mapping[str, str] | None) -> set[str]:
    values = os.environ if environment is None else environment
    return {name[6:].lower() for name in values if name.startswith("SYNBT_")}
