from __future__ import annotations

import pytest
import torch
from torch import Tensor

from analytic import seeded, tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.codecs import (
    by_codec,
    by_gaussian,
    by_pooling,
    fit_block_pca,
    from_cells,
    to_cells,
)
from synbt_aug.signal.intensity import IntensityReference

REFERENCE = IntensityReference((0.0, 0.0), (2.0, 2.0))


def signal(shape: tuple[int, int, int] = (8, 12, 16), seed: int = 0) -> Tensor:
    return torch.rand((2, *shape), generator=seeded(seed))


def test_cells_come_back_as_they_were() -> None:
    q = signal()
    cells, grid = to_cells(q)
    assert grid == (2, 3, 4)
    assert cells.shape == (24, 128)
    assert torch.equal(from_cells(cells, grid), q)
    assert torch.equal(cells[0].reshape(2, 4, 4, 4), q[:, :4, :4, :4])


def test_a_constant_comes_through_blur_and_pooling() -> None:
    flat = torch.full((2, 7, 9, 10), 3.5)
    assert torch.allclose(by_gaussian()(flat, REFERENCE), flat, atol=1e-5)
    assert torch.allclose(by_pooling(flat, REFERENCE), flat)


def test_a_blur_of_1_mm_keeps_the_known_share_of_white_noise() -> None:
    # The variance left is (1 / (2 sqrt(pi) sigma))^3.
    noise = torch.randn(2, 48, 48, 48, generator=seeded())
    left = by_gaussian(1.0)(noise, REFERENCE)[:, 6:-6, 6:-6, 6:-6].var()
    assert float(left) == pytest.approx((1 / (2 * torch.pi**0.5)) ** 3, rel=0.05)


def test_pca_spends_the_bits_it_is_given() -> None:
    windows = [torch.randn(2, 32, 32, 32, generator=seeded(k)).cumsum(1) * 0.1 for k in range(3)]
    for bits in (4, 13):
        assert fit_block_pca(windows, bits, generator=seeded()).bits == bits


def test_cells_of_few_kinds_are_coded_without_loss() -> None:
    # Eight kinds along one direction need three bits.
    direction = torch.randn(128, generator=seeded())
    kinds = torch.randint(8, (16, 16, 16), generator=seeded(1)).reshape(-1)
    cells = kinds[:, None] * 0.1 * direction / direction.norm()
    q = from_cells(cells, (16, 16, 16)) - 0.5
    pca = fit_block_pca([q], 3, generator=seeded())
    image = (q + 1) / 2 * 2.0
    assert torch.allclose(pca(image, REFERENCE), image, atol=1e-4)


def test_more_bits_lose_less() -> None:
    windows = [signal((32, 32, 32), k).cumsum(3) * 0.05 - 1 for k in range(2)]
    image = windows[0] + 1
    errors = [
        float((fit_block_pca(windows, b, generator=seeded())(image, REFERENCE) - image).var())
        for b in (1, 5, 9)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(SynBTError, match="at least 1024 cells"):
        fit_block_pca([signal()], 13, generator=seeded())


def test_the_codec_is_what_the_networks_make_of_the_mapped_signal() -> None:
    codec = tiny_weights().autoencoder
    image = signal((16, 16, 16)) + 0.3
    with torch.no_grad():
        z, _ = codec.quantize(codec.encode(image[None] - 1))
        seen = codec.decode(z)[0]
    # The range is 2 and all signal lies below the knee: s = x - 1.
    assert float(seen.max()) <= 1
    assert torch.allclose(by_codec(codec)(image, REFERENCE), seen + 1, atol=1e-5)


def test_a_codec_without_its_codebook_decodes_the_continuous_latent() -> None:
    codec = tiny_weights().autoencoder
    image = signal((16, 16, 16)) + 0.3
    with torch.no_grad():
        seen = codec.decode(codec.encode(image[None] - 1))[0]
    found = by_codec(codec, quantized=False)(image, REFERENCE)
    assert float(seen.max()) <= 1 and torch.allclose(found, seen + 1, atol=1e-5)


def test_sides_that_do_not_divide_by_4_keep_their_length() -> None:
    codec = tiny_weights().autoencoder
    image = signal((9, 18, 11))
    assert by_codec(codec)(image, REFERENCE).shape == image.shape
    windows = [signal((32, 32, 32), k) for k in range(2)]
    assert fit_block_pca(windows, generator=seeded())(image, REFERENCE).shape == image.shape
