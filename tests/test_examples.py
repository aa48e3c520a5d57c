from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from synbt_aug.weights import shipped_folder

#: Optional packages that an example needs.
NEEDED = {"fabric_training": "lightning_fabric", "torchio_compose": "torchio"}

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.skipif(
    not (shipped_folder() / "manifest.json").is_file(), reason="no shipped weights in this tree"
)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_example_runs(path: Path) -> None:
    if path.stem in NEEDED:
        pytest.importorskip(NEEDED[path.stem])
    runpy.run_path(str(path), run_name="__main__")
