"""Types that torch stores and cannot calculate with: widened, painted, cut to their own range."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.transform import (
    calculable,
    check_holds,
    painted_image,
    painted_label,
    signal_of,
)

UNSIGNED = [torch.uint16, torch.uint32, torch.uint64]
SUPPORT = torch.tensor([True, True, False, True]).view(1, 1, 4)


def row(*values: float) -> Tensor:
    return torch.tensor(values).view(1, 1, -1)


@pytest.mark.parametrize("dtype", UNSIGNED)
def test_unsigned_integers_become_types_that_compare(dtype: torch.dtype) -> None:
    stored = torch.tensor([0, 7, 40000]).to(dtype)
    assert (calculable(stored) >= 7).tolist() == [False, True, True]


def test_what_can_be_calculated_with_is_not_copied_and_has_no_gradient() -> None:
    image = torch.ones(3, requires_grad=True)
    found = calculable(image)
    assert found.data_ptr() == image.data_ptr() and not found.requires_grad


def test_complex_numbers_and_masks_are_no_signal() -> None:
    with pytest.raises(SynBTError, match=r"^The scan needs real-valued .*complex64.*image.abs\(\)"):
        signal_of(torch.ones(2, dtype=torch.complex64), "The scan")
    with pytest.raises(SynBTError, match="The scan needs signal, got torch.bool: this is a mask"):
        signal_of(torch.ones(2, dtype=torch.bool), "The scan")


@pytest.mark.parametrize(
    "dtype, written",
    [
        (torch.uint8, [255, 0, 9, 12]),
        (torch.uint16, [65535, 0, 9, 12]),
        (torch.int16, [32767, -3, 9, 12]),
        (torch.uint32, [70000, 0, 9, 12]),
    ],
)
def test_integers_are_rounded_and_cut_to_their_own_range(
    dtype: torch.dtype, written: list[int]
) -> None:
    image = torch.full((2, 1, 1, 4), 9).to(dtype)
    new = painted_image(image, {1: row(70000, -3, 5, 12.4)}, SUPPORT)
    assert new.dtype == dtype
    assert new.long().flatten().tolist() == [9] * 4 + written
    assert image.long().unique().tolist() == [9]


def test_floats_are_cut_to_what_they_hold() -> None:
    image = torch.zeros((1, 1, 1, 4), dtype=torch.float16)
    new = painted_image(image, {0: row(1e6, -1e6, 5, 0.5)}, SUPPORT)
    assert new.flatten().tolist() == [65504, -65504, 0, 0.5]


def test_values_of_the_image_s_own_type_are_written_bit_by_bit() -> None:
    image, values = torch.rand(1, 4, 4, 4), torch.rand(4, 4, 4)
    support = torch.rand(4, 4, 4) > 0.5
    new = painted_image(image, {0: values}, support)
    assert torch.equal(new[0][support], values[support])
    assert torch.equal(new[0][~support], image[0][~support])


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint16, torch.int8, torch.float32])
def test_a_label_of_any_type_takes_a_tumor(dtype: torch.dtype) -> None:
    label = torch.zeros((1, 1, 1, 4), dtype=dtype)
    new = painted_label(label, SUPPORT, 1)
    assert new.dtype == dtype and new.float().flatten().tolist() == [1, 1, 0, 1]
    assert not label.float().any()


@pytest.mark.parametrize(
    "dtype, most",
    [
        (torch.bool, 1),
        (torch.int8, 127),
        (torch.uint8, 255),
        (torch.uint16, 65535),
        (torch.float16, 2048),
    ],
)
def test_a_label_that_cannot_hold_the_value_is_refused(dtype: torch.dtype, most: int) -> None:
    check_holds(dtype, most, "'tumor'")
    with pytest.raises(SynBTError, match=f"tumor_label is {most + 1}, more than the type of 'tumo"):
        check_holds(dtype, most + 1, "'tumor'")
