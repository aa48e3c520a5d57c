"""Settings given by name, as MONAI's users write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.injection_settings import InjectionSettings


def settings_from(
    who: str,
    own: Collection[str],
    settings: InjectionSettings | None,
    given: dict[str, Any],
    prob: float | None = None,
) -> InjectionSettings:
    """Merge `settings=`, `prob=` and settings by name.

    Args:
        who: The transform's name, for errors.
        own: Its own arguments, for the list in an error.
        settings: In place of the defaults.
        given: By name; these win.
        prob: MONAI's name of `probability`.

    Raises:
        SynBTError: If a name is unknown, or `prob` and `probability` differ.
    """
    if "seed" in given:
        raise SynBTError(
            "seed has no effect in MONAI. Call set_random_state(seed=...) on the transform or its "
            "Compose, or monai.utils.set_determinism(...)."
        )
    known = {f.name for f in dataclasses.fields(InjectionSettings)} - {"seed"}
    if unknown := sorted(set(given) - known):
        raise SynBTError(
            f"{who} has no setting called {', '.join(unknown)}. There are: {', '.join(own)}, "
            f"{', '.join(sorted(known))}."
        )
    values = dict(given)
    if prob is not None and values.setdefault("probability", prob) != prob:
        raise SynBTError(
            f"prob and probability are one setting, got {prob} and {values['probability']}. Give "
            f"one."
        )
    for name in {"paint_over", "roi_labels"} & set(values):
        values[name] = tuple(values[name])
    return dataclasses.replace(settings or InjectionSettings(), **values)


def described(settings: InjectionSettings, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """What differs from the defaults, for `repr`."""
    fields = [f for f in dataclasses.fields(settings) if f.name not in leave_out]
    found = {f.name: (getattr(settings, f.name), f.default) for f in fields}
    return {name: value for name, (value, default) in found.items() if value != default}


def call_text(name: str, arguments: dict[str, Any]) -> str:
    """`Name(a=1, b='x')`."""
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"
