from __future__ import annotations

import pytest

from synbt_aug.adapt.presets import decoder_preset, denoiser_preset, parted
from synbt_aug.errors import SynBTError
from synbt_aug.networks import DenoiserSettings, VQVAESettings
from synbt_aug.train import autoencoder_preset as codec_preset
from synbt_aug.train import denoiser_preset as net_preset


def test_the_decoder_alone_is_trained_on() -> None:
    preset = decoder_preset(codec_preset("shipped").network)
    assert preset.name == "shipped" and preset.steps == 0
    assert preset.volumes is not None and preset.volumes.time_share == 1.0
    assert all(side % preset.volumes.patch == 0 for side in preset.volumes.volume)


def test_the_denoiser_goes_on_more_slowly_than_it_was_trained() -> None:
    trained = net_preset("shipped")
    preset = denoiser_preset(trained.network)
    assert preset.network == trained.network and preset.schedule == trained.schedule
    assert preset.learning_rate < trained.learning_rate
    assert preset.min_steps < trained.min_steps


def test_the_time_is_parted_between_the_networks() -> None:
    times = parted(1000.0)
    assert sum(times) == pytest.approx(1000.0)
    assert times.denoiser > times.decoder > 0


def test_networks_of_no_preset_are_refused() -> None:
    with pytest.raises(SynBTError, match="The autoencoder of these weights has the shape of no"):
        decoder_preset(VQVAESettings(channels=(6, 12)))
    with pytest.raises(SynBTError, match="The denoiser of these weights has the shape of no"):
        denoiser_preset(DenoiserSettings(channels=(32, 64)))
