"""The codebook: search, learning, and what must not move."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from synbt_aug.networks import Codebook, codebook


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def latents(count: int, dim: int = 4, seed: int = 1) -> Tensor:
    """`count` latent voxels in two batches of rods."""
    return torch.randn(2, dim, count // 2, 1, 1, generator=seeded(seed))


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_the_chunked_search_equals_brute_force(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(codebook, "_ROWS_CPU", rows)
    book = Codebook(50, 4)
    flat = torch.randn(101, 4, generator=seeded())
    brute = (flat[:, None] - book.vectors[None]).square().sum(2).argmin(1)
    assert torch.equal(book.search(flat), brute)


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_the_tree_of_a_large_codebook_equals_brute_force(scale: float) -> None:
    book = Codebook(1500, 8)
    flat = scale * torch.randn(300, 8, generator=seeded())
    assert book._takes_tree(flat)
    brute = torch.cdist(flat.double(), book.vectors.double()).argmin(1)
    found = book.search(flat)
    assert found.dtype == torch.long and torch.equal(found, brute)


def test_vectors_that_are_not_finite_get_some_code_and_change_no_other() -> None:
    book = Codebook(1500, 8)
    flat = torch.randn(20, 8, generator=seeded())
    before = book.search(flat)
    flat[3, 2], flat[7] = torch.nan, torch.inf
    found = book.search(flat)
    others = [k for k in range(20) if k not in (3, 7)]
    assert torch.equal(found[others], before[others])
    assert bool(((found >= 0) & (found < 1500)).all())


def test_codes_of_a_training_gone_astray_are_searched_without_an_error() -> None:
    book = Codebook(1500, 8)
    book.vectors[5] = torch.nan
    assert book.search(torch.randn(20, 8, generator=seeded())).shape == (20,)


def test_no_vectors_have_no_codes() -> None:
    assert Codebook(1500, 8).search(torch.zeros(0, 8)).shape == (0,)


def test_autocast_does_not_reach_the_search() -> None:
    book = Codebook(500, 8)
    z = latents(2000, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(book.codes(z), Codebook.codes(book, z.double().float()))
        mixed = book.codes(z)
    assert torch.equal(mixed, book.codes(z))


def test_a_code_is_its_own_nearest() -> None:
    book = Codebook(64, 4)
    assert torch.equal(book.search(book.vectors), torch.arange(64))


def test_lookup_puts_each_vector_where_its_code_is() -> None:
    book = Codebook(16, 4)
    codes = torch.randint(16, (2, 3, 4, 5), generator=seeded())
    z = book.lookup(codes)
    assert z.shape == (2, 4, 3, 4, 5)
    assert torch.equal(z[1, :, 2, 3, 4], book.vectors[codes[1, 2, 3, 4]])


def test_the_gradient_goes_straight_through() -> None:
    book = Codebook(16, 4, commitment=0.0)
    z = latents(20).requires_grad_()
    quantized, _, _ = book(z)
    quantized.sum().backward()
    assert torch.equal(z.grad, torch.ones_like(z))


def test_commitment_is_the_weighted_squared_distance() -> None:
    book = Codebook(1, 4, commitment=0.25)
    book.vectors.zero_()
    _, _, loss = book(torch.full((1, 4, 2, 2, 2), 2.0))
    assert loss.item() == pytest.approx(0.25 * 4.0)


def test_most_codes_are_in_use_on_toy_data() -> None:
    book = Codebook(256, 4)
    generator = seeded()
    book.initialise(latents(4000), generator=generator)
    used = torch.zeros(256)
    for step in range(120):
        z = latents(1000, seed=step + 2)
        codes = book.codes(z)
        book.update(z, codes, restart=step % 10 == 0, generator=generator)
        if step >= 100:
            used += torch.bincount(codes.flatten(), minlength=256)
    assert (used > 0).float().mean() > 0.9


def test_training_brings_the_codes_closer_to_the_data() -> None:
    book = Codebook(32, 4)
    z = latents(2000)
    book.initialise(z, generator=seeded())
    before = (book(z)[0] - z).square().mean()
    for _ in range(50):
        book.update(z, book.codes(z), generator=seeded())
    assert (book(z)[0] - z).square().mean() < 0.8 * before


def test_an_update_is_the_running_average_worked_by_hand() -> None:
    book = Codebook(2, 1, decay=0.5)
    book.vectors.copy_(torch.tensor([[0.0], [10.0]]))
    book.vector_sum.copy_(book.vectors)
    z = torch.tensor([2.0, 4.0]).view(1, 1, 2, 1, 1)
    book.update(z, book.codes(z), generator=seeded())
    # code 0: count .5 * 1 + .5 * 2 = 1.5, sum .5 * 0 + .5 * 6 = 3; code 1 only decays.
    assert torch.allclose(book.vectors, torch.tensor([[2.0], [10.0]]))
    assert torch.allclose(book.cluster_size, torch.tensor([1.5, 0.5]))


def test_forward_in_train_mode_moves_nothing() -> None:
    book = Codebook(32, 4).train()
    before = {name: value.clone() for name, value in book.state_dict().items()}
    book(latents(100))
    assert all(torch.equal(value, before[name]) for name, value in book.state_dict().items())


def test_a_dead_code_restarts_on_a_vector_of_the_data() -> None:
    book = Codebook(3, 2, decay=0.99)
    book.vectors.copy_(torch.tensor([[1.0, 1.0], [1.0, 1.0], [50.0, 50.0]]))
    book.vector_sum.copy_(book.vectors)
    book.cluster_size[2] = 0.01
    z = torch.ones(1, 2, 4, 1, 1)
    book.update(z, book.codes(z), restart=True, generator=seeded())
    assert torch.allclose(book.vectors[2], torch.ones(2))


def test_that_it_was_initialised_is_saved() -> None:
    book, other = Codebook(16, 4), Codebook(16, 4)
    book.initialise(latents(40), generator=seeded())
    other.load_state_dict(book.state_dict())
    assert bool(other.initialised) and torch.equal(other.vectors, book.vectors)


def test_ranks_add_up_their_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, pair = Codebook(8, 4, decay=0.5), Codebook(8, 4, decay=0.5)
    z = latents(40)
    alone.update(torch.cat([z, z]), alone.codes(torch.cat([z, z])), generator=seeded())
    monkeypatch.setattr(codebook, "_distributed", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.mul_(2))
    pair.update(z, pair.codes(z), generator=seeded())
    assert torch.allclose(alone.vectors, pair.vectors)
