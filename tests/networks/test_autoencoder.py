"""The VQ-VAE: what patches, windows and saved names promise."""

from __future__ import annotations

import pytest
import torch

from synbt_aug.networks import VQVAE, VQVAESettings

TINY = VQVAESettings(channels=(4, 8), residual_layers=1, codebook_size=32)


def image(*sides: int) -> torch.Tensor:
    return torch.randn(1, 2, *sides, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def tiny() -> VQVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VQVAE(TINY).eval()


@pytest.fixture(scope="module")
def full() -> VQVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VQVAE().eval()


def test_the_default_shape_is_the_papers() -> None:
    s = VQVAESettings()
    assert (s.image_channels, s.codebook_size, s.latent_channels, s.factor) == (2, 8192, 8, 4)
    assert s.channels == (32, 64)


def test_the_default_network_has_one_and_a_half_million_parameters(full: VQVAE) -> None:
    assert 1.3e6 < sum(p.numel() for p in full.parameters()) < 1.6e6


@torch.no_grad()
def test_shapes_shrink_fourfold_and_come_back(tiny: VQVAE) -> None:
    z = tiny.encode(image(16, 24, 32))
    assert z.shape == (1, 8, 4, 6, 8) and z.dtype == torch.float32
    z_q, codes = tiny.quantize(z)
    assert z_q.shape == z.shape and codes.shape == (1, 4, 6, 8)
    assert tiny.decode(z_q).shape == (1, 2, 16, 24, 32)


def test_a_side_that_four_does_not_divide_is_refused(tiny: VQVAE) -> None:
    with pytest.raises(ValueError, match=r"sides divisible by 4, got \(1, 2, 16, 18, 16\)"):
        tiny.encode(image(16, 18, 16))


@torch.no_grad()
def test_patches_agree_with_one_pass_eight_latent_voxels_off_a_seam(full: VQVAE) -> None:
    x = image(32, 32, 128)
    whole, joined = full.encode(x), full.encode_patches(x, patch=64)
    off = torch.ones(32, dtype=torch.bool)
    off[8:24] = False
    assert torch.allclose(whole[..., off], joined[..., off], atol=1e-5 * float(whole.std()) + 1e-6)
    assert not torch.allclose(whole[..., ~off], joined[..., ~off], atol=1e-3 * float(whole.std()))


@torch.no_grad()
def test_one_patch_is_one_pass(tiny: VQVAE) -> None:
    x = image(16, 16, 16)
    assert torch.equal(tiny.encode(x), tiny.encode_patches(x, patch=16))


@torch.no_grad()
def test_a_last_patch_may_be_smaller(tiny: VQVAE) -> None:
    z = tiny.encode_patches(image(16, 16, 24), patch=16)
    assert torch.equal(z[..., 4:], tiny.encode(image(16, 16, 24)[..., 16:]))


@pytest.mark.parametrize("box", [((0, 4), (6, 12), (10, 20)), ((2, 12), (0, 12), (23, 24))])
@torch.no_grad()
def test_a_decoded_window_equals_the_crop_of_the_full_decode(full: VQVAE, box: tuple) -> None:
    z = torch.randn(1, 8, 12, 12, 24, generator=torch.Generator().manual_seed(5))
    crop = full.decode(z)[(..., *(slice(4 * lo, 4 * hi) for lo, hi in box))]
    assert torch.allclose(full.decode_window(z, box), crop, atol=1e-5)


def test_a_box_outside_the_latent_is_refused(tiny: VQVAE) -> None:
    with pytest.raises(ValueError, match="inside the latent"):
        tiny.decode_window(torch.zeros(1, 8, 4, 4, 4), ((0, 4), (0, 4), (0, 5)))


def test_train_mode_and_a_training_pass_leave_the_codebook_alone(tiny: VQVAE) -> None:
    before = {name: value.clone() for name, value in tiny.codebook.state_dict().items()}
    tiny.train()
    tiny(image(16, 16, 16)).reconstruction.sum().backward()
    tiny.eval().zero_grad()
    after = tiny.codebook.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())


@torch.no_grad()
def test_keeping_all_of_the_latent_skips_the_codebook(tiny: VQVAE) -> None:
    x = image(16, 16, 16)
    kept = tiny(x, keep=torch.ones(1, dtype=torch.bool)).reconstruction
    assert torch.allclose(kept, tiny(x, quantized=False).reconstruction, atol=1e-6)


def test_the_names_in_the_state_dict_are_ours_and_stay(tiny: VQVAE) -> None:
    expected = [
        "encoder.level0.down",
        "encoder.level0.residual0.first",
        "encoder.level0.residual0.second",
        "encoder.level1.down",
        "encoder.level1.residual0.first",
        "encoder.level1.residual0.second",
        "encoder.to_latent",
        "decoder.from_latent",
        "decoder.level0.residual0.first",
        "decoder.level0.residual0.second",
        "decoder.level0.up",
        "decoder.level1.residual0.first",
        "decoder.level1.residual0.second",
        "decoder.level1.up",
    ]
    names = [f"{name}.{kind}" for name in expected for kind in ("weight", "bias")]
    buffers = ["vectors", "cluster_size", "vector_sum", "initialised"]
    assert list(tiny.state_dict()) == [*names, *(f"codebook.{name}" for name in buffers)]


@torch.no_grad()
def test_saved_weights_come_back_even_inside_another_module(tiny: VQVAE) -> None:
    outer = torch.nn.ModuleDict({"codec": VQVAE(TINY), "other": torch.nn.Linear(2, 2)})
    state = outer.state_dict()
    assert "codec.encoder.level0.down.weight" in state and "other.weight" in state
    state.update({f"codec.{name}": value for name, value in tiny.state_dict().items()})
    outer.load_state_dict(state)
    assert torch.equal(outer["codec"].encode(image(8, 8, 8)), tiny.encode(image(8, 8, 8)))


def test_a_missing_weight_is_reported(tiny: VQVAE) -> None:
    state = tiny.state_dict()
    del state["encoder.to_latent.bias"]
    with pytest.raises(RuntimeError, match="Missing key"):
        VQVAE(TINY).load_state_dict(state)


def test_settings_survive_json() -> None:
    assert VQVAESettings.from_dict(TINY.to_dict()) == TINY


def test_settings_refuse_a_missing_stride() -> None:
    with pytest.raises(ValueError, match="one stride of 1 or 2 for each"):
        VQVAESettings(channels=(32, 64, 128))
