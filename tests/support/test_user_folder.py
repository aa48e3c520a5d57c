from __future__ import annotations

import sys
from pathlib import Path

import pytest

from synbt_aug.support.user_folder import is_plain_name, user_folder


def test_the_variable_has_the_first_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNBT_HOME", "/somewhere")
    assert user_folder() == Path("/somewhere")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="XDG is Linux's")
def test_linux_keeps_programs_data_where_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNBT_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert user_folder() == Path("/data/synbt-aug")
    # An empty variable counts as none.
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", "/home/me")
    assert user_folder() == Path("/home/me/.local/share/synbt-aug")


@pytest.mark.parametrize("name", ["ours", "ours-fold0", "a.b_c", "7"])
def test_names(name: str) -> None:
    assert is_plain_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "./a", "a/b", "/a", "a\\b", "-a", "a b"])
def test_no_names(name: str) -> None:
    assert not is_plain_name(name)
