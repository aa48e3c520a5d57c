"""Channels that stay as they are where a tumor is painted."""

from __future__ import annotations

import pytest

from synbt_aug.data.unpainted import check_unpainted, contradicting
from synbt_aug.errors import SynBTError

ALLOW = 'unpainted_channels="allow"'


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("pre", "post 1", "post 2", "post 3"), (2, 3)),
        (("pre", "post", "subtraction"), (2,)),
        (("pre", "post", "MIP", "T2", "ADC"), (2,)),
        (("pre", "post", "T2w", "DWI"), ()),
        (("pre", "post"), ()),
        (("DCE_0", "DCE_1", "DCE_2"), (2,)),
        (("t0", "t1", "t2"), (2,)),
        (("pre", "post", "something"), (2,)),
        (("", "", ""), (2,)),
        (("pre", "post", "pre fat sat"), ()),
    ],
)
def test_later_phases_subtractions_and_unknown_channels_contradict_the_label(
    names: tuple[str, ...], expected: tuple[int, ...]
) -> None:
    assert contradicting(names, (0, 1)) == expected


def test_the_painted_ones_are_left_out_wherever_they_stand() -> None:
    assert contradicting(("post 2", "T2", "post 1", "pre"), (3, 2)) == (0,)


def test_channels_that_contradict_are_refused_with_the_reason_and_what_to_type() -> None:
    with pytest.raises(
        SynBTError,
        match="paints 0: pre, 1: post 1 alone, .* missing in 2: post 2, 4: sub, where real ones "
        'show: .* contradict .*all the same with unpainted_channels="allow"',
    ):
        check_unpainted(("pre", "post 1", "post 2", "T2", "sub"), (0, 1), "refuse", allow=ALLOW)


def test_allowed_ones_are_named_with_all_that_is_not_painted() -> None:
    line = check_unpainted(("pre", "post 1", "post 2", "T2"), (0, 1), "allow", allow=ALLOW)
    assert line == (
        "SynBT paints 0: pre, 1: post 1; not painted: 2: post 2, 3: T2; they contradict the label "
        "in 2: post 2."
    )


def test_what_is_painted_is_named_with_what_is_computed_again_and_what_is_left() -> None:
    names = ("post1", "T2", "pre", "post2", "sub")
    line = check_unpainted(names, (2, 0, 3), "refuse", recomputed=(4,), allow=ALLOW)
    assert line == (
        "SynBT paints 2: pre, 0: post1, 3: post2; computed again: 4: sub; not painted: 1: T2."
    )
    line = check_unpainted(("pre", "post1", "post2"), (0, 1, 2), "refuse", allow=ALLOW)
    assert line == "SynBT paints 0: pre, 1: post1, 2: post2."


def test_other_sequences_are_named_and_not_refused() -> None:
    line = check_unpainted(("T2", "post", "pre"), (2, 1), "refuse", allow=ALLOW)
    assert line == "SynBT paints 2: pre, 1: post; not painted: 0: T2."
    assert check_unpainted(("pre", "post"), (0, 1), "refuse", allow=ALLOW) is None
