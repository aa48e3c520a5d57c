"""Contrast agent and signal: Parker's arterial input, extended Tofts, spoiled gradient echo.

Pure functions, no randomness. Concentrations in mmol/L, rate constants per minute,
relaxation times in seconds.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

HEMATOCRIT = 0.42
STEP_MIN = 1 / 60


def parker_plasma(time_min: np.ndarray) -> np.ndarray:
    """Population plasma concentration after a bolus of 0.1 mmol/kg.

    Args:
        time_min: Minutes since the bolus arrived; before it the result is 0.

    Source:
        Parker et al., Magn Reson Med 56:993 (2006), table 1; divided by 1 - hematocrit.
    """
    t = np.asarray(time_min, float)
    blood = np.zeros_like(t)
    for area, center, width in ((0.809, 0.17046, 0.0563), (0.330, 0.365, 0.132)):
        gauss = np.exp(-((t - center) ** 2) / (2 * width**2)) / (width * math.sqrt(2 * math.pi))
        blood += area * gauss
    sigmoid = 1 + np.exp(-38.078 * np.clip(t - 0.483, -10, None))
    blood += 1.050 * np.exp(-0.1685 * np.clip(t, 0, None)) / sigmoid
    return np.where(t > 0, blood / (1 - HEMATOCRIT), 0.0)


class ToftsModel:
    """Extended Tofts tissue concentration at fixed scan times, tabulated over kep.

    C(t) = vp Cp(t) + Ktrans integral_0^t Cp(s) exp(-kep (t - s)) ds,  kep = Ktrans / ve.

    Args:
        times_s: Scan times in seconds after injection.
        dose: Factor on the arterial input.
        delay_s: Arrival of the bolus after injection.

    Source:
        Tofts et al., J Magn Reson Imaging 10:223 (1999), extended model.
    """

    KEP_MAX = 8.0
    KEP_STEP = 0.05

    def __init__(self, times_s: tuple[float, ...], dose: float = 1.0, delay_s: float = 0.0):
        t = np.arange(0, max(times_s) / 60 + STEP_MIN, STEP_MIN)
        plasma = parker_plasma(t - delay_s / 60) * dose
        kep = np.arange(0, self.KEP_MAX + 2 * self.KEP_STEP, self.KEP_STEP)
        rows = []
        for time in np.asarray(times_s) / 60:
            past = t <= time
            decay = np.exp(-np.outer(kep, time - t[past]))
            rows.append((decay * plasma[past]).sum(axis=1) * STEP_MIN)
        self._integral = torch.tensor(np.array(rows), dtype=torch.float32)
        self._plasma = [float(np.interp(time / 60, t, plasma)) for time in times_s]

    def concentration(self, phase: int, ktrans: Tensor, ve: Tensor, vp: Tensor) -> Tensor:
        """Tissue concentration in scan number `phase`; arguments broadcast."""
        position = (ktrans / ve).clamp(0, self.KEP_MAX) / self.KEP_STEP
        low = position.long()
        part = position - low
        table = self._integral[phase]
        return ktrans * torch.lerp(table[low], table[low + 1], part) + vp * self._plasma[phase]


def spoiled_gradient_echo(
    r1: Tensor,
    density: Tensor | float,
    t2_star: Tensor | float,
    *,
    tr: float,
    te: float,
    flip_deg: float,
) -> Tensor:
    """Steady-state signal of a spoiled gradient echo.

    Args:
        r1: Longitudinal relaxation rate in 1/s (1/T1 + relaxivity x concentration).
        density: Proton density, any unit.
        t2_star: Seconds.
        tr: Repetition time, seconds.
        te: Echo time, seconds.
        flip_deg: Flip angle in degrees.

    Source:
        Haase et al., J Magn Reson 67:258 (1986).
    """
    flip = math.radians(flip_deg)
    e1 = torch.exp(-tr * r1)
    decay = torch.exp(-te / torch.as_tensor(t2_star))
    return density * math.sin(flip) * (1 - e1) / (1 - math.cos(flip) * e1) * decay
