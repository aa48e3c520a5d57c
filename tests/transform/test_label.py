"""Labels as hosts hold them: the nearest whole number; where values are unclear, it is told."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.transform import Notices
from synbt_aug.transform.label import read_label

SIGNAL = torch.arange(8.0).view(2, 2, 2)


def read(label: Tensor, **settings: Any) -> Tensor:
    return read_label(label, SIGNAL, InjectionSettings(**settings), Notices())


def holding(*values: float, dtype: torch.dtype = torch.uint8) -> Tensor:
    label = torch.zeros(8)
    label[: len(values)] = torch.tensor(values)
    return label.view(2, 2, 2).to(dtype)


@pytest.fixture
def quiet() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "dtype",
    [torch.bool, torch.uint8, torch.uint16, torch.int8, torch.int64, torch.float16, torch.float64],
)
def test_a_mask_of_any_type_is_read_without_a_word(dtype: torch.dtype) -> None:
    found = read(holding(0, 1, 1, dtype=dtype))
    assert found.dtype == torch.int32 and found.flatten().tolist() == [0, 1, 1, 0, 0, 0, 0, 0]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("value", [0.9999, 1.0001, 0.995])
def test_a_rounded_float_is_the_whole_number(value: float) -> None:
    assert read(holding(value, dtype=torch.float32)).flatten()[0] == 1


def test_an_interpolated_label_is_read_as_the_nearest_and_told() -> None:
    with pytest.warns(UserWarning, match="between whole numbers, such as 0.7.*nearest neighbour"):
        found = read(holding(0.7, 0.3, 1.0, dtype=torch.float32))
    assert found.flatten()[:3].tolist() == [1, 0, 1]


@pytest.mark.parametrize("value", [255, 2])
def test_a_value_that_no_setting_names_is_told_with_the_settings_that_would(value: int) -> None:
    with pytest.warns(
        UserWarning,
        match=rf"holds {value}, which no setting names.*set tumor_label={value}; if tumors may "
        rf"replace it, paint_over=\({value},\)",
    ):
        read(holding(0, value))


def test_each_such_value_is_told_once() -> None:
    notices = Notices()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for label in (holding(2), holding(2, 3), holding(3, 2)):
            read_label(label, SIGNAL, InjectionSettings(), notices)
    assert [str(one.message).split(",")[0] for one in found] == [
        "SynBT: the label holds 2",
        "SynBT: the label holds 3",
    ]


@pytest.mark.usefixtures("quiet")
def test_values_that_settings_name_are_not_told() -> None:
    read(holding(4, 2, 3), tumor_label=4, paint_over=(2,), roi_labels=(3,))


def test_minus_one_on_signal_is_told_and_on_padding_is_not() -> None:
    label = holding(-1, -1, dtype=torch.int8)
    with pytest.warns(UserWarning, match=r"-1 where the image has signal.*label.to\(torch.uint8\)"):
        assert read(label).flatten()[0] == -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_label(label, torch.zeros(2, 2, 2), InjectionSettings(), Notices())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    with pytest.raises(SynBTError, match="whole numbers, got NaN or infinite"):
        read(holding(value, dtype=torch.float32))


def test_a_complex_label_is_refused() -> None:
    with pytest.raises(SynBTError, match="whole numbers, got torch.complex64"):
        read(holding(1, dtype=torch.complex64))
