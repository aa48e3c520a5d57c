from __future__ import annotations

import pytest

from synbt_aug.data.name_words import words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("T1w_preContrast-2", ("t", "1", "w", "pre", "contrast", "2")),
        ("non-mass.left breast", ("non", "mass", "left", "breast")),
        ("DCE10", ("dce", "10")),
        ("Läsion (groß)", ("läsion", "groß")),
        ("__ -.", ()),
    ],
)
def test_a_name_is_split_into_whole_words_and_numbers(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words
