"""How a transform shows itself in `repr`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from synbt_aug.settings.injection import InjectionSettings


def described(settings: InjectionSettings, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """What differs from the defaults, for `repr`."""
    fields = [f for f in dataclasses.fields(settings) if f.name not in leave_out]
    found = {f.name: (getattr(settings, f.name), f.default) for f in fields}
    return {name: value for name, (value, default) in found.items() if value != default}


def call_text(name: str, arguments: dict[str, Any]) -> str:
    """`Name(a=1, b='x')`."""
    return f"{name}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"
