"""The twelve tissues of a phantom and what MRI measures in each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor


class Tissue(IntEnum):
    """Values of `Phantom.labels`."""

    AIR = 0
    SKIN = 1
    FAT = 2
    GLAND = 3
    VESSEL = 4
    MUSCLE = 5
    BONE = 6
    LUNG = 7
    BLOOD = 8
    LIVER = 9
    NIPPLE = 10
    TUMOR = 11


@dataclass(frozen=True)
class TissueTable:
    """One value per tissue, in the order of `Tissue`; each tensor has shape `(12,)`."""

    t1: Tensor
    t2_star: Tensor
    density: Tensor
    fat_fraction: Tensor
    ktrans: Tensor
    ve: Tensor
    vp: Tensor


# fmt: off
#          air  skin  fat   gland vess  musc  bone  lung  blood liver nippl tumor
T1_1T5 = (1.00, 0.85, 0.30, 1.27, 1.44, 1.05, 0.60, 1.20, 1.35, 0.60, 1.00, 1.32)
T1_3T = (1.00, 0.85, 0.42, 1.60, 1.80, 1.41, 0.60, 1.20, 1.65, 0.81, 1.00, 1.50)
T2_STAR = (1.0, .015, .036, .022, .040, .020, .008, .003, .030, .018, .018, .030)
DENSITY = (0.0, 0.75, 1.00, 0.82, 0.90, 0.78, 0.55, 0.12, 0.88, 0.75, 0.80, 0.84)
FAT = (0.00, 0.10, 0.96, 0.06, 0.00, 0.04, 0.45, 0.00, 0.00, 0.03, 0.05, 0.00)
KTRANS = (0.0, .018, .002, .020, .050, .022, .020, .012, .050, .450, .035, 0.20)
VE = (0.10, 0.15, 0.05, 0.35, 0.10, 0.13, 0.10, 0.10, 0.20, 0.35, 0.30, 0.30)
VP = (0.00, .030, .003, .020, 0.50, .030, .030, .030, .450, .200, .080, .040)
# fmt: on


def tissue_table(field_tesla: float) -> TissueTable:
    """Values from the literature at 1.5 or 3 T: T1 and T2* in s, Ktrans per min.

    Source:
        Rakow-Penner et al., JMRI 23:87 (2006) for fat and gland; Stanisz et al., MRM
        54:507 (2005) for muscle, blood and liver; DCE parameters from breast DCE reviews.
    """
    t1 = T1_3T if field_tesla > 2 else T1_1T5
    rows = (t1, T2_STAR, DENSITY, FAT, KTRANS, VE, VP)
    return TissueTable(*(torch.tensor(row) for row in rows))
