"""Progress: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from synbt_aug.support import progress
from synbt_aug.support.progress import Reporter, clock, each


@pytest.fixture
def clockwork(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_at_once_then_now_and_then_and_at_the_end(clockwork: list[float]) -> None:
    said: list[str] = []
    reporter = Reporter("Reading", Console(file=io.StringIO()), said.append)
    for done in range(11):
        reporter.tell(done, 10)
        clockwork[0] += 12
    assert said == [
        "Reading: 0 of 10",
        "Reading: 3 of 10, about 1:24 left",
        "Reading: 6 of 10, about 0:48 left",
        "Reading: 9 of 10, about 0:12 left",
        "Reading: 10 of 10",
    ]


def test_what_was_done_before_does_not_count_for_the_time_left(clockwork: list[float]) -> None:
    said: list[str] = []
    reporter = Reporter("denoiser", Console(file=io.StringIO()), said.append)
    reporter.tell(0.5, 1.0, "step 500")
    clockwork[0] += 60
    reporter.tell(0.75, 1.0, "step 750")
    assert said == ["denoiser: step 500", "denoiser: step 750, about 1:00 left"]


def test_lines_go_to_the_console_where_nobody_takes_them() -> None:
    file = io.StringIO()
    Reporter("[Reading]", Console(file=file)).tell(0, 2)
    assert file.getvalue() == "[Reading]: 0 of 2\n"


def test_a_terminal_gets_a_bar() -> None:
    file = io.StringIO()
    reporter = Reporter("Reading", Console(file=file, force_terminal=True, width=100))
    reporter.tell(1, 2)
    reporter.close()
    assert "Reading" in file.getvalue() and "1 of 2" in file.getvalue()
    assert "left" in file.getvalue()


def test_times_are_read_as_on_a_clock() -> None:
    assert [clock(s) for s in (7.4, 750, 3750)] == ["0:07", "12:30", "1:02:30"]


def test_each_item_is_told_when_it_is_done() -> None:
    said: list[str] = []
    assert list(each("Tumor bank", "abc", said.append)) == ["a", "b", "c"]
    assert said == ["Tumor bank: 0 of 3", "Tumor bank: 3 of 3"]
