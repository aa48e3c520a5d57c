"""The paper's section 3.1 against the preset that repeats it."""

from __future__ import annotations

import json

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.train.autoencoder_presets import AUTOENCODER_PRESETS, autoencoder_preset
from synbt_aug.train.denoiser_presets import DENOISER_PRESETS, denoiser_preset
from synbt_aug.train.tissue_preset import tissue_preset


def test_the_autoencoder_of_the_paper() -> None:
    p = autoencoder_preset("paper")
    assert p.phases[0].patch == 64 and len(p.phases) == 1  # "patch size is 64^3 x 2 voxels"
    assert p.network.image_channels == 2
    assert p.network.factor == 4  # "compression rate of 4"
    assert p.network.codebook_size == 8192  # "8192 codes"
    assert p.network.latent_channels == 8  # "with dimensionality of 8"
    # "The initial convolutional channel is 32, and it's doubled"
    assert p.network.channels[0] == 32
    assert all(b == 2 * a for a, b in zip(p.network.channels, p.network.channels[1:], strict=False))
    assert p.phases[0].batch == 8  # "training mini-batch size is 8"
    assert p.learning_rate == 1e-4  # "learning rate equals to 1e-4"
    assert p.decay_from == 1.0  # no decay is named
    assert p.discriminator_start == 200_000  # "started after 200,000 steps"
    assert p.steps > p.discriminator_start
    assert p.adversarial_weight == 0.01 and p.perceptual_weight == 0.001


def test_the_volume_stage_of_the_paper() -> None:
    v = autoencoder_preset("paper").volumes
    assert v is not None
    assert v.batch == 1 and v.learning_rate == 1e-5 and v.steps == 100_000
    assert v.volume == (128, 192, 192)
    assert v.patch == 64 and v.patch_joined == 1.0


def test_the_diffusion_of_the_paper() -> None:
    p = denoiser_preset("paper")
    assert p.steps == 500_000 and p.learning_rate == 1e-4 and p.decay_from == 1.0
    assert p.schedule.steps == 1000
    assert p.network.predicts == "noise"  # eq. 2
    assert p.network.latent_channels == 8
    (pool,) = p.pools
    assert pool.sides == (128, 192, 192)  # "32 x 48 x 48 x 8 in latent space"
    assert p.encode_patch == 64
    assert p.drop_all == 1.0  # no appearance is given


def test_the_shipped_denoiser_predicts_v_on_the_three_windows() -> None:
    p = denoiser_preset("shipped")
    assert p.network.predicts == "v"
    assert [pool.sides[0] for pool in p.pools] == [64, 96, 128]
    assert 0.2 <= p.holes.healthy <= 0.3 and p.holes.max_margin_mm == 3.0


def test_the_shipped_codec_ends_on_large_crops_under_a_falling_rate() -> None:
    p = autoencoder_preset("shipped")
    assert (p.phase(0.0).patch, p.phase(0.0).batch) == (32, 4)
    assert (p.phase(0.65).patch, p.phase(1.0).batch) == (64, 1)
    assert p.decay_from == 0.55


@pytest.mark.parametrize("presets", [AUTOENCODER_PRESETS, DENOISER_PRESETS])
def test_every_preset_is_json_under_its_name(presets: dict) -> None:
    assert list(presets) == ["paper", "shipped", "tiny"]
    for name, preset in presets.items():
        assert json.loads(json.dumps(preset.to_dict()))["name"] == name


@pytest.mark.parametrize("find", [autoencoder_preset, denoiser_preset])
def test_an_unknown_preset_is_refused_with_the_known_ones(find: object) -> None:
    with pytest.raises(SynBTError, match="'small'. Use one of .*'paper', 'shipped', 'tiny'"):
        find("small")  # type: ignore[operator]


@pytest.mark.parametrize("name", ["paper", "shipped", "tiny"])
def test_the_shares_of_the_windows_add_up(name: str) -> None:
    assert sum(pool.share for pool in denoiser_preset(name).pools) == pytest.approx(1.0)


def test_what_makes_weights_is_what_the_documentation_says() -> None:
    assert autoencoder_preset("shipped").min_steps == autoencoder_preset("paper").min_steps == 300
    assert denoiser_preset("shipped").min_steps == denoiser_preset("paper").min_steps == 100
    assert tissue_preset("shipped").min_steps == 100
