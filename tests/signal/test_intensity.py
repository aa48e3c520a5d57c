"""The intensity map: where it sends what, what moves it, and that it can be undone."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analytic import FAT, breast, breast_image, ellipsoid, examples, seeded
from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import (
    IntensityReference,
    from_linear,
    from_model,
    in_steps,
    inverse_knee,
    knee,
    measure_reference,
    ranked_value,
    reference_of,
    references_of,
    to_linear,
    to_model,
)

SMALL_MM = (28, 36, 36)
REFERENCE = IntensityReference((10.0, -5.0), (110.0, 45.0))


def pair(pre: torch.Tensor, post: torch.Tensor) -> torch.Tensor:
    return torch.stack([pre, post])


@pytest.mark.parametrize("low, high", [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_references_that_are_no_range_are_refused(low: float, high: float) -> None:
    with pytest.raises(
        SynBTError, match=r"low < high.*in post-contrast.*measure_reference\(image\)"
    ):
        IntensityReference((0.0, low), (1.0, high))


def test_a_reference_survives_json() -> None:
    reference = measure_reference(breast().image)
    assert IntensityReference.from_dict(json.loads(json.dumps(reference.to_dict()))) == reference


def test_a_reference_survives_a_tensor_with_rows_pre_and_post() -> None:
    reference = IntensityReference((1.0, 2.0), (30.0, 40.0))
    assert reference.to_tensor().tolist() == [[1.0, 30.0], [2.0, 40.0]]
    assert reference_of(reference.to_tensor()) == reference
    assert reference_of(torch.full((2, 2), torch.nan)) is None


def test_a_batch_of_tensors_gives_one_reference_a_case() -> None:
    reference = IntensityReference((1.0, 2.0), (30.0, 40.0))
    unknown = torch.full((2, 2), torch.nan)
    batch = torch.stack([reference.to_tensor(), unknown])
    assert references_of(batch) == references_of(list(batch)) == [reference, None]
    assert references_of([reference, None, reference.to_tensor()]) == [reference, None, reference]


@pytest.mark.parametrize("values", [torch.zeros(3, 2, 2), torch.zeros(2), [[0, 1], [0, 1]]])
def test_a_tensor_that_is_not_one_case_s_is_refused(values: Any) -> None:
    with pytest.raises(SynBTError, match=r"of one case need a tensor of shape \(2, 2\), got"):
        reference_of(values)


def test_low_goes_to_minus_one_and_high_to_one_in_each_channel() -> None:
    ends = torch.tensor([[10.0, 110.0, 60.0], [-5.0, 45.0, 20.0]]).view(2, 1, 1, 3)
    s = to_linear(ends, REFERENCE)
    assert torch.equal(s.view(2, 3), torch.tensor([[-1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]]))


def test_half_air_and_half_body_give_a_range_of_two_and_a_half_bodies() -> None:
    half = torch.zeros(8, 8, 8)
    half[4:] = 100.0
    reference = measure_reference(pair(half, 3 * half))
    assert reference.low == (0.0, 0.0)
    assert reference.high == pytest.approx((250.0, 750.0))


def test_ordinary_tissue_lies_within_minus_one_and_one() -> None:
    s = to_linear(breast().image, measure_reference(breast().image))
    assert s.median() > -1.01
    assert ((s >= -1.01) & (s <= 1)).float().mean() > 0.999


@given(
    scale=st.floats(1e-3, 1e3),
    offset=st.floats(-1e3, 1e3),
    seed=st.integers(0, 9),
)
@examples(25)
def test_references_follow_any_affine_change(scale: float, offset: float, seed: int) -> None:
    image = breast_image(seed=seed, extent_mm=SMALL_MM).double()
    before, after = measure_reference(image), measure_reference(scale * image + offset)
    for old, new in zip((*before.low, *before.high), (*after.low, *after.high), strict=True):
        assert new == pytest.approx(scale * old + offset, rel=1e-9, abs=1e-9 * scale)


@given(power=st.integers(-20, 20))
@examples(15)
def test_references_follow_powers_of_two_bitwise(power: int) -> None:
    image, scale = breast_image(extent_mm=SMALL_MM), 2.0**power
    before, after = measure_reference(image), measure_reference(image * scale)
    assert after.low == tuple(scale * v for v in before.low)
    assert after.high == tuple(scale * v for v in before.high)


def test_the_value_of_a_rank_is_that_of_the_sorted_values() -> None:
    values = torch.rand(2, 3, 50, generator=seeded())
    values[0, 0, :5] = values[0, 0, 5]
    values[1, 2, ::2] = torch.inf
    rank = torch.tensor([[0, 25, 49], [7, 7, 24]])[..., None]
    assert torch.equal(ranked_value(values, rank), values.sort().values.gather(-1, rank))


@pytest.mark.parametrize("factor", [0.37, 1.1, 1 / 3, 9.7])
def test_a_level_that_lies_on_the_body_s_threshold_is_none_of_it_in_any_scale(
    factor: float,
) -> None:
    # A quarter of the bright level, 100, is 25: of air and fat it is not above.
    levels, counts = torch.tensor([0.0, 25.0, 60.0, 100.0]), torch.tensor([200, 400, 150, 250])
    image = levels.repeat_interleave(counts).view(1, 10, 10, 10).repeat(2, 1, 1, 1)
    assert measure_reference(image).high == (250.0, 250.0)
    scaled = (image.double() * factor).float()
    assert measure_reference(scaled).high == pytest.approx((250 * factor,) * 2)


@pytest.mark.parametrize(
    "dtype", [torch.int16, torch.uint8, torch.int32, torch.float32, torch.float64, torch.bfloat16]
)
def test_a_type_that_holds_the_signal_moves_no_reference(dtype: torch.dtype) -> None:
    # Of 12 values that all of these types hold.
    image = torch.randint(0, 12, (2, 12, 13, 14), generator=seeded()) * 16
    assert measure_reference(image.to(dtype)) == measure_reference(image)


def test_voxels_without_signal_do_not_count() -> None:
    image = breast().image
    padded = torch.zeros(2, 80, 72, 72)
    padded[:, :56] = image
    valid = torch.zeros(padded.shape[1:], dtype=torch.bool)
    valid[:56] = True
    assert measure_reference(padded, valid) == measure_reference(image)
    assert measure_reference(padded) != measure_reference(image)


def test_fewer_than_64_voxels_are_too_few() -> None:
    valid = torch.zeros(breast().shape, dtype=torch.bool)
    valid[30, 30, :63] = True
    with pytest.raises(SynBTError, match="at least 64 valid voxels, got 63 of 290304"):
        measure_reference(breast().image, valid)
    valid[30, 30, 63] = True
    measure_reference(breast().image, valid)


def test_a_constant_body_is_an_error_that_names_the_channel() -> None:
    image = breast_image()
    image[1] = 3.0
    with pytest.raises(SynBTError, match="the post-contrast channel is constant at 3"):
        measure_reference(image)


def test_a_tumor_of_four_per_cent_moves_no_level_by_a_twentieth() -> None:
    image = breast().image
    tumor = ellipsoid(breast().shape, (30, 36, 36), (14, 14, 14))
    assert 0.035 < tumor.float().mean() < 0.045
    bright = image.clone()
    bright[:, tumor] *= 3
    moved = to_linear(image, measure_reference(bright)) - to_linear(image, measure_reference(image))
    assert moved.abs().max() < 0.05


@pytest.mark.parametrize("axis", [2, 3])
def test_half_the_field_of_view_moves_no_level_by_a_twentieth(axis: int) -> None:
    image = breast().image
    half = image.narrow(axis, 0, image.shape[axis] // 2)
    moved = to_linear(image, measure_reference(half)) - to_linear(image, measure_reference(image))
    assert moved.abs().max() < 0.05


def test_a_large_volume_is_read_at_a_part_of_its_voxels() -> None:
    # 2.1 million voxels: the sample must find the same levels as the whole.
    large = breast_image(extent_mm=(112, 144, 130))
    reference = measure_reference(large)
    for k in range(2):
        ordered = large[k].flatten().sort().values
        exact = ordered[int(0.005 * len(ordered))].item()
        assert reference.low[k] == pytest.approx(exact, abs=0.02)
        assert reference.high[k] - reference.low[k] == pytest.approx(2.5 * FAT[k], rel=0.08)


def test_the_knee_is_the_identity_up_to_one_and_one_plus_log_above() -> None:
    s = torch.tensor([-3.0, 0.0, 0.999, 1.0, math.e, math.e**2])
    assert torch.allclose(knee(s), torch.tensor([-3.0, 0.0, 0.999, 1.0, 2.0, 3.0]))
    assert torch.equal(knee(s)[:4], s[:4])


def test_the_knee_has_no_kink() -> None:
    s = torch.tensor([1 - 1e-3, 1.0, 1 + 1e-3], dtype=torch.float64)
    below, above = knee(s).diff() / 1e-3
    assert below.item() == pytest.approx(1.0, abs=1e-3)
    assert above.item() == pytest.approx(1.0, abs=1e-3)


@given(values=st.lists(st.floats(-50, 50, width=32), min_size=2, max_size=40))
@examples(60)
def test_the_knee_keeps_the_order_and_can_be_undone(values: list[float]) -> None:
    s = torch.tensor(values).sort().values
    q = knee(s)
    assert bool((q.diff() >= 0).all())
    assert torch.allclose(inverse_knee(q), s, rtol=1e-5, atol=1e-6)


def test_stray_network_output_stops_growing_at_55() -> None:
    assert inverse_knee(torch.tensor([5.0, 6.0, 1e9])).tolist() == pytest.approx([math.e**4] * 3)


@pytest.mark.parametrize(("factor", "offset"), [(0.37, 40.0), (1.1, 0.0), (11.3, -900.0)])
@pytest.mark.parametrize("high", [640.0, 500.0, 77.5])
def test_whole_numbers_in_another_scale_are_the_same_in_steps(
    high: float, factor: float, offset: float
) -> None:
    # Parts of 640 are ties of any grid whose cells begin halfway.
    signal = torch.arange(0.0, 3000.0).view(1, -1, 1, 1).repeat(2, 1, 1, 1)
    scaled = (signal.double() * factor + offset).float()
    there = IntensityReference((offset,) * 2, (factor * high + offset,) * 2)
    q, other = (
        to_model(signal, IntensityReference((0.0,) * 2, (high,) * 2)),
        to_model(scaled, there),
    )
    assert not torch.equal(q, other)
    assert torch.equal(in_steps(q), in_steps(other))


def test_steps_are_a_256th_and_move_nothing_by_more_than_half_of_one() -> None:
    q = torch.linspace(-1.0, 5.0, 10_001)
    steps = in_steps(q)
    assert (steps - q).abs().max() <= 0.5 / 256 + 1e-6
    apart = steps.unique().diff()
    assert torch.allclose(apart, torch.full_like(apart, 1 / 256), atol=1e-6)


@given(
    low=st.floats(-1e3, 1e3),
    width=st.floats(1.0, 1e3),
    shares=st.lists(st.floats(-1, 20), min_size=1, max_size=20),
)
@examples(60)
def test_the_map_can_be_undone(low: float, width: float, shares: list[float]) -> None:
    reference = IntensityReference((low, 0.0), (low + width, 1.0))
    share = torch.tensor(shares)
    x = pair(low + width * share, share).unsqueeze(-2).unsqueeze(-2)
    tolerance = 1e-5 * (width * 20 + abs(low))
    assert torch.allclose(from_model(to_model(x, reference), reference), x, atol=tolerance)
    assert torch.allclose(from_linear(to_linear(x, reference), reference), x, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float16, torch.float64])
def test_the_map_answers_in_float32_whatever_it_is_given(dtype: torch.dtype) -> None:
    x = torch.arange(2 * 27).view(2, 3, 3, 3)
    assert to_model(x.to(dtype), REFERENCE).dtype == torch.float32
    assert torch.equal(to_model(x.to(dtype), REFERENCE), to_model(x.float(), REFERENCE))


def test_a_batch_is_mapped_as_its_members() -> None:
    batch = torch.rand(3, 2, 4, 4, 4, generator=seeded()) * 200
    assert torch.equal(to_model(batch, REFERENCE)[1], to_model(batch[1], REFERENCE))


def test_range_is_high_less_low_of_each_channel() -> None:
    assert REFERENCE.range(torch.zeros(1)).flatten().tolist() == [100.0, 50.0]
    assert REFERENCE.range(torch.zeros(1)).shape == (2, 1, 1, 1)
