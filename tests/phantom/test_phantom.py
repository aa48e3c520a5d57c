"""`make_phantom`: same seed same case, in any process, on any grid."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from synbt_aug.phantom import Phantom, PhantomSettings, make_phantom

SCRIPT = """
import hashlib, torch
from synbt_aug.phantom import PhantomSettings, make_phantom
torch.set_num_threads(1)
torch.manual_seed(99)
make_phantom(11, PhantomSettings(shape=(48, 48, 48), with_tumor=False))
p = make_phantom(1_000_400, PhantomSettings(shape=(64, 56, 48)))
parts = (p.pre, p.post, p.clean_pre, p.clean_post, p.labels, p.tumor_instances)
print(hashlib.sha256(b"".join(a.tobytes() for a in parts)).hexdigest())
"""


def digest(phantom: Phantom) -> str:
    parts = (
        phantom.pre, phantom.post, phantom.clean_pre, phantom.clean_post,
        phantom.labels, phantom.tumor_instances,
    )  # fmt: skip
    return hashlib.sha256(b"".join(a.tobytes() for a in parts)).hexdigest()


def test_another_process_makes_the_same_case_bitwise() -> None:
    torch.set_num_threads(1)
    here = digest(make_phantom(1_000_400, PhantomSettings(shape=(64, 56, 48))))
    there = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert there.stdout.strip() == here


def test_another_seed_makes_another_case(small_settings: PhantomSettings) -> None:
    assert digest(make_phantom(1, small_settings)) != digest(make_phantom(2, small_settings))


def test_no_global_state_changes() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state().clone()
    numpy_before = repr(np.random.get_state())  # noqa: NPY002
    threads = torch.get_num_threads()
    make_phantom(3, PhantomSettings(shape=(48, 48, 48)))
    assert torch.equal(torch.get_rng_state(), before)
    assert repr(np.random.get_state()) == numpy_before  # noqa: NPY002
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((64, 64, 64), (1.0, 1.0, 1.0)),
        ((96, 80, 32), (0.7, 0.7, 2.0)),
        ((33, 41, 55), (3.0, 2.5, 1.1)),
        ((128, 64, 48), (2.5, 3.0, 3.0)),
    ],
)
def test_any_grid_is_honoured(
    shape: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    settings = PhantomSettings(shape=shape, spacing=spacing, times_s=(60.0, 180.0))
    phantom = make_phantom(1_000_410, settings)
    assert phantom.pre.shape == phantom.labels.shape == phantom.tumor.shape == shape
    assert phantom.post.shape == phantom.clean_post.shape == (2, *shape)
    assert phantom.pre.dtype == phantom.post.dtype == np.int16
    assert phantom.clean_pre.dtype == phantom.clean_post.dtype == np.float32
    assert phantom.labels.dtype == phantom.tumor_instances.dtype == np.uint8
    assert phantom.tumor.dtype == phantom.breast.dtype == np.bool_
    assert phantom.spacing == spacing
    assert phantom.breast.mean() > 0.02
    assert phantom.lesions
    assert phantom.pre.min() >= 0
    assert np.isfinite(phantom.clean_post).all()


def test_the_affine_maps_left_posterior_superior_axes_to_ras_mm() -> None:
    settings = PhantomSettings(shape=(64, 60, 50), spacing=(1.0, 2.0, 3.0), with_tumor=False)
    affine = make_phantom(1_000_420, settings).affine
    step = affine @ np.array([1, 1, 1, 0])
    assert step.tolist() == [-1.0, -2.0, 3.0, 0.0]
    middle = affine @ np.array([31.5, 29.5, 24.5, 1.0])
    assert middle.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed of 0 or more, got -1"):
        make_phantom(-1)
