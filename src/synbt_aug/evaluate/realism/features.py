"""Distances between two sets of feature vectors: FID and MMD.

Features are first divided by the SD of the real training set's, so that the figures do not hang
on the scale in which a network happens to count. FID is biased upwards for few windows: it is
worth something only beside that of real against real of the same count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Squared Fréchet (Wasserstein-2) distance of the Gaussians of two sets.

    `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`

    Args:
        first: Features, shape `(N, F)`.
        second: Shape `(M, F)`.

    Returns:
        0 for equal sets.

    Raises:
        SynBTError: If a set has fewer than two vectors, or they differ in length.

    Source:
        Dowson and Landau, J Multivariate Analysis 12, 1982; Heusel et al., "GANs trained by a two
        time-scale update rule", NeurIPS 2017.
    """
    a, b = _checked(first, second)
    mean = (a.mean(0) - b.mean(0)).square().sum()
    cov_a, cov_b = torch.atleast_2d(torch.cov(a.T)), torch.atleast_2d(torch.cov(b.T))
    # tr (S1 S2)^(1/2) is that of the symmetric S1^(1/2) S2 S1^(1/2).
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors @ (values.clamp_min(0).sqrt()[:, None] * vectors.T)
    both = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return max(float(mean + cov_a.trace() + cov_b.trace() - 2 * both), 0.0)


def mmd_squared(first: Tensor, second: Tensor) -> float:
    """Unbiased squared maximum mean discrepancy under the kernel `(x y / F + 1)^3`.

    Args:
        first: Features, shape `(N, F)`.
        second: Shape `(M, F)`.

    Returns:
        0 in the mean for two draws of one distribution, so it may be below 0.

    Raises:
        SynBTError: As for `frechet_distance`.

    Source:
        Gretton et al., "A kernel two-sample test", JMLR 13, 2012, eq. 3; Binkowski et al.,
        "Demystifying MMD GANs", ICLR 2018 (the kernel, "KID").
    """
    a, b = _checked(first, second)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def among(x: Tensor) -> Tensor:
        k = kernel(x, x)
        return (k.sum() - k.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(among(a) + among(b) - 2 * kernel(a, b).mean())


def standardised(like: Tensor, *sets: Tensor) -> list[Tensor]:
    """Sets in units of the spread of the first, less its mean.

    Args:
        like: Shape `(N, F)`, two vectors at least; a feature that does not vary there is left out.
        sets: Shape `(M, F)` each.
    """
    (checked, _) = _checked(like, like)
    spread = checked.std(0)
    used = spread > 1e-9
    middle = checked.mean(0)[used]
    return [(x.double()[:, used] - middle) / spread[used] for x in sets]


def _checked(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise SynBTError(
            f"Features need shape (N, F) and (M, F), got {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
    if min(len(first), len(second)) < 2:
        raise SynBTError(
            f"A distance of two sets needs at least 2 windows each, got {len(first)} and "
            f"{len(second)}."
        )
    return first.double(), second.double()
