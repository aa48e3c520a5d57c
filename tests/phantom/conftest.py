"""Small phantoms, made once for all tests of this folder."""

from __future__ import annotations

import pytest

from synbt_aug.phantom import Phantom, PhantomSettings, make_phantom

SMALL = PhantomSettings(shape=(64, 72, 64), spacing=(2.0, 2.0, 2.0), fat_saturation=True)


@pytest.fixture(scope="session")
def small_settings() -> PhantomSettings:
    return SMALL


@pytest.fixture(scope="session")
def small_phantom() -> Phantom:
    """One breast, one post-contrast scan, at least one tumor."""
    return make_phantom(1_000_003, SMALL)
