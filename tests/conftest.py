"""Shared by all tests: the real scans, where they exist, and one thread for each process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


def pytest_configure(config: pytest.Config) -> None:
    # Two workers on two cores: more threads than cores make small operations slower.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real scans, named by SYNBT_REAL_DATA; tests that need it skip without."""
    folder = os.environ.get("SYNBT_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real scans are not here (set SYNBT_REAL_DATA to their folder)")
    return Path(folder)


@pytest.fixture(scope="session")
def real_case(real_data: Path) -> Path:
    """The real bilateral case at 1 mm, in MAMA-MIA's layout."""
    folder = real_data / "duke153_1mm"
    if not folder.is_dir():
        pytest.skip(f"no 1 mm case in {real_data}")
    return folder
