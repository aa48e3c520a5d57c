"""Synthetic breast tumors in DCE-MRI, painted while a segmentation network trains.

`import synbt_aug` itself loads nothing heavy: the names below are imported on first use, so that
`synbt --help` answers at once and a data-loading worker pays for what it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from synbt_aug.errors import SynBTError
    from synbt_aug.injector import SynBTInjector
    from synbt_aug.phantom import PhantomSettings, make_phantom
    from synbt_aug.settings.injection import InjectionSettings
    from synbt_aug.synthesizer import TumorSynthesizer
    from synbt_aug.tumor.appearance import Appearance
    from synbt_aug.volume import BreastVolume, Synthesis

_HOME = {
    "Appearance": "tumor.appearance",
    "BreastVolume": "volume",
    "InjectionSettings": "settings.injection",
    "PhantomSettings": "phantom",
    "SynBTError": "errors",
    "SynBTInjector": "injector",
    "Synthesis": "volume",
    "TumorSynthesizer": "synthesizer",
    "make_phantom": "phantom",
}

__all__ = [
    "Appearance",
    "BreastVolume",
    "InjectionSettings",
    "PhantomSettings",
    "SynBTError",
    "SynBTInjector",
    "Synthesis",
    "TumorSynthesizer",
    "__version__",
    "make_phantom",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"synbt_aug.{_HOME[name]}"), name)
    raise AttributeError(f"module 'synbt_aug' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
