"""The values at the door: what they refuse, and what they say then."""

from __future__ import annotations

import pytest
import torch

from analytic import breast_image, seeded
from synbt_aug.errors import SynBTError
from synbt_aug.volume import BreastVolume, Synthesis, unchanged

SHAPE = (4, 5, 6)


def image(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.rand((2, *SHAPE), generator=seeded()) * 100).to(dtype)


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 4, 5, 6), (10, 4, 5, 6), (1, 2, 4, 5, 6)])
def test_an_image_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        SynBTError, match=r"shape \(2, D, H, W\), got .*torch.stack\(\[pre, post\]\)"
    ):
        BreastVolume(torch.rand(shape))


def test_a_slice_is_refused() -> None:
    with pytest.raises(
        SynBTError, match=r"\(2, 1, 5, 6\): an axis of one voxel. Pass whole volumes"
    ):
        BreastVolume(torch.rand(2, 1, 5, 6))


@pytest.mark.parametrize(
    "spacing",
    [(1.0, 1.0), (1.0, 1.0, 0.0), (1.0, -1.0, 1.0), (1.0, 1.0, 21.0), (1, 1, float("nan"))],
)
def test_voxel_sizes_that_no_scanner_makes_are_refused(spacing: tuple[float, ...]) -> None:
    with pytest.raises(
        SynBTError, match=r"three voxel sizes in mm .* pass spacing=\(1.0, 1.0, 1.0\)"
    ):
        BreastVolume(image(), spacing)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["tumor", "forbidden", "valid"])
def test_a_mask_on_another_grid_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(SynBTError, match=rf"needs {name} of shape \(4, 5, 6\).*got \(4, 5, 7\)"):
        BreastVolume(image(), (1.0, 1.0, 1.0), **{name: torch.zeros(4, 5, 7)})


def test_masks_become_boolean_and_spacing_becomes_floats() -> None:
    mask = torch.zeros(SHAPE, dtype=torch.uint8)
    mask[1, 2, 3] = 7
    volume = BreastVolume(image(), (1, 2, 3), tumor=mask)
    assert volume.tumor is not None and volume.tumor.dtype == torch.bool
    assert volume.tumor.nonzero().tolist() == [[1, 2, 3]]
    assert volume.spacing == (1.0, 2.0, 3.0) and all(type(mm) is float for mm in volume.spacing)
    assert volume.forbidden is None and volume.valid is None


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_what_is_no_signal_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(SynBTError, match="needs real-valued signal, got torch"):
        BreastVolume(image(dtype))


def test_types_that_torch_cannot_calculate_with_are_refused_with_a_way_out() -> None:
    with pytest.raises(
        SynBTError, match=r"got torch.uint16. Convert it with tensor.to\(torch.int32\)"
    ):
        BreastVolume(image(torch.uint16))


def test_no_gradient_goes_through_a_volume() -> None:
    asking = image(torch.float32).requires_grad_()
    volume = BreastVolume(asking, roi=torch.rand(asking.shape[1:]).requires_grad_())
    assert volume.roi is not None
    assert not volume.image.requires_grad and not volume.roi.requires_grad
    assert asking.requires_grad and volume.image.data_ptr() == asking.data_ptr()


@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.int16, torch.int32, torch.float16, torch.bfloat16, torch.float64],
)
def test_every_usual_type_passes_the_door_as_it_is(dtype: torch.dtype) -> None:
    given = image(dtype)
    assert BreastVolume(given).image is given


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_signal_that_is_not_finite_is_counted_and_refused(bad: float) -> None:
    broken = image()
    broken[0, 0, 0, :3] = bad
    with pytest.raises(SynBTError, match=r"got 3 NaN or infinite voxels.*torch.nan_to_num"):
        BreastVolume(broken)


@pytest.mark.parametrize("channel, name", [(0, "pre"), (1, "post")])
def test_a_constant_channel_is_refused_by_its_name(channel: int, name: str) -> None:
    empty = image()
    empty[channel] = 7
    with pytest.raises(SynBTError, match=rf"the {name}-contrast channel is constant \(7 in every"):
        BreastVolume(empty)


def test_shape_leaves_the_channels_out() -> None:
    assert BreastVolume(image()).shape == SHAPE


def test_an_unchanged_case_is_the_input_with_a_reason() -> None:
    given = breast_image()
    result = unchanged(given, "no site")
    assert result.image is given
    assert not result.painted and result.reason == "no site" and result.recipe is None
    assert not result.tumor.any() and not result.support.any()
    assert result.tumor.shape == result.support.shape == given.shape[1:]


def test_a_synthesis_without_a_reason_is_painted() -> None:
    nothing = torch.zeros(SHAPE, dtype=torch.bool)
    assert Synthesis(image(), nothing, nothing).painted


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(SynBTError, match=r"needs a torch tensor, got ndarray.*from_numpy"):
        BreastVolume(image().numpy())  # type: ignore[arg-type]
    with pytest.raises(SynBTError, match="needs tumor as a torch tensor, got ndarray"):
        BreastVolume(image(), tumor=image()[0].numpy())  # type: ignore[arg-type]
