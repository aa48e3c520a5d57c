"""Appearance: five numbers, known from formulas on made-up tumors."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from analytic import axis_orders, ball, ellipsoid, examples, reorder, seeded
from synbt_aug.errors import SynBTError
from synbt_aug.tumor.appearance import (
    APPEARANCE_INPUTS,
    CATEGORIES,
    CENTRE,
    SPREAD,
    Appearance,
    measure_appearance,
)

SIDE = 48
TUMOR = ball(SIDE, 9)
SHAPE = (SIDE,) * 3


def scan(tumor: tuple[float, float], around: tuple[float, float], mask: Tensor = TUMOR) -> Tensor:
    """Even levels inside and outside, in units of the reference range, as `to_linear` gives."""
    level = torch.tensor(around).view(2, 1, 1, 1).expand(2, *mask.shape).clone()
    level[:, mask] = torch.tensor(tumor).view(2, 1)
    return 2 * level - 1


# --- measuring ---


@given(
    pre=st.floats(0.1, 1), post=st.floats(0.1, 4), gain=st.floats(-0.05, 1), base=st.floats(0.1, 1)
)
@examples(15)
def test_an_even_tumor_in_even_tissue_is_measured_exactly(
    pre: float, post: float, gain: float, base: float
) -> None:
    found = measure_appearance(scan((pre + gain, base + post), (pre, base)), TUMOR)
    assert found.enhancement == pytest.approx(post, abs=1e-4)
    assert found.pre_contrast == pytest.approx(gain, abs=1e-4)
    assert found.heterogeneity == pytest.approx(0.0, abs=1e-3)
    assert found.rim == pytest.approx(1.0, abs=1e-4)
    assert found.category == "mass"


def test_the_shell_lies_two_to_six_millimetres_away() -> None:
    signal = scan((0.4, 1.0), (0.4, 0.4))
    distance = (torch.stack(torch.meshgrid(*[torch.arange(SIDE) - 23.5] * 3, indexing="ij"))).norm(
        dim=0
    )
    near, far = distance < 9 + 1.5, distance > 9 + 7.5
    disturbed = signal.clone()
    disturbed[:, (near & ~TUMOR) | far] = 5.0
    assert measure_appearance(disturbed, TUMOR) == measure_appearance(signal, TUMOR)


def test_tissue_that_does_not_count_is_left_out_of_the_shell() -> None:
    signal = scan((0.4, 1.0), (0.4, 0.4))
    signal[:, :, :, 24:] = torch.where(TUMOR[:, :, 24:], signal[:, :, :, 24:], torch.tensor(5.0))
    around = torch.ones(SHAPE, dtype=torch.bool)
    around[:, :, 24:] = False
    assert measure_appearance(signal, TUMOR, around=around).enhancement == pytest.approx(0.6)
    assert measure_appearance(signal, TUMOR).enhancement != pytest.approx(0.6, abs=0.1)


def test_heterogeneity_is_the_coefficient_of_variation() -> None:
    signal = scan((0.4, 1.0), (0.4, 0.4))
    noise = torch.randn(SHAPE, generator=seeded()) * 0.2
    signal[1] += 2 * noise
    assert measure_appearance(signal, TUMOR).heterogeneity == pytest.approx(0.2, rel=0.05)


def rimmed(periphery: float, core: float) -> Tensor:
    signal = scan((0.4, periphery), (0.4, 0.3))
    signal[1, ball(SIDE, 5)] = 2 * core - 1
    return signal


def test_a_bright_periphery_is_a_rim() -> None:
    found = measure_appearance(rimmed(1.2, 0.6), TUMOR)
    assert found.rim == pytest.approx(2.0, rel=0.05)
    assert found.category == "rim"


def test_a_bright_core_is_no_rim() -> None:
    found = measure_appearance(rimmed(0.8, 1.2), TUMOR)
    assert found.rim == pytest.approx(0.8 / 1.2, rel=0.05)
    assert found.category == "mass"


def test_a_ragged_shape_is_a_non_mass_and_a_smooth_one_a_mass() -> None:
    sheet = torch.zeros(SHAPE, dtype=torch.bool)
    sheet[22:25, 9:39, 9:39] = True
    signal = scan((0.4, 1.0), (0.4, 0.4), sheet)
    assert measure_appearance(signal, sheet).category == "non-mass"
    smooth = ellipsoid(SHAPE, (24, 24, 24), (14, 9, 8))
    assert measure_appearance(scan((0.4, 1.0), (0.4, 0.4), smooth), smooth).category == "mass"


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (2.0, 2.0, 2.0), (1.0, 1.0, 3.0)])
def test_the_numbers_do_not_depend_on_the_voxel_size(spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(48 / mm) for mm in spacing)
    mask = ellipsoid(shape, (24, 24, 24), (10, 10, 10), spacing)
    core = ellipsoid(shape, (24, 24, 24), (6, 6, 6), spacing)
    signal = scan((0.4, 1.2), (0.4, 0.3), mask)
    signal[1, core] = 2 * 0.6 - 1
    found = measure_appearance(signal, mask, spacing)
    assert found.category == "rim"
    assert found.rim == pytest.approx(2.0, rel=0.2)
    # .6 in (6 / 10)^3 = 21.6 % of the volume, 1.2 in the rest.
    assert found.enhancement == pytest.approx(0.216 * 0.6 + 0.784 * 1.2 - 0.3, rel=0.06)


def test_the_numbers_do_not_know_the_order_of_the_axes() -> None:
    mask = ellipsoid(SHAPE, (24, 22, 26), (11, 8, 6))
    signal = torch.rand((2, *SHAPE), generator=seeded()) + mask
    expected, _ = measure_appearance(signal, mask).to_model()
    for order, flip in axis_orders()[::5]:
        found = measure_appearance(reorder(signal, order, flip), reorder(mask, order, flip))
        assert torch.allclose(found.to_model()[0], expected, atol=1e-3)


def test_a_tumor_too_thin_for_a_core_has_no_rim() -> None:
    thin = ellipsoid(SHAPE, (24, 24, 24), (14, 14, 2))
    signal = torch.rand((2, *SHAPE), generator=seeded())
    assert measure_appearance(signal, thin).rim == 1.0


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(SynBTError, match="needs a tumor, got an empty mask"):
        measure_appearance(scan((1, 1), (0, 0)), torch.zeros(SHAPE, dtype=torch.bool))


def test_a_tumor_without_surroundings_is_measured_all_the_same() -> None:
    everything = torch.ones(SHAPE, dtype=torch.bool)
    found = measure_appearance(torch.zeros(2, *SHAPE), everything)
    assert found.enhancement == pytest.approx(0.0) and found.pre_contrast == pytest.approx(0.0)


# --- values ---


@pytest.mark.parametrize(
    "values, message",
    [
        ({"category": "cyst"}, "category needs one of 'mass', 'rim', 'non-mass', got 'cyst'"),
        ({"enhancement": -1.0}, "enhancement needs a number from -0.9 to 20, got -1"),
        ({"heterogeneity": 3.5}, "heterogeneity needs a number from 0 to 3, got 3.5"),
        ({"rim": 0.0}, "rim needs a number from 0.05 to 20, got 0"),
        ({"pre_contrast": 21.0}, "pre_contrast needs a number from -5 to 20, got 21"),
        ({"enhancement": float("nan")}, "enhancement needs a number .* got nan"),
    ],
)
def test_numbers_that_no_tumor_has_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        Appearance(**values)  # type: ignore[arg-type]


def test_what_is_wished_replaces_and_the_rest_stays() -> None:
    own = Appearance(0.8, 0.2, 1.1, 0.3, "mass")
    assert own.updated(Appearance(rim=2.0, category="rim")) == Appearance(0.8, 0.2, 2.0, 0.3, "rim")
    assert own.updated(Appearance()) == own
    # Zero is a wish, too.
    assert own.updated(Appearance(pre_contrast=0.0)).pre_contrast == 0.0


def test_an_appearance_survives_json() -> None:
    own = Appearance(0.8, None, 1.1, -0.3, "rim")
    assert Appearance.from_dict(json.loads(json.dumps(own.to_dict()))) == own


# --- the network's input ---


def test_the_average_tumor_is_zero_to_the_network() -> None:
    average = Appearance(math.expm1(CENTRE[0]), CENTRE[1], math.exp(CENTRE[2]), CENTRE[3])
    values, known = average.to_model()
    assert values.tolist() == pytest.approx([0.0] * 7, abs=1e-6)
    assert known.tolist() == [1, 1, 1, 1, 0, 0, 0]


def test_one_spread_more_is_one_to_the_network() -> None:
    numbers = [c + s for c, s in zip(CENTRE, SPREAD, strict=True)]
    shifted = Appearance(math.expm1(numbers[0]), numbers[1], math.exp(numbers[2]), numbers[3])
    assert shifted.to_model()[0][:4].tolist() == pytest.approx([1.0] * 4)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_is_one_of_three_inputs(category: str) -> None:
    values, known = Appearance(category=category).to_model()
    assert values[4:].tolist() == [float(c == category) for c in CATEGORIES]
    assert known.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert len(values) == len(APPEARANCE_INPUTS)


def test_nothing_known_is_all_zeros() -> None:
    values, known = Appearance().to_model()
    assert not values.any() and not known.any()


def test_extremes_are_held_at_four_spreads() -> None:
    values, _ = Appearance(enhancement=20.0, pre_contrast=-5.0).to_model()
    assert values[0] == 4.0 and values[3] == -4.0
