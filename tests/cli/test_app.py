from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer

import synbt_aug
from synbt_aug.cli import console
from synbt_aug.cli.app import app
from synbt_aug.errors import ExtraMissingError, SynBTError


def test_help_names_the_commands(synbt: Callable) -> None:
    said = synbt("--help")
    assert said.code == 0
    for command in ("demo", "synthesize", "phantom", "doctor", "train"):
        assert command in said.out


def _commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command that has none below it, as it is typed."""
    below = getattr(command, "commands", {}).items()
    return [found for name, one in below for found in _commands(one, (*path, name))] or [path]


def _written(command: Any) -> list[str]:
    """Every word of a command's help and its options', as in the source."""
    texts = [command.help or "", *(getattr(p, "help", "") or "" for p in command.params)]
    return " ".join(texts).replace("`", "").split()


@pytest.mark.parametrize("path", _commands(typer.main.get_command(app)), ids=" ".join)
def test_help_shows_every_word_that_was_written(
    synbt: Callable, monkeypatch: pytest.MonkeyPatch, path: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    command = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    shown = synbt(*path, "--help").out
    assert [word for word in _written(command) if word not in shown] == []


@pytest.mark.parametrize("path", _commands(typer.main.get_command(app)), ids=" ".join)
def test_a_seed_that_no_generator_takes_is_a_usage_error(
    synbt: Callable, path: tuple[str, ...]
) -> None:
    said = synbt(*path, "--seed", 2**64)
    assert said.code == 2
    # Splits are drawn by SHA-256, which takes any number; other commands draw nothing.
    known = ("Invalid value for '--seed'", "No such option", "Missing argument")
    assert any(words in said.err for words in known), said.err
    if path[0] in ("synthesize", "preview", "phantom", "train", "demo", "realism"):
        assert "Invalid value for '--seed'" in said.err


def test_the_version_is_the_packages(synbt: Callable) -> None:
    assert synbt("--version").out.strip() == f"synbt-aug {synbt_aug.__version__}"


def test_help_loads_neither_torch_nor_nibabel() -> None:
    code = (
        "import sys\nfrom synbt_aug.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'nibabel', 'monai', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_an_unknown_command_is_a_usage_error(synbt: Callable) -> None:
    said = synbt("paint")
    assert said.code == 2 and "No such command" in said.err


def test_our_errors_are_one_line_without_traceback(synbt: Callable) -> None:
    said = synbt("phantom", "-o", "/dev/null/x", "-n", 1)
    assert said.code == 2
    assert said.err.startswith("Error: The output folder must be writable")
    assert said.err.count("\n") == 1


def test_values_are_ours_to_explain_only_where_we_raised() -> None:
    def caught(action: Callable[[], object]) -> BaseException:
        with pytest.raises(Exception) as info:
            action()
        return info.value

    ours = caught(lambda: console.seconds("soon"))
    theirs = caught(lambda: int("soon"))
    assert console.sentence_for(ours) is not None
    assert console.sentence_for(theirs) is None
    assert console.sentence_for(SynBTError("two\n lines")) == "two lines"
    assert console.sentence_for(MemoryError()).startswith("Out of memory")


def test_a_missing_extra_names_what_to_type() -> None:
    said = str(ExtraMissingError("Training", "train", "lightning-fabric"))
    assert "pip install 'synbt-aug[train]'" in said and "lightning-fabric" in said


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("45m", 2700), ("1.5h", 5400), ("1:30:05", 5405)]
)
def test_times_read_in_seconds(text: str, value: float) -> None:
    assert console.seconds(text) == value


@pytest.mark.parametrize("text", ["90", "1:3:0", "-5m", "1d"])
def test_times_without_a_unit_are_refused(text: str) -> None:
    with pytest.raises(SynBTError, match="90s, 45m, 1.5h or 1:30:00"):
        console.seconds(text)


def test_the_package_offers_its_names_lazily() -> None:
    assert "BreastVolume" in dir(synbt_aug)
    assert synbt_aug.BreastVolume.__module__ == "synbt_aug.volume"
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = synbt_aug.Nonsense
