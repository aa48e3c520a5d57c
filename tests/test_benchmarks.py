"""Programs of benchmarks/ still start: their imports are there, and they say how to be called."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from synbt_aug.errors import ExtraMissingError

FOLDER = Path(__file__).parents[1] / "benchmarks"

SCRIPTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.py"))}
PROGRAMS = [name for name, text in SCRIPTS.items() if '__name__ == "__main__"' in text]

pytestmark = pytest.mark.skipif(not SCRIPTS, reason="benchmarks are in the repository alone")


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """They import each other by their plain names."""
    monkeypatch.syspath_prepend(FOLDER)


def imported(name: str) -> ModuleType:
    """A benchmark's module; skips where an optional package that it needs is not installed."""
    try:
        return importlib.import_module(name)
    except ExtraMissingError as error:
        pytest.skip(str(error))
    except ModuleNotFoundError as error:
        if error.name != "torchio":
            raise
        pytest.skip("torchio is not installed")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_benchmark_asked_for_help_says_what_it_measures(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = imported(name)
    monkeypatch.setattr("sys.argv", [f"{name}.py", "--help"])
    # Lines long enough that none is wrapped.
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert not ended.value.code
    assert (module.__doc__ or "").splitlines()[0] in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in SCRIPTS if name not in PROGRAMS])
def test_what_benchmarks_share_imports(name: str) -> None:
    assert imported(name).__doc__


def test_the_readme_of_benchmarks_lists_every_program() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in PROGRAMS if f"`{name}.py`" not in readme] == []
