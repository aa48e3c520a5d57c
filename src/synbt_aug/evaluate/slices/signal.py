"""Features of a lesion's signal and of the ring around it; ratios, so that any scale will do."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from synbt_aug.evaluate.slices.lesion import Lesion

#: In the order in which they come: of the lesion, of its ring.
SIGNAL = ("cv_post", "rim", "early", "contrast_pre", "contrast_post", "texture")
RING = ("ring_enhancement", "ring_cv", "ring_texture")

#: What varies within this width is texture, in mm.
_FINE_MM = 1.5

#: Shares of the lesion's depths: rim up to the first, core from the second on.
_RIM, _CORE = 0.4, 0.75


def signal_features(lesion: Lesion) -> dict[str, float]:
    """Signal of one lesion.

    Args:
        lesion: At 1 mm.

    Returns:
        - cv_post: SD over mean of post.
        - rim: Post in the outer 40 % of depths over that in the inner 25 %.
        - early: Enhancement over pre.
        - contrast_pre, contrast_post: Lesion over ring.
        - texture: SD of post finer than 1.5 mm, over its mean.
    """
    pre, post, mask, ring = lesion.pre, lesion.post, lesion.mask, lesion.ring
    depths = lesion.depth_mm[lesion.filled]
    rim = post[lesion.filled & (lesion.depth_mm <= np.quantile(depths, _RIM))].mean()
    core = post[lesion.filled & (lesion.depth_mm >= np.quantile(depths, _CORE))].mean()
    return {
        "cv_post": float(post[mask].std() / post[mask].mean()),
        "rim": float(rim / max(core, 1e-6)),
        "early": float(lesion.enhancement[mask].mean() / max(pre[mask].mean(), 1e-6)),
        "contrast_pre": float(pre[mask].mean() / max(pre[ring].mean(), 1e-6)),
        "contrast_post": float(post[mask].mean() / max(post[ring].mean(), 1e-6)),
        "texture": float(_fine(lesion)[mask].std() / post[mask].mean()),
    }


def ring_features(lesion: Lesion) -> dict[str, float]:
    """Signal of the ring, 2 to 7 mm from one lesion.

    Args:
        lesion: At 1 mm.

    Returns:
        - ring_enhancement: Enhancement over pre.
        - ring_cv: SD over mean of post.
        - ring_texture: SD of post finer than 1.5 mm, over its mean.
    """
    pre, post, ring = lesion.pre, lesion.post, lesion.ring
    return {
        "ring_enhancement": float(lesion.enhancement[ring].mean() / max(pre[ring].mean(), 1e-6)),
        "ring_cv": float(post[ring].std() / post[ring].mean()),
        "ring_texture": float(_fine(lesion)[ring].std() / post[ring].mean()),
    }


def _fine(lesion: Lesion) -> np.ndarray:
    return lesion.post - ndimage.gaussian_filter(lesion.post, _FINE_MM)
