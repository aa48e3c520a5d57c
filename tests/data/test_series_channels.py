"""Which channels follow a painted tumor, by their names."""

from __future__ import annotations

import pytest

from synbt_aug.data.series_channels import series_channels


@pytest.mark.parametrize(
    ("names", "pre", "post", "posts", "subtractions"),
    [
        ("post1|T2|pre|post2", 2, 0, (0, 3), ()),
        ("pre|post", 0, 1, (1,), ()),
        ("pre|post10|post2|post1", 0, 3, (3, 2, 1), ()),
        ("pre|post early|post late", 0, 1, (1, 2), ()),
        ("delayed post|pre|early post", 1, 2, (2, 0), ()),
        ("post2|pre|post", 1, 2, (2, 0), ()),
        ("post3|post|post2|pre", 3, 1, (1, 2, 0), ()),
        ("T1 post|pre|T1 post 2", 1, 0, (0, 2), ()),
        ("pre|post a|post b", 0, 2, (1, 2), ()),
        ("pre|post1|post2|post3", 0, 2, (1, 2, 3), ()),
        ("DCE_0|DCE_1|DCE_2|ADC", 0, 1, (1, 2), ()),
        ("t0|t1|t2", 0, 1, (1, 2), ()),
        ("t2|t0|t1", 1, 2, (2, 0), ()),
        ("T1|T1c", 0, 1, (1,), ()),
        ("||", 0, 1, (1,), ()),
        ("pre|post|sub", 0, 1, (1,), (2,)),
        ("sub1|pre|post1|sub2|post2|MIP sub|Ktrans", 1, 2, (2, 4), (0, 3)),
        ("pre|post|post minus pre", 0, 1, (1,), (2,)),
        ("pre|post|wash out", 0, 1, (1,), ()),
    ],
)
def test_further_phases_and_subtractions_are_told_by_their_names(
    names: str, pre: int, post: int, posts: tuple[int, ...], subtractions: tuple[int, ...]
) -> None:
    found = series_channels(names.split("|"), pre, post)
    assert (found.posts, found.subtractions) == (posts, subtractions)
