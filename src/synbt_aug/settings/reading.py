"""Settings as they are typed: in a `"synbt"` section of dataset.json, and as `SYNBT_*` variables.

Text becomes values here, and misspelt names are refused; whether a value is in range is for the
settings themselves to say.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.support.ranges import read_range, shown

PREFIX = "SYNBT_"

#: Settings of nnU-Net's trainer alone. They may be set where another host reads the rest.
TRAINER_SETTINGS = (
    "num_epochs",
    "num_iterations_per_epoch",
    "num_val_iterations_per_epoch",
    "fit_cases",
    "examples",
    "graphs",
    "lookahead",
)

#: Variables that are no settings: the start-up hook's, the command line's, the user folder's, the
#: tests'.
_NO_SETTINGS = ("no_hook", "traceback", "home", "real_data", "real_slices")

_YES_OR_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def from_section(section: Mapping[str, Any], annotations: Mapping[str, str]) -> dict[str, Any]:
    """The values of a `"synbt"` section.

    Args:
        section: Of dataset.json.
        annotations: Of the settings, by name.

    Raises:
        SynBTError: If a name is unknown or a value cannot be read.
    """
    known = {*annotations, *TRAINER_SETTINGS}
    if unknown := sorted(set(section) - known):
        near = nearest(unknown[0], annotations)
        raise SynBTError(
            f'The "synbt" section of dataset.json has no setting called '
            f"{', '.join(unknown)}.{f' Did you mean {near}?' if near else ''} There are: "
            f"{', '.join(sorted(annotations))}."
        )
    return {
        name: read_setting(name, value, annotations[name])
        for name, value in section.items()
        if name in annotations
    }


def from_variables(
    environment: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    """The values of `SYNBT_*` variables.

    Args:
        environment: `os.environ`, or in place of it.
        annotations: Of the settings, by name.

    Raises:
        SynBTError: If a variable is no setting, or its text cannot be read: a misspelt one would
            train for days with the default.
    """
    elsewhere = {*TRAINER_SETTINGS, *_NO_SETTINGS} - set(annotations)
    found = {}
    for variable, text in environment.items():
        name = variable[len(PREFIX) :].lower()
        if not variable.startswith(PREFIX) or name in elsewhere:
            continue
        if name not in annotations:
            names = ", ".join(sorted(PREFIX + known.upper() for known in annotations))
            near = nearest(name, annotations)
            hint = (
                f" There are: {names}."
                if near is None
                else (f" Did you mean {PREFIX}{near.upper()}?")
            )
            raise SynBTError(
                f"There is no setting {variable}.{hint} Correct its name, or type `unset "
                f"{variable}`."
            )
        found[name] = read_setting(name, text, annotations[name])
    return found


def nearest(name: str, names: Collection[str]) -> str | None:
    """The name that was meant: the only one that begins so, or one that is spelt much like it."""
    begun = [known for known in names if known.startswith(name)]
    near = begun if len(begun) == 1 else difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    return near[0] if near else None


def read_setting(name: str, value: Any, annotation: str) -> Any:
    """A setting by its annotation, such as `float | Range | None`.

    Args:
        name: Its name.
        value: Text is read; JSON's lists become tuples, and everything else stays as it is.
        annotation: As the settings class has it.

    Raises:
        SynBTError: If the text cannot be read.
    """
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        return value
    kinds = annotation.split(" | ")
    if "None" in kinds and value.strip().lower() in ("", "none", "null"):
        return None
    needs, read = _reader(kinds)
    try:
        return read(value.strip())
    except (KeyError, ValueError) as error:
        raise SynBTError(
            f"The setting {name} ({PREFIX}{name.upper()}) needs {needs}, got {value!r}."
        ) from error


def _reader(kinds: list[str]) -> tuple[str, Callable[[str], Any]]:
    """What a setting of such an annotation needs, in words, and what reads it."""
    if "tuple[int, ...]" in kinds:
        return "whole numbers, such as 2,3", _read_numbers
    if "WholeRange" in kinds:
        return "a whole number, or a range such as 1:3", lambda text: read_range(text, int)
    if "Range" in kinds:
        return "a number, or a range such as 10:30", lambda text: read_range(text, float)
    if "bool" in kinds:
        return "true or false", lambda text: _YES_OR_NO[text.lower()]
    if "int" in kinds:
        return "a whole number", int
    if "float" in kinds:
        return "a number", float
    return "a word", str


def _read_numbers(text: str) -> tuple[int, ...]:
    """`2,3`; brackets may be around it."""
    parts = text.replace(" ", "").strip("[]()").split(",")
    return tuple(int(part) for part in parts if part)


def type_setting(value: Any, annotation: str) -> str:
    """A setting as `read_setting` reads it."""
    if not isinstance(value, tuple):
        return str(value)
    return shown(value) if "Range" in annotation else ",".join(map(str, value))
