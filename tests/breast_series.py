"""The analytic breast with further phases, each with a scale and noise of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from analytic import MM, FlatTexture, breast_image
from synbt_aug.texture import PaintingJob
from synbt_aug.volume import BreastVolume, Spacing

#: Gain of each further phase over post, of the whole image.
GAINS = (2.0, 0.5)


def series_image(spacing: Spacing = MM, seed: int = 0) -> Tensor:
    """Pre, post and two further scans."""
    further = [breast_image(spacing, seed + 100 + k)[1] * gain for k, gain in enumerate(GAINS)]
    return torch.cat([breast_image(spacing, seed), torch.stack(further)])


def series(spacing: Spacing = MM, seed: int = 0, earlier: int = 0) -> BreastVolume:
    """The same as a volume."""
    return BreastVolume(series_image(spacing, seed), spacing, earlier=earlier)


class Flat(FlatTexture):
    """Paints one level inside the mask and another around it, in the host's place."""

    replaces = True
    inside, outside = (0.2, 2.6), (-0.2, -0.1)

    def __call__(self, job: PaintingJob) -> Tensor:
        self.batches.append((len(job), job.shape))
        levels = [torch.tensor(pair).view(1, 2, 1, 1, 1) for pair in (self.inside, self.outside)]
        return torch.where(job.mask[:, None], *levels)
