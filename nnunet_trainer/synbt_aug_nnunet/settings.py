"""Settings of a training: what to inject, and how long nnU-Net trains.

Read once, from four places, each stronger than the one before: the defaults, a `"synbt"` section
in dataset.json, `SYNBT_*` variables, and what the trainer's own name says
(`nnUNetTrainerSynBT_1epoch` trains one epoch wherever it runs: its results folder says so).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate import FIT_CASES
from synbt_aug.settings.dataset import settings_for
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.support.number import check_whole

#: Settings that change where and how fast, what is shown or what is let through, but not what is
#: learned.
_FREE = ("generator_device", "fit_cases", "examples", "graphs", "lookahead", "unpainted_channels")


#: Settings that take the place of the base trainer's numbers.
DURATIONS = ("num_epochs", "num_iterations_per_epoch", "num_val_iterations_per_epoch")


@dataclass(frozen=True)
class TrainerSettings(InjectionSettings):
    """`InjectionSettings`, and what nnU-Net has no flags for.

    Args:
        num_epochs: None leaves what the base trainer has (nnU-Net: 1000).
        num_iterations_per_epoch: None leaves nnU-Net's 250.
        num_val_iterations_per_epoch: None leaves nnU-Net's 50.
        fit_cases: Cases measured for the fit verdict at the start; 0 leaves it out, fewer than 3
            leave it undecided.
        examples: Pictures of injected patches that are saved beside the results.
        graphs: Whether a GPU replays painting and writing as CUDA graphs once a window shape has
            come twice, with the same tumors. Off: it was not yet run on one.
        lookahead: Whether a thread paints the next batch while the network trains on this one,
            with the same tumors; on a GPU on a stream of its own. Off: it was not yet run on one.

    Raises:
        SynBTError: If a value is out of range.
    """

    num_epochs: int | None = None
    num_iterations_per_epoch: int | None = None
    num_val_iterations_per_epoch: int | None = None
    fit_cases: int = FIT_CASES
    examples: int = 4
    graphs: bool = False
    lookahead: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("graphs", "lookahead"):
            if not isinstance(value := getattr(self, name), bool):
                raise SynBTError(f"{name} needs true or false, got {value!r}.")
        for name in (*DURATIONS, "fit_cases", "examples"):
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
    """The settings in force for a dataset, as `settings_for` finds them.

    Args:
        dataset_json: As nnU-Net holds it.
        fixed: What the trainer's class says; it has the last word.
        environment: In place of `os.environ`.

    Raises:
        SynBTError: If a setting cannot be read, or the dataset lacks a channel or a tumor label.
    """
    fixed = dict(fixed or {})
    names = {f.name for f in dataclasses.fields(TrainerSettings)}
    if unknown := sorted(set(fixed) - names):
        raise SynBTError(
            f"synbt_fixed of the trainer has no setting called {', '.join(unknown)}. There are: "
            f"{', '.join(sorted(names))}."
        )
    return settings_for(dataset_json, TrainerSettings, fixed, environment)
