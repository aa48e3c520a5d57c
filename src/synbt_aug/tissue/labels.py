"""The five tissues that decide where a tumor may go."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from synbt_aug.phantom.tissue import Tissue


class TissueLabel(IntEnum):
    """Values of a tissue label map, and the channels of the segmenter."""

    BACKGROUND = 0
    FAT = 1
    GLAND = 2
    SKIN = 3
    BEHIND = 4


#: What each value means, for people.
TISSUE_NAMES = {
    TissueLabel.BACKGROUND: "background",
    TissueLabel.FAT: "breast fat",
    TissueLabel.GLAND: "fibroglandular tissue",
    TissueLabel.SKIN: "skin and nipple",
    TissueLabel.BEHIND: "behind the breast",
}


def tissue_labels(labels: np.ndarray, breast: np.ndarray) -> np.ndarray:
    """Five tissues of a phantom.

    Vessels and lymph nodes inside the breast count as breast fat, in which they lie; a tumor as
    fibroglandular tissue, from which it grew.

    Args:
        labels: Values of `phantom.Tissue`, shape `(X, Y, Z)`.
        breast: Breast in front of the chest muscle, skin included, boolean, same shape.

    Returns:
        Values of `TissueLabel`, uint8, same shape.
    """
    found = np.full(labels.shape, TissueLabel.BEHIND, np.uint8)
    found[labels == Tissue.AIR] = TissueLabel.BACKGROUND
    found[breast] = TissueLabel.FAT
    found[breast & np.isin(labels, (Tissue.GLAND, Tissue.TUMOR))] = TissueLabel.GLAND
    found[np.isin(labels, (Tissue.SKIN, Tissue.NIPPLE))] = TissueLabel.SKIN
    return found
