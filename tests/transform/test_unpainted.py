"""Channels that a transform leaves as they are: refused, warned of, logged, or none."""

from __future__ import annotations

import warnings

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.transform import Notices, look_at_unpainted

ALLOW = InjectionSettings(unpainted_channels="allow")


def test_a_later_phase_is_refused_and_where_allowed_told_once() -> None:
    names, notices = ["pre", "post1", "post2"], Notices()
    with pytest.raises(SynBTError, match='missing in 2: post2.*unpainted_channels="allow"'):
        look_at_unpainted(names, [0, 1], InjectionSettings(), notices)
    with pytest.warns(UserWarning, match="not painted: 2: post2; they contradict the label"):
        look_at_unpainted(names, [0, 1], ALLOW, notices)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        look_at_unpainted(names, [0, 1], ALLOW, notices)


def test_another_sequence_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    notices = Notices()
    for _ in range(2):
        look_at_unpainted(["pre", "post", "t2"], [0, 1], InjectionSettings(), notices)
    assert caplog.text.count("not painted: 2: t2.") == 1


def test_a_pair_alone_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        look_at_unpainted(["", ""], [1, 0], InjectionSettings(), Notices())
    assert not caplog.text
