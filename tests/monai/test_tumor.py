"""The array transform: what comes out, in which type, where, and by which chance."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Randomizable, Transform
from monai.utils import convert_to_tensor

from analytic import MM, axis_orders, breast, ellipsoid, reorder
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import equivalent_diameter_mm
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug_monai import SynBTTumor

pytestmark = pytest.mark.usefixtures("flat")

Sample = Callable[..., dict[str, Any]]

#: Types that MONAI's users hold images in.
KINDS: dict[str, Callable[[torch.Tensor], Any]] = {
    "array": lambda t: t.numpy(),
    "tensor": lambda t: t,
    "MetaTensor": lambda t: MetaTensor(t),
}


def always(seed: int = 0, **settings: Any) -> SynBTTumor:
    """Paints 9 mm tumors into 1 mm voxels unless told otherwise."""
    given: dict[str, Any] = {"prob": 1.0, "diameter_mm": 9.0, "spacing": MM, **settings}
    return SynBTTumor(**given).set_random_state(seed)


def empty_label(dtype: torch.dtype = torch.uint8) -> torch.Tensor:
    return torch.zeros((1, *breast().shape), dtype=dtype)


def plain(array: Any) -> torch.Tensor:
    return convert_to_tensor(array, track_meta=False)


# --- what comes out ---


def test_it_is_a_transform_and_randomizable_as_monai_means_it() -> None:
    assert isinstance(SynBTTumor(), Transform) and isinstance(SynBTTumor(), Randomizable)
    assert SynBTTumor().prob == 0.5


def test_a_tumor_is_painted_as_the_core_paints_it(flat: TumorSynthesizer) -> None:
    volume = breast()
    transform = always(3)
    image, label = transform(volume.image, empty_label())
    outcome = transform.outcome
    assert outcome["painted"] and outcome["reason"] is None
    core = flat(volume, seed=outcome["recipe"]["seed"], diameter_mm=9.0)
    assert core.painted
    assert torch.equal(image, core.image)
    assert torch.equal(label[0] == 1, core.tumor)
    assert core.recipe == outcome["recipe"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_comes_back_as_it_was_and_painted_alike(kind: str) -> None:
    make, expected = KINDS[kind], always(1)(breast().image, empty_label())
    given = make(breast().image.clone()), make(empty_label())
    found = always(1)(*given)
    for before, after, right in zip(given, found, expected, strict=True):
        assert type(after) is type(before)
        assert after.dtype == before.dtype
        assert torch.equal(plain(after), plain(right))


@pytest.mark.parametrize(
    "dtype", [np.int16, np.uint8, np.uint16, np.int32, np.float16, np.float32, np.float64]
)
def test_dtypes_are_kept_and_the_background_is_bitwise_the_inputs(dtype: type) -> None:
    before = breast().image.round().numpy().astype(dtype)
    kept = before.copy()
    image, label = always()(before, empty_label(torch.int16).numpy())
    assert image.dtype == dtype and label.dtype == np.int16
    assert (label == 1).sum() > 300
    changed = (image != before).any(0)
    assert changed.any() and not changed.all()
    # Support ends 2 mm beyond the label at most: 13 mm across around a 9 mm tumor.
    assert changed.sum() <= 13**3
    assert np.array_equal(before, kept)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.float32, torch.int64])
def test_labels_of_any_type_take_the_tumor(dtype: torch.dtype) -> None:
    _, label = always()(breast().image, empty_label(dtype))
    assert label.dtype == dtype
    assert int((label == 1).sum()) == round(np.pi / 6 * 9**3)


def test_the_input_is_unchanged_and_returned_where_nothing_is_drawn() -> None:
    image, label = breast().image.clone(), empty_label()
    kept = image.clone()
    always()(image, label)
    assert torch.equal(image, kept) and not label.any()
    transform = always(prob=0.0)
    found = transform(image, label)
    assert found[0] is image and found[1] is label
    assert transform.outcome["reason"] == "not drawn" and transform.outcome["recipe"] is None
    assert transform.counts == {"not drawn": 1}


def test_a_metatensor_keeps_its_affine_and_record(sample: Sample) -> None:
    affine = torch.tensor(
        [[0, -1.0, 0, 5], [-1, 0, 0, 7], [0, 0, 1, 9], [0, 0, 0, 1]], dtype=torch.float64
    )
    given = sample(affine=affine)
    before = list(given["image"].applied_operations)
    image, label = always(spacing=None)(given["image"], given["label"])
    for after in (image, label):
        assert torch.equal(after.affine, affine)
        assert after.meta["filename_or_obj"] == "case0.nii.gz"
    assert image.applied_operations == before


@pytest.mark.usefixtures("untracked")
def test_without_tracking_plain_tensors_come_back(sample: Sample) -> None:
    given = sample(spacing=(0.7, 0.7, 2.0))
    painted = always(spacing=None)(given["image"], given["label"])
    left = always(prob=0.0)(given["image"], given["label"])
    for array in (*painted, *left):
        assert type(array) is torch.Tensor
    # The affine still told the voxel size: 9 mm of .98 mm3.
    found = equivalent_diameter_mm(int(painted[1].sum()), (0.7, 0.7, 2.0))
    assert abs(found - 9.0) < 0.3


# --- geometry ---


def test_the_voxel_size_comes_from_the_affine(sample: Sample) -> None:
    given = sample(spacing=(0.7, 0.7, 2.0))
    transform = always(spacing=None, diameter_mm=12.0)
    _, label = transform(given["image"], given["label"])
    assert transform.outcome["recipe"]["spacing"] == [0.7, 0.7, 2.0]
    assert abs(equivalent_diameter_mm(int(label.sum()), (0.7, 0.7, 2.0)) - 12.0) < 0.3


@pytest.mark.parametrize("order, flip", axis_orders()[::5])
def test_any_orientation_has_the_spacing_of_its_array_axes(
    order: tuple[int, int, int], flip: tuple[int, ...]
) -> None:
    spacing = (0.8, 1.1, 1.7)
    volume = breast(spacing)
    affine = torch.zeros((4, 4), dtype=torch.float64)
    affine[3, 3] = 1
    # Array axis k runs along the patient's axis order[k]: column k has that axis's size.
    for k, axis in enumerate(order):
        affine[axis, k] = spacing[axis] * (-1 if k in flip else 1)
    image = MetaTensor(reorder(volume.image, order, flip), affine=affine)
    label = MetaTensor(torch.zeros((1, *image.shape[1:])), affine=affine)
    transform = always(spacing=None)
    _, new = transform(image, label)
    expected = tuple(spacing[axis] for axis in order)
    assert transform.outcome["recipe"]["spacing"] == list(expected)
    assert abs(equivalent_diameter_mm(int(new.sum()), expected) - 9.0) < 0.4


def test_a_tilted_affine_gives_the_length_of_its_columns(sample: Sample) -> None:
    angle = np.deg2rad(20)
    affine = torch.eye(4, dtype=torch.float64)
    affine[:2, :2] = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    given = sample(affine=affine)
    transform = always(spacing=None)
    transform(given["image"], given["label"])
    assert transform.outcome["recipe"]["spacing"] == [1.0, 1.0, 1.0]


def test_an_image_without_affine_is_taken_as_1_mm_and_that_is_told_once() -> None:
    transform = always(spacing=None)
    with pytest.warns(UserWarning, match=r"takes 1 mm voxels.*Pass spacing="):
        transform(breast().image, empty_label())
    assert transform.outcome["recipe"]["spacing"] == [1.0, 1.0, 1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transform(MetaTensor(breast().image), empty_label())


def test_spacing_by_name_goes_before_the_affine(sample: Sample) -> None:
    given = sample(spacing=(0.7, 0.7, 2.0))
    transform = always(spacing=(1.0, 1.0, 2.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transform(given["image"], given["label"])
    assert transform.outcome["recipe"]["spacing"] == [1.0, 1.0, 2.0]


# --- labels and places ---


def test_real_tumors_stay_and_other_channels_are_left_alone() -> None:
    real = ellipsoid(breast().shape, (34, 30, 40), (5, 5, 5))
    label = empty_label()
    label[0][real] = 1
    extra = torch.rand(breast().shape)
    image = torch.stack([breast().image[1], extra, breast().image[0]])
    transform = always(pre_channel=2, post_channel=0, unpainted_channels="allow")
    with pytest.warns(UserWarning, match="not painted: channel 1; they contradict the label"):
        painted, new = transform(image, label)
    assert torch.equal(painted[:, real], image[:, real]) and bool((new[0][real] == 1).all())
    assert torch.equal(painted[1], extra)
    assert int(new.sum()) > int(real.sum())


@pytest.mark.parametrize("prob", [0.0, 1.0])
def test_further_channels_are_refused_whether_a_tumor_is_drawn_or_not(prob: float) -> None:
    image = torch.cat([breast().image, breast(seed=5).image[1:]])
    with pytest.raises(
        SynBTError,
        match="paints channel 0, channel 1 alone.*missing in channel 2, .*contradict.*"
        'unpainted_channels="allow"',
    ):
        always(prob=prob)(image, empty_label())


def test_negative_labels_carry_no_signal_and_stay() -> None:
    image, label = breast().image.clone(), empty_label(torch.int8)
    image[..., 60:], label[..., 60:] = 0, -1
    painted, new = always()(image, label)
    assert bool((painted[..., 60:] == 0).all()) and bool((new[..., 60:] == -1).all())
    assert bool((new == 1).any())


@pytest.mark.parametrize("bad, said", [(7.0, "constant"), (float("nan"), "NaN")])
def test_what_cannot_be_painted_stays_with_a_reason(bad: float, said: str) -> None:
    image = torch.full_like(breast().image, bad)
    transform = always()
    with pytest.warns(UserWarning, match=rf"unusable sample.*{said}.*stays as it is"):
        found, label = transform(image, empty_label())
    assert found is image and not label.any()
    assert not transform.outcome["painted"] and said in transform.outcome["reason"]
    assert transform.counts == {"unusable sample": 1}


# --- chance ---


def test_the_same_seed_gives_the_same_tumor_and_another_seed_another() -> None:
    first, again, other = (always(seed)(breast().image, empty_label()) for seed in (4, 4, 5))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_a_random_state_may_be_given() -> None:
    by_state = SynBTTumor(prob=1.0, diameter_mm=9.0, spacing=MM).set_random_state(
        state=np.random.RandomState(4)
    )
    found = by_state(breast().image, empty_label())
    assert torch.equal(found[0], always(4)(breast().image, empty_label())[0])


def test_calls_go_on_drawing_and_randomize_false_repeats() -> None:
    transform = always()
    first = transform(breast().image, empty_label())
    again = transform(breast().image, empty_label(), randomize=False)
    second = transform(breast().image, empty_label())
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], second[1])


def test_global_randomness_is_neither_used_nor_changed() -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    always()(breast().image, empty_label())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


def test_one_integer_is_drawn_whether_it_paints_or_not() -> None:
    # A sample that is not drawn moves the state as far as one that is.
    painting, skipping = always(6), always(6, prob=0.0)
    for transform in (painting, skipping):
        transform.randomize()
    assert painting.R.rand() == skipping.R.rand()


def test_about_the_asked_share_is_drawn() -> None:
    transform = always(prob=0.3)
    drawn = 0
    for _ in range(1000):
        transform.randomize()
        drawn += transform._do_transform
    # 3 SDs of a binomial: 3 sqrt(1000 .3 .7) = 43.
    assert abs(drawn - 300) <= 43


def test_a_pickled_and_a_copied_transform_go_on_alike() -> None:
    transform = always(2)
    transform(breast().image, empty_label())
    content = pickle.dumps(transform)
    # NumPy's random state takes 5 kB, the last recipe 1; networks would be megabytes.
    assert len(content) < 10_000
    copies = pickle.loads(content), copy.deepcopy(transform)
    expected = transform(breast().image, empty_label())
    for other in copies:
        assert torch.equal(other(breast().image, empty_label())[0], expected[0])


# --- settings and errors ---


def test_settings_come_whole_or_by_name_and_names_win() -> None:
    whole = InjectionSettings(probability=0.2, tumors=2, diameter_mm=20.0)
    transform = SynBTTumor(settings=whole, diameter_mm=12.0)
    assert transform.settings == replace(whole, diameter_mm=12.0)
    assert transform.prob == 0.2
    assert SynBTTumor(probability=0.7).prob == SynBTTumor(prob=0.7).prob == 0.7
    assert SynBTTumor(paint_over=[2, 3]).settings.paint_over == (2, 3)


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(SynBTError, match=r"diametre\. Did you mean diameter_mm\? There are: prob"):
        SynBTTumor(diametre=3)  # type: ignore[call-arg]
    with pytest.raises(SynBTError, match=r"called p\. MONAI's name of it is prob\. There are"):
        SynBTTumor(p=0.5)  # type: ignore[call-arg]
    with pytest.raises(SynBTError, match=r"prob and probability are one setting, got 0.1 and 0.2"):
        SynBTTumor(prob=0.1, probability=0.2)
    with pytest.raises(SynBTError, match=r"called seed\. Call set_random_state\(seed=\.\.\.\)"):
        SynBTTumor(seed=1)  # type: ignore[call-arg]


def test_repr_is_the_call_that_makes_it() -> None:
    transform = SynBTTumor(prob=0.25, spacing=MM, diameter_mm=9.0, category="rim")
    assert eval(repr(transform)).settings == transform.settings
    assert repr(SynBTTumor()) == "SynBTTumor(prob=0.5)"


@pytest.mark.parametrize(
    "image, label, message",
    [
        (torch.rand(8, 8, 8), torch.zeros(1, 8, 8, 8), r"channel-first 3D.*EnsureChannelFirst"),
        (torch.rand(2, 8, 8, 8), torch.zeros(3, 8, 8, 8), r"label of shape \(1, 8, 8, 8\), got"),
        (torch.rand(1, 8, 8, 8), torch.zeros(1, 8, 8, 8), r"needs channels 0 \(pre\) and 1"),
        ("scan.nii.gz", torch.zeros(1, 8, 8, 8), r"an array or tensor, got str. Put LoadImage"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(image: Any, label: Any, message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        always()(image, label)


# --- order ---


def test_a_clipped_image_is_told_once() -> None:
    image = breast().image.clamp(max=110.0)
    transform = always()
    with pytest.warns(UserWarning, match=r"looks clipped.*before gamma, clipping"):
        transform(image, empty_label())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transform(image, empty_label())
        always()(breast().image, empty_label())
