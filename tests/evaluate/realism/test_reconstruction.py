from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import seeded
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.reconstruction import (
    Row,
    find,
    measure_reconstruction,
    medians,
    psnr_db,
    span_of,
)
from synbt_aug.signal.intensity import IntensityReference

REFERENCE = IntensityReference((0.0, 0.0), (50.0, 200.0))


def scan() -> Tensor:
    """From 0 to 100 in pre, to 200 in post, every value as often as any other."""
    ramp = torch.linspace(0, 100, 32).view(-1, 1, 1).expand(32, 32, 32)
    return torch.stack([ramp, 2 * ramp])


def everywhere() -> Tensor:
    return torch.ones(32, 32, 32, dtype=torch.bool)


def test_a_known_error_has_the_psnr_of_the_formula() -> None:
    # An error of 1 everywhere in a span of 100: 40 dB.
    assert psnr_db(torch.ones(10), 100.0) == pytest.approx(40)
    assert psnr_db(torch.tensor([10.0, -10.0]), 100.0) == pytest.approx(20)
    assert psnr_db(torch.zeros(10), 100.0) == pytest.approx(200)


def test_the_span_leaves_out_half_a_percent_on_either_side() -> None:
    values = torch.arange(10_001, dtype=torch.float32)
    assert span_of(values) == pytest.approx(9900)
    values[-20:] = 1e6
    assert span_of(values) == pytest.approx(9900)


def test_an_offset_gives_psnr_and_bias_in_each_channel() -> None:
    image = scan()
    off = {"off": lambda x, r: x + torch.tensor([5.0, -10.0]).view(2, 1, 1, 1)}
    rows = measure_reconstruction(image, REFERENCE, {"all": everywhere()}, off, with_ssim=False)
    pre, post = rows
    span = span_of(image[0])
    assert pre.psnr_db == pytest.approx(psnr_db(torch.tensor(5.0), span))
    assert pre.bias == pytest.approx(0.1)  # 5 of 50
    assert post.bias == pytest.approx(-0.05)  # -10 of 200
    assert post.psnr_db == pytest.approx(pre.psnr_db)  # twice the error in twice the span
    assert pre.ssim is None


def test_scaling_a_channel_changes_no_figure() -> None:
    image = scan()
    noise = torch.randn(image.shape, generator=seeded())
    for factor in (1.0, 8.0):
        reference = IntensityReference((0.0, 0.0), (50.0 * factor, 200.0 * factor))
        codings = {"noisy": lambda x, r, f=factor: x + f * noise}
        rows = measure_reconstruction(
            image * factor, reference, {"all": everywhere()}, codings, with_ssim=False
        )
        figures = [(row.psnr_db, row.bias) for row in rows]
        if factor == 1.0:
            first = figures
    assert figures == [pytest.approx(pair) for pair in first]


def test_only_the_region_counts() -> None:
    image, half = scan(), everywhere()
    half[:, :16] = False

    def spoil(x: Tensor, _: IntensityReference) -> Tensor:
        spoiled = x.clone()
        spoiled[:, :, :16] += 30
        return spoiled

    regions = {"good": half, "bad": ~half}
    rows = measure_reconstruction(image, REFERENCE, regions, {"s": spoil}, with_ssim=False)
    assert find(rows, "s", "good", "pre", "input").psnr_db == pytest.approx(200)
    assert find(rows, "s", "bad", "pre", "input").bias == pytest.approx(30 / 50)


def test_beside_the_noise_free_scan_the_input_is_a_row_of_its_own() -> None:
    clean = scan()
    noisy = clean + 2 * torch.randn(clean.shape, generator=seeded())
    rows = measure_reconstruction(
        noisy,
        REFERENCE,
        {"all": everywhere()},
        {"same": lambda x, r: x},
        noise_free=clean,
        with_ssim=False,
    )
    noise = find(rows, "nothing", "all", "pre", "noise-free")
    assert noise.psnr_db == pytest.approx(psnr_db(torch.tensor(2.0), span_of(noisy[0])), abs=0.1)
    assert find(rows, "same", "all", "pre", "input").psnr_db == pytest.approx(200)
    assert find(rows, "same", "all", "pre", "noise-free").psnr_db == pytest.approx(noise.psnr_db)
    assert find(rows, "nothing", "all", "pre", "input") is None


def test_ssim_is_one_for_the_same_and_less_for_noise() -> None:
    pytest.importorskip("skimage")
    image = scan()
    noise = 20 * torch.randn(image.shape, generator=seeded())
    codings = {"same": lambda x, r: x, "noisy": lambda x, r: x + noise}
    rows = measure_reconstruction(image, REFERENCE, {"all": everywhere()}, codings)
    assert find(rows, "same", "all", "pre", "input").ssim == pytest.approx(1)
    assert find(rows, "noisy", "all", "pre", "input").ssim < 0.5


def test_medians_are_taken_figure_by_figure() -> None:
    rows = [Row("c", "r", "pre", "input", db, bias, None) for db, bias in ((1, 0), (5, 2), (9, 1))]
    (middle,) = medians(rows)
    assert (middle.psnr_db, middle.bias, middle.ssim) == (5, 1, None)


def test_a_region_of_few_voxels_is_no_region() -> None:
    few = torch.zeros(32, 32, 32, dtype=torch.bool)
    few[0, 0, :10] = True
    with pytest.raises(SynBTError, match="at least 64 voxels"):
        measure_reconstruction(scan(), REFERENCE, {"few": few}, {}, with_ssim=False)
