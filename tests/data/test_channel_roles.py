"""What channels hold, by whole words of their names."""

from __future__ import annotations

import pytest

from synbt_aug.data.channel_roles import Role, phase_numbers, roles_of


@pytest.mark.parametrize(
    ("role", "names"),
    [
        (Role.PRE, "pre|T1w_preContrast|precontrast-1|PRE.GD|t1 non-enhanced|T1_without_contrast"),
        (Role.POST, "post|post1|T1c_post_02|postdose|T1Post|T1ce_gd|contrast|pre-op post-contrast"),
        (Role.DERIVED, "sub|Subtraction_1|post minus pre|post-pre|MIP_post|wash_in|Ktrans"),
        (Role.OTHER, "T2|T2w_post|T2_compressed|DWI b800|ADC|STIR_pre|lesion mask|pre_seg"),
        (
            Role.UNKNOWN,
            "T1|DCE_0|compressed|expression|posterior|imposter|presence|c1|zscore|pre-treatment|"
            "post_processed|DCE contrast|subject|adcock|",
        ),
    ],
)
def test_words_count_whole(role: Role, names: str) -> None:
    for name in names.split("|"):
        assert roles_of([name]) == [role], name


def test_beside_a_t0_the_names_t1_and_t2_are_time_points() -> None:
    assert roles_of(["t0", "t1", "t2"]) == [Role.UNKNOWN] * 3
    assert roles_of(["T1", "T2"]) == [Role.UNKNOWN, Role.OTHER]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["DCE_0", "DCE_1", "T2"], [0, 1, None]),
        (["T1", "T2"], [None, None]),
        (["t0", "t1", "t2"], [0, 1, 2]),
        (["T1_0", "T1_1"], [0, 1]),
        (["phase 3 of 5", "phase 4 of 5"], [None, None]),
        (["a_1", "b_2"], [None, None]),
        (["pre", "post2", "post10"], [None, 2, 10]),
        (["x_1", "x_01"], [None, None]),
    ],
)
def test_a_series_is_names_that_differ_in_their_last_number(
    names: list[str], numbers: list[int | None]
) -> None:
    assert phase_numbers(names) == numbers
