"""The denoiser: shapes, appearance, names."""

from __future__ import annotations

import pytest
import torch

from synbt_aug.networks import Denoiser, DenoiserSettings
from synbt_aug.networks.denoiser import guided

TINY = DenoiserSettings(channels=(8, 16), norm_groups=4, head_channels=8, appearance_inputs=3)


@pytest.fixture(scope="module")
def tiny() -> Denoiser:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Denoiser(TINY).eval()
        # MONAI starts the last layer of each block at 0, where no condition passes.
        for weight in net.parameters():
            if weight.ndim > 1 and not weight.any():
                torch.nn.init.normal_(weight, std=0.1)
    return net


def inputs(batch: int = 2, side: int = 4) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, 8, side, side, side)
    return {
        "z_t": torch.randn(shape, generator=generator),
        "t": torch.tensor([10, 900])[:batch],
        "z_masked": torch.randn(shape, generator=generator),
        "mask": torch.rand(batch, 1, side, side, side, generator=generator),
        "appearance": torch.randn(batch, 3, generator=generator),
        "appearance_known": torch.ones(batch, 3),
    }


def test_the_shipped_network_is_small() -> None:
    net = Denoiser()
    assert sum(p.numel() for p in net.parameters()) <= 12e6
    assert net.unet.in_channels == 17 and net.unet.out_channels == 8


@torch.no_grad()
@pytest.mark.parametrize("side", [4, 6, 8])
def test_the_prediction_has_the_shape_of_the_latent(tiny: Denoiser, side: int) -> None:
    assert tiny(**inputs(side=side)).shape == (2, 8, side, side, side)


@torch.no_grad()
def test_every_condition_reaches_the_prediction(tiny: Denoiser) -> None:
    before = tiny(**inputs())
    for name in ("z_t", "z_masked", "mask", "appearance", "appearance_known"):
        changed = inputs()
        changed[name] = changed[name] * 0.5
        assert not torch.allclose(tiny(**changed), before, atol=1e-6), name
    assert not torch.allclose(tiny(**{**inputs(), "t": torch.tensor([500, 500])}), before)


@torch.no_grad()
def test_a_withheld_number_does_not_matter(tiny: Denoiser) -> None:
    withheld = inputs()
    withheld["appearance_known"][:, 1] = 0
    other = {**withheld, "appearance": withheld["appearance"].clone()}
    other["appearance"][:, 1] = 99.0
    assert torch.equal(tiny(**withheld), tiny(**other))


@torch.no_grad()
def test_guidance_of_one_is_the_plain_prediction_and_zero_ignores_the_wish(tiny: Denoiser) -> None:
    told = inputs()
    free = {**told, "appearance_known": torch.zeros(2, 3)}
    assert torch.equal(guided(tiny, **told, guidance=1.0), tiny(**told))
    assert torch.allclose(guided(tiny, **told, guidance=0.0), tiny(**free), atol=1e-6)
    double = 2 * tiny(**told) - tiny(**free)
    assert torch.allclose(guided(tiny, **told, guidance=2.0), double, atol=1e-5)


def test_normalised_latents_have_mean_0_and_sd_1_and_come_back(tiny: Denoiser) -> None:
    net = Denoiser(TINY)
    z = 3 + 2 * torch.randn(1, 8, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    net.latent_mean.fill_(3)
    net.latent_std.fill_(2)
    normal = net.normalise(z)
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    assert torch.allclose(net.restore(normal), z, atol=1e-5)


def test_sides_that_do_not_divide_are_refused(tiny: Denoiser) -> None:
    with pytest.raises(ValueError, match="sides divisible by 2"):
        tiny(**inputs(side=5))


def test_another_count_of_numbers_is_refused(tiny: Denoiser) -> None:
    with pytest.raises(ValueError, match="takes 3 numbers of appearance"):
        tiny(**{**inputs(), "appearance": torch.zeros(2, 5), "appearance_known": torch.zeros(2, 5)})


def test_the_names_in_the_state_dict_are_ours_and_stay(tiny: Denoiser) -> None:
    def pairs(*names: str) -> list[str]:
        return [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]

    block = ("norm1", "conv1", "time", "norm2", "conv2")

    def residual(name: str, *, skip: bool) -> list[str]:
        return pairs(*(f"{name}.{part}" for part in (*block, *(["skip"] if skip else []))))

    expected = [
        "latent_mean",
        "latent_std",
        *pairs("input", "time.first", "time.second", "appearance.first", "appearance.second"),
        *residual("down0.residual0", skip=False),
        *pairs("down0.shrink"),
        *residual("down1.residual0", skip=True),
        *residual("middle.residual0", skip=False),
        *pairs(*(f"middle.attention.{part}" for part in ("norm", "out", "q", "k", "v"))),
        *residual("middle.residual1", skip=False),
        *residual("up0.residual0", skip=True),
        *residual("up0.residual1", skip=True),
        *pairs("up0.grow"),
        *residual("up1.residual0", skip=True),
        *residual("up1.residual1", skip=True),
        *pairs("output.norm", "output.conv"),
    ]
    assert sorted(tiny.state_dict()) == sorted(expected)


@torch.no_grad()
def test_saved_weights_come_back(tiny: Denoiser) -> None:
    other = Denoiser(DenoiserSettings.from_dict(TINY.to_dict())).eval()
    other.load_state_dict(tiny.state_dict())
    assert torch.equal(other(**inputs()), tiny(**inputs()))
