"""Contrast agent and signal against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from synbt_aug.phantom.physics import HEMATOCRIT, ToftsModel, parker_plasma, spoiled_gradient_echo


def test_plasma_holds_no_agent_before_the_bolus() -> None:
    assert parker_plasma(np.array([-1.0, 0.0])).tolist() == [0.0, 0.0]


def test_plasma_decays_late_as_parkers_exponential() -> None:
    # After some minutes only 1.050 exp(-0.1685 t) of the formula is left.
    expected = 1.050 * math.exp(-0.1685 * 5) / (1 - HEMATOCRIT)
    assert parker_plasma(np.array([5.0]))[0] == pytest.approx(expected, rel=1e-6)


def test_the_first_pass_peaks_near_ten_seconds() -> None:
    t = np.linspace(0, 2, 2401)
    assert t[parker_plasma(t).argmax()] == pytest.approx(0.17046, abs=0.01)


def test_plasma_alone_gives_vp_times_plasma() -> None:
    model = ToftsModel((120.0,))
    c = model.concentration(0, torch.tensor(0.0), torch.tensor(0.3), torch.tensor(0.1))
    assert float(c) == pytest.approx(0.1 * parker_plasma(np.array([2.0]))[0], rel=1e-3)


@pytest.mark.parametrize("kep", [0.075, 0.5, 2.0])
def test_tissue_follows_the_tofts_integral(kep: float) -> None:
    ve, minutes = 0.4, 3.0
    s = np.linspace(0, minutes, 60_001)
    integrand = parker_plasma(s) * np.exp(-kep * (minutes - s))
    expected = kep * ve * float(((integrand[1:] + integrand[:-1]) / 2).sum() * (s[1] - s[0]))
    model = ToftsModel((60.0 * minutes,))
    c = model.concentration(0, torch.tensor(kep * ve), torch.tensor(ve), torch.tensor(0.0))
    assert float(c) == pytest.approx(expected, rel=0.02)


def test_twice_the_dose_gives_twice_the_concentration() -> None:
    values = torch.tensor(0.1), torch.tensor(0.4), torch.tensor(0.05)
    single = ToftsModel((90.0,)).concentration(0, *values)
    double = ToftsModel((90.0,), dose=2.0).concentration(0, *values)
    torch.testing.assert_close(double, 2 * single)


def test_a_spoiled_gradient_echo_matches_the_formula() -> None:
    # T1 = 1 s, TR = 5 ms, 10 degrees: E1 = 0.995012, cos = 0.984808, sin = 0.173648;
    # 0.173648 x 0.004988 / (1 - 0.979896) = 0.043079 before decay over TE = T2*.
    signal = spoiled_gradient_echo(
        torch.tensor(1.0), 1.0, torch.tensor(0.002), tr=0.005, te=0.002, flip_deg=10
    )
    assert float(signal) == pytest.approx(0.043079 * math.exp(-1), rel=1e-3)


def test_full_relaxation_leaves_density_times_sine_of_the_flip_angle() -> None:
    signal = spoiled_gradient_echo(
        torch.tensor(1e4), 0.8, torch.tensor(1e9), tr=1.0, te=0.0, flip_deg=30
    )
    assert float(signal) == pytest.approx(0.8 * 0.5, rel=1e-5)


def test_signal_rises_with_the_relaxation_rate() -> None:
    rates = torch.linspace(0.5, 10, 50)
    signal = spoiled_gradient_echo(rates, 1.0, torch.tensor(0.03), tr=0.005, te=0.002, flip_deg=12)
    assert bool((signal.diff() > 0).all())
