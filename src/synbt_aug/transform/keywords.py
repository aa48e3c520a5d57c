"""Settings as keywords of a transform: written out in its signature, checked by name.

The names, types and order are those of `InjectionSettings`; a signature repeats them so that
editors can complete them. What was not given stays the settings' own.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.settings.reading import nearest
from synbt_aug.shared_synthesizer import check_files

Init = TypeVar("Init", bound=Callable[..., None])


class _NotGiven:
    def __repr__(self) -> str:
        return "NOT_GIVEN"


#: Stands in a signature for what `settings=` says, or the default of `InjectionSettings`.
NOT_GIVEN: Any = _NotGiven()


def merged_settings(
    who: str,
    settings: InjectionSettings | None,
    given: Mapping[str, Any],
    probability: Mapping[str, float | None] | None = None,
) -> InjectionSettings:
    """Settings of a transform: by name, else those of `settings=`, else the defaults.

    Args:
        who: The transform's name, for errors.
        settings: As passed.
        given: Arguments by name; those that are no settings, or were not given, do not count.
        probability: The library's own name for `probability`, with its value; None: not given.

    Raises:
        SynBTError: If a value is out of range, the two names of `probability` disagree, or a
            file that a setting names is not there.
    """
    if settings is not None and not isinstance(settings, InjectionSettings):
        raise SynBTError(
            f"settings needs InjectionSettings, got {type(settings).__name__}. A dictionary is "
            f"given as {who}(**dictionary)."
        )
    known = {field.name for field in fields(InjectionSettings)}
    values = {k: v for k, v in given.items() if k in known and v is not NOT_GIVEN}
    for name, value in (probability or {}).items():
        if value is not None and values.setdefault("probability", value) != value:
            raise SynBTError(
                f"{name} and probability are one setting, got {value} and "
                f"{values['probability']}. Give one."
            )
    merged = replace(settings or InjectionSettings(), **values)
    check_files(merged)
    return merged


def checked_keywords(**hints: str) -> Callable[[Init], Init]:
    """Make an `__init__` refuse keywords that it lacks with the names that there are.

    Args:
        **hints: For a name that users bring from elsewhere, the sentence that helps:
            `checked_keywords(p="MONAI calls it prob.")`.

    Returns:
        A decorator; the signature stays.
    """

    def decorated(init: Init) -> Init:
        names = list(inspect.signature(init).parameters)[1:]

        @functools.wraps(init)
        def checked(self: Any, *args: Any, **kwargs: Any) -> None:
            if unknown := [name for name in kwargs if name not in names]:
                raise SynBTError(_no_such_setting(type(self).__name__, unknown[0], names, hints))
            init(self, *args, **kwargs)

        return checked  # type: ignore[return-value]

    return decorated


def _no_such_setting(who: str, name: str, names: list[str], hints: Mapping[str, str]) -> str:
    near = nearest(name, names)
    guess = f"Did you mean {near}?" if near else ""
    parts = (f"{who} has no setting called {name}.", hints.get(name, guess))
    return " ".join([*filter(None, parts), f"There are: {', '.join(names)}."])
