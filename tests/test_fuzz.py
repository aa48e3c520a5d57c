"""Whatever comes in, by any of the four routes: a sentence that refuses it, or a result that keeps
the promises.

`make test` looks at 200 fixed calls; `pytest -m nightly` explores thousands, others each time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import torchio as tio
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from torch import Tensor

from analytic import (
    FlatTexture,
    breast_image,
    copy_paste_painter,
    diffusion_painter,
    ellipsoid,
    painter,
    syntumor_painter,
)
from synbt_aug import injector as injector_module
from synbt_aug.errors import SynBTError
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.volume import BreastVolume, Spacing
from synbt_aug_monai import SynBTTumord
from synbt_aug_torchio import SynBTTumor

EXTENT_MM = (44, 52, 52)
SPACINGS: list[Spacing] = [(1.0, 1.0, 1.0), (0.8, 0.8, 2.0), (2.0, 1.0, 0.9), (3.0, 2.0, 2.0)]
NO_SPACINGS: list[Any] = [(0.0, 1.0, 1.0), (math.nan, 1.0, 1.0), (1.0, 1.0), (50.0, 1.0, 1.0), None]
TYPES = [
    torch.uint8, torch.int16, torch.int32, torch.float16, torch.bfloat16, torch.float32,
    torch.float64,
]  # fmt: skip
ODD_TYPES = [torch.int8, torch.int64, torch.uint16, torch.bool, torch.complex64]


# --- what comes in ---


class Case:
    """One call: images, labels and what is asked. Its name in a failure is short enough to read."""

    def __init__(
        self,
        image: Tensor,
        label: Tensor,
        spacing: Any,
        asked: dict[str, Any],
        synthesizer: TumorSynthesizer,
        seed: int,
        roi: Tensor | None,
    ) -> None:
        self.image, self.label, self.spacing, self.asked = image, label, spacing, asked
        self.synthesizer, self.seed, self.roi = synthesizer, seed, roi

    def __repr__(self) -> str:
        image, values = self.image, self.label.to(torch.float64).unique().tolist()
        finite = image.to(torch.complex64).isfinite().all().item()
        return (
            f"Case(image={tuple(image.shape)} {image.dtype} finite={finite}, label={values} "
            f"{self.label.dtype}, spacing={self.spacing}, seed={self.seed}, "
            f"roi={None if self.roi is None else self.roi.unique().tolist()}, "
            f"texture={vars(self.synthesizer.texture)}, asked={self.asked})"
        )

    @property
    def tumor_label(self) -> Any:
        return self.asked.get("tumor_label", 1)


@lru_cache(maxsize=8)
def clean(spacing: Spacing) -> Tensor:
    return breast_image(spacing, extent_mm=EXTENT_MM)


def spoiled(image: Tensor, how: str) -> Tensor:
    """An image with something that scans, or loaders, do to one."""
    image = image.clone()
    middle = tuple(n // 2 for n in image.shape[1:])
    numbers = {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf, "a spike": 1e6}
    if how in numbers:
        image[(1, *middle)] = numbers[how]
    elif how == "constant":
        image[:] = 7.0
    elif how == "constant post":
        image[1] = 7.0
    elif how == "two values":
        image = (image > 50).float()
    elif how == "clipped":
        image = image.clamp(max=110.0)
    elif how == "negative":
        image = -image
    elif how == "z-scores":
        image = (image - image.mean()) / image.std()
    elif how == "huge":
        image = image * 1e30
    elif how == "tiny":
        image = image * 1e-30
    elif how == "noise":
        image = torch.rand(image.shape, generator=torch.Generator().manual_seed(1))
    elif how == "same twice":
        image[1] = image[0]
    return image


SPOILS = [
    "NaN", "inf", "-inf", "a spike", "constant", "constant post", "two values", "clipped",
    "negative", "z-scores", "huge", "tiny", "noise", "same twice",
]  # fmt: skip

VALID: dict[str, st.SearchStrategy[Any]] = {
    "tumors": st.sampled_from([1, 1, 2, (1, 2)]),
    "diameter_mm": st.sampled_from([8.0, 7.0, (7.0, 10.0), 6.0, None, 12.0, 60.0]),
    "enhancement": st.sampled_from([None, None, 0.8, 0.0, -0.5]),
    "multifocal": st.sampled_from([0.0, 0.0, 1.0]),
    "distractors": st.sampled_from([0.0, 0.0, 1.0]),
    "only_free_side": st.sampled_from([False, False, True]),
    "category": st.sampled_from([None, None, "rim", "non-mass"]),
}
#: What only batches and transforms know.
BATCHES: dict[str, st.SearchStrategy[Any]] = {
    "tumor_label": st.sampled_from([1, 1, 3]),
    "null_paint": st.sampled_from([0.0, 0.0, 1.0]),
    "only_tumor_free": st.sampled_from([False, False, False, True]),
    "paint_over": st.sampled_from([(), (), (2,)]),
    "roi_labels": st.sampled_from([(), (), (), (), (2,)]),
}
HOSTILE = st.sampled_from([math.nan, math.inf, -1, 2.5, 1e9, 300, "1", None, True, (3, 1), [], {}])


#: Of labels: what a part of one holds.
VALUES = {"tumor": 1, "organ": 2, "padding": -1, "all": 2, "an unknown label": 255}

#: Of the texture whose paint is known; four times what shows well.
CONTRASTS = [(0.2, 1.5)] * 4 + [(0.0, 0.0), (-5.0, -5.0), (1e30, 9.0), (0.0, math.nan)]
OTHERS: list[Callable[[], TumorSynthesizer]] = [
    syntumor_painter,
    copy_paste_painter,
    diffusion_painter,
]


@st.composite
def cases(draw: st.DrawFn, batches: bool) -> Case:
    odd = draw(st.integers(0, 5)) == 0
    spacing = draw(st.sampled_from(SPACINGS))
    image = clean(spacing)
    if draw(st.integers(0, 2)) == 0:
        image = spoiled(image, draw(st.sampled_from(SPOILS)))
    if draw(st.integers(0, 11)) == 0:
        sides = draw(st.tuples(*[st.integers(1, 9)] * 3))
        image = image[:, : sides[0], : sides[1], : sides[2]]
    dtype = draw(st.sampled_from(ODD_TYPES if odd and draw(st.booleans()) else TYPES))
    if not dtype.is_floating_point:
        image = image.nan_to_num().round()
    image = image.to(dtype)
    shape = tuple(image.shape[1:])
    label = torch.zeros(shape)
    inside = ellipsoid(shape, (26, 26, 26), (4, 5, 4), spacing)
    parts = st.lists(st.sampled_from(sorted(VALUES)), max_size=2)
    for part in draw(parts):
        where = {"padding": slice(shape[0] // 8), "all": ..., "tumor": inside}
        label[where.get(part, inside.flip(1))] = VALUES[part]
    kinds = [torch.uint8, torch.int16, torch.int64, torch.float32]
    if odd:
        kinds += [torch.bool, torch.uint16, torch.int8, torch.float16]
    label = label.to(draw(st.sampled_from(kinds)))
    asked = {name: draw(values) for name, values in VALID.items()}
    if batches:
        asked |= {name: draw(values) for name, values in BATCHES.items()}
    if odd and draw(st.booleans()):
        asked[draw(st.sampled_from(sorted(asked)))] = draw(HOSTILE)
    if odd and draw(st.integers(0, 3)) == 0:
        spacing = draw(st.sampled_from(NO_SPACINGS))
    contrast = draw(st.sampled_from(CONTRASTS))
    flat = lambda: painter(FlatTexture(contrast))  # noqa: E731 (one of several makers)
    make = draw(st.sampled_from([flat] * 8 + OTHERS))
    roi = None
    if draw(st.integers(0, 7)) == 0:
        roi = draw(st.sampled_from([1.0, 0.5, 0.0, 2.5, math.nan, -1.0])) * inside.float()
    seed = draw(st.integers(0, 2**31))
    return Case(image, label, spacing, asked, make(), seed, roi)


# --- what must hold ---


def bits(tensor: Tensor) -> bytes:
    """All of a tensor; NumPy knows no bfloat16."""
    as_numpy = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
    return as_numpy.numpy().tobytes()


def assert_promises(case: Case, image: Tensor, label: Tensor, painted: bool) -> None:
    """What holds on every route of the image `(2, D, H, W)` and label `(D, H, W)` after it."""
    before, old = case.image, case.label
    assert image.dtype == before.dtype and image.shape == before.shape
    assert label.dtype == old.dtype and label.shape == old.shape
    if not painted:
        assert bits(image) == bits(before) and bits(label) == bits(old)
        return
    assert bool(torch.isfinite(image).all())
    changed = (image != before).any(0)
    assert bool(changed.any()), "something is painted"
    new = (label == case.tumor_label) & (old != case.tumor_label)
    assert torch.equal(label[~new], old[~new])
    assert not bool((changed & (old == case.tumor_label)).any()), "real tumors stay"
    assert not bool((changed & (old.float() < 0)).any()), "what has no signal stays"
    if bool(new.any()):
        assert float(changed[new].float().mean()) >= 0.5, "labels lie where something changed"
    valid = old.float() >= 0
    for channel, known in zip(image.double(), before.double(), strict=True):
        assert channel[valid].amin() >= known[valid].amin(), "nothing lies below the floor"


def checked(case: Case, run: Callable[[Case], tuple[Tensor, Tensor, bool]]) -> None:
    """One call of one route."""
    image, label = case.image.clone(), case.label.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = run(case)
        except (SynBTError, ValueError) as error:
            assert isinstance(error, SynBTError), repr(error)
            assert len(str(error)) > 20, repr(error)
            event("refused")
            found = None
    assert bits(image) == bits(case.image), "images that come in are untouched"
    assert bits(label) == bits(case.label), "labels that come in are untouched"
    if found is not None:
        event("painted" if found[2] else "unchanged")
        assert_promises(case, *found)


# --- the routes ---


def by_volume(case: Case) -> tuple[Tensor, Tensor, bool]:
    asked = dict(case.asked)
    look = Appearance(asked.pop("enhancement"), category=asked.pop("category"))
    label = case.label.double()
    volume = BreastVolume(
        case.image,
        case.spacing,
        tumor=label == 1,
        forbidden=(label != 1) & (label != 0),
        valid=label >= 0,
        roi=case.roi,
    )
    result = case.synthesizer(volume, seed=case.seed, appearance=look, **asked)
    assert torch.equal(result.image[:, ~result.support], case.image[:, ~result.support])
    after = torch.where(result.tumor, 1.0, label).to(case.label.dtype)
    return result.image, after, result.painted


def by_injector(case: Case) -> tuple[Tensor, Tensor, bool]:
    injector = SynBTInjector(InjectionSettings(probability=1.0, **case.asked), case.synthesizer)
    done = injector(
        case.image[None],
        case.label[None, None],
        case.spacing,
        generator=torch.Generator().manual_seed(case.seed),
        roi=None if case.roi is None else case.roi[None],
    )
    (result,) = done.results
    if result is not None and result.painted:
        outside = ~result.support
        assert torch.equal(done.images[0][:, outside], case.image[:, outside])
    return done.images[0], done.labels[0, 0], done.painted[0]


def affine_of(case: Case) -> np.ndarray:
    """Images bring an affine, whatever a user may type elsewhere."""
    assume(isinstance(case.spacing, tuple) and len(case.spacing) == 3)
    return np.diag([*case.spacing, 1.0])


def by_torchio(case: Case) -> tuple[Tensor, Tensor, bool]:
    affine = affine_of(case)
    subject = tio.Subject(
        pre=tio.ScalarImage(tensor=case.image[:1].clone(), affine=affine),
        post=tio.ScalarImage(tensor=case.image[1:].clone(), affine=affine),
        label=tio.LabelMap(tensor=case.label[None].clone(), affine=affine),
    )
    # TorchIO makes numbers of booleans before any transform sees them.
    assume(subject["label"].data.dtype == case.label.dtype)
    assume(subject["pre"].data.dtype == case.image.dtype)
    more: dict[str, Any] = {}
    if case.roi is not None:
        subject.add_image(tio.LabelMap(tensor=case.roi[None].clone(), affine=affine), "where")
        more["roi"] = "where"
    torch.manual_seed(case.seed)
    after = SynBTTumor(p=1, **more, **case.asked)(subject)
    image = torch.cat([after["pre"].data, after["post"].data])
    return image, after["label"].data[0], bool(after.synbt_outcome["painted"])


def by_monai(case: Case) -> tuple[Tensor, Tensor, bool]:
    affine = torch.from_numpy(affine_of(case))
    sample: dict[str, Any] = {
        "image": MetaTensor(case.image.clone(), affine=affine),
        "label": MetaTensor(case.label[None].clone(), affine=affine),
    }
    more: dict[str, Any] = {}
    if case.roi is not None:
        sample["where"] = MetaTensor(case.roi[None].clone(), affine=affine)
        more["roi_key"] = "where"
    transform = SynBTTumord(prob=1.0, **more, **case.asked).set_random_state(case.seed % 2**31)
    after = transform(sample)
    painted = after["synbt_outcome"] == "painted"
    return after["image"].as_tensor(), after["label"].as_tensor()[0], painted


ROUTES = {
    "volume": by_volume,
    "injector": by_injector,
    "torchio": by_torchio,
    "monai": by_monai,
}


def calls(count: int, explore: bool) -> settings:
    phases = [Phase.explicit, Phase.generate] + [Phase.shrink] * explore
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=not explore,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )


def one_call(route: str, case: Case) -> None:
    with mock.patch.object(injector_module, "shared_synthesizer", lambda *_: case.synthesizer):
        checked(case, ROUTES[route])


@given(case=cases(batches=False))
@calls(50, explore=False)
def test_a_volume_is_painted_or_refused(case: Case) -> None:
    one_call("volume", case)


@pytest.mark.parametrize("route", ["injector", "torchio", "monai"])
@given(case=cases(batches=True))
@calls(50, explore=False)
def test_a_batch_or_a_sample_is_painted_or_refused(route: str, case: Case) -> None:
    one_call(route, case)


@pytest.mark.nightly
@given(case=cases(batches=False))
@calls(2000, explore=True)
def test_other_volumes_each_time_are_painted_or_refused(case: Case) -> None:
    one_call("volume", case)


@pytest.mark.nightly
@pytest.mark.parametrize("route", ["injector", "torchio", "monai"])
@given(case=cases(batches=True))
@calls(2000, explore=True)
def test_other_samples_each_time_are_painted_or_refused(route: str, case: Case) -> None:
    one_call(route, case)
