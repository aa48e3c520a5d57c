"""Blood vessels: walks from the edge of the breast towards the nipple, and veins under the skin."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage, signal
from torch import Tensor

from synbt_aug.phantom.strands import STEP_MM as TUBE_STEP_MM
from synbt_aug.phantom.strands import follow, tube_weight
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue
from synbt_aug.phantom.torso import Breast, Torso

STEP_MM = 0.5

#: Veins under the skin of one breast: how many, how deep in mm, and their radius in mm (median,
#: sigma, range).
VEINS = (15, 34)
VEIN_DEPTH_MM = (2.5, 12.0)
VEIN_RADIUS_MM = (0.6, 0.35, (0.35, 1.3))
#: How full of contrast the veins of a patient are: they fill later than arteries.
VEIN_FILL = (0.6, 1.0)


#: Twigs in 100 cm3 of breast, their length, and their radius in mm (median, sigma, range). They are
#: what patients' slices show as fine bright lines and dots.
TWIGS_PER_100_CM3, TWIG_MM = (14.0, 62.0), (12.0, 42.0)
TWIG_RADIUS_MM = (0.38, 0.25, (0.25, 0.7))

#: What vessels run through, and what they do not replace.
SOFT = (Tissue.FAT, Tissue.GLAND, Tissue.MUSCLE)


def grow_vessels(torso: Torso, labels: Tensor, chest: Tensor, rnd: Randomness) -> Tensor:
    """Draw vessels into `labels`.

    Args:
        torso: The body.
        labels: Changed in place.
        chest: Partial volume of vessels that are drawn with these, see `grow_chest_vessels`.
        rnd: Source of randomness.

    Returns:
        Partial volume of all, shape of the grid.
    """
    points: list[np.ndarray] = []
    radii: list[np.ndarray] = []
    for breast in torso.breasts:
        for _ in range(int(rnd.numbers.integers(7, 15))):
            angle = rnd.uniform(0, 2 * np.pi)
            start = np.array(
                [
                    breast.center[0] + 0.88 * breast.radii[0] * np.cos(angle),
                    breast.base_y - rnd.uniform(-2, 12),
                    breast.center[1] + 0.88 * breast.radii[1] * np.sin(angle),
                ]
            )
            goal = np.array(breast.nipple)
            goal[1] += rnd.uniform(6, 30)
            goal += rnd.numbers.normal(0, 10, 3)
            stop = start + (goal - start) * rnd.uniform(0.5, 0.95)
            _walk(start, stop, rnd.uniform(0.45, 1.0), 0, points, radii, rnd)
    for path, radius in _twigs(torso, labels, rnd):
        points.append(path)
        radii.append(radius)
    veins = [v for breast in torso.breasts for v in _veins(torso, breast, rnd)]
    tissue = torch.isin(labels, torch.tensor([int(t) for t in SOFT]))
    weight = chest
    if points:
        tubes = tube_weight(torso.grid, np.concatenate(points), np.concatenate(radii))
        weight = torch.maximum(weight, tubes)
    if veins:
        paths, widths = zip(*veins)
        tubes = tube_weight(torso.grid, np.concatenate(paths), np.concatenate(widths))
        tubes = tubes * rnd.uniform(*VEIN_FILL)
        weight = torch.maximum(weight, tubes)
    weight = weight * (tissue & (torso.skin_depth > 1))
    labels[weight > 0.5] = Tissue.VESSEL
    return weight


def _twigs(torso: Torso, labels: Tensor, rnd: Randomness) -> list[tuple[np.ndarray, np.ndarray]]:
    """Paths and radii in mm of fine vessels all over the breasts, most of them along the ducts."""
    soft = (labels == Tissue.FAT) | (labels == Tissue.GLAND)
    voxels = torch.nonzero(soft & (torso.radial < 1) & (torso.skin_depth > 3)).numpy()
    volume_cm3 = len(voxels) * float(np.prod(torso.grid.spacing)) / 1000
    count = int(rnd.numbers.poisson(rnd.uniform(*TWIGS_PER_100_CM3) * volume_cm3 / 100))
    if count == 0:
        return []
    drawn = voxels[rnd.numbers.integers(len(voxels), size=count)]
    starts = drawn * np.array(torso.grid.spacing) + np.array(torso.grid.origin_mm)
    nipples = np.array([breast.nipple for breast in torso.breasts])
    nearest = np.linalg.norm(starts[:, None] - nipples, axis=-1).argmin(axis=1)
    ahead = nipples[nearest] - starts
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-6
    heading = ahead + 0.45 * rnd.numbers.normal(size=(count, 3))
    paths = follow(starts, heading, rnd.numbers.uniform(*TWIG_MM, count), rnd, wobble=0.06)
    widths = [rnd.lognormal(*TWIG_RADIUS_MM) for _ in paths]
    return [(p, width * np.linspace(1.0, 0.6, len(p))) for p, width in zip(paths, widths)]


def _veins(torso: Torso, breast: Breast, rnd: Randomness) -> list[tuple[np.ndarray, np.ndarray]]:
    """Paths and radii in mm of veins that wind along the surface, with branches."""
    veins = []
    for _ in range(int(rnd.numbers.integers(*VEINS))):
        path = path_under_skin(torso, breast, rnd.uniform(*VEIN_DEPTH_MM), rnd)
        radius = rnd.lognormal(*VEIN_RADIUS_MM)
        if len(path) < 20:
            continue
        veins.append((path, radius * np.linspace(1.0, 0.6, len(path))))
        forks = rnd.numbers.integers(5, len(path) - 5, rnd.numbers.integers(0, 4))
        if len(forks):
            heading = path[forks + 4] - path[forks] + rnd.numbers.normal(0, 1.0, (len(forks), 3))
            lengths = rnd.numbers.uniform(8, 35, len(forks))
            branches = follow(path[forks], heading, lengths, rnd, wobble=0.06)
            veins += [(b, 0.6 * radius * np.linspace(1.0, 0.5, len(b))) for b in branches]
    return veins


def path_under_skin(torso: Torso, breast: Breast, depth_mm: float, rnd: Randomness) -> np.ndarray:
    """A path along the surface of a breast, from the chest wall towards the nipple.

    Args:
        torso: What it lies in.
        breast: One of its breasts.
        depth_mm: Depth below the skin that it keeps.
        rnd: Source of randomness.

    Returns:
        Points in mm, shape `(N, 3)`; none where little of the breast's surface is in the field.
    """
    count = 80
    along = np.linspace(rnd.uniform(-0.1, 0.4), rnd.uniform(0.5, 0.95), count)
    winding = np.cumsum(ndimage.gaussian_filter1d(rnd.numbers.normal(size=count), 5)) * 0.12
    angle = rnd.uniform(0, 2 * np.pi) + rnd.normal(0, 1.0) * (along - along[0]) + winding
    base = np.array([breast.center[0], breast.base_y, breast.center[1]])
    axis = base + along[:, None] * (np.array(breast.nipple) - base)
    ray = np.stack([np.cos(angle), np.zeros(count), np.sin(angle)], axis=1)
    reach = np.arange(2.0, 110.0, 1.0)
    points = axis[:, None] + reach[:, None] * ray[:, None]
    voxel = np.round(torso.grid.index(points)).astype(int)
    inside = np.all((voxel >= 0) & (voxel < np.array(torso.grid.shape)), axis=-1)
    i, j, k = np.where(inside[..., None], voxel, 0).reshape(-1, 3).T
    depth = torso.skin_depth.numpy()[i, j, k].reshape(inside.shape)
    deep = inside & (depth >= depth_mm)
    # The last place on the ray that is deep enough, where the ray goes on to the skin.
    last = deep.shape[1] - 1 - np.argmax(deep[:, ::-1], axis=1)
    ends = np.minimum(last + 3, deep.shape[1] - 1)
    seen = deep.any(axis=1) & inside[np.arange(count), ends]
    if seen.sum() < 10:
        return np.empty((0, 3))
    path = ndimage.gaussian_filter1d(points[np.arange(count), last][seen], 2.5, axis=0)
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
    at = np.arange(0, length[-1], TUBE_STEP_MM)
    return np.stack([np.interp(at, length, c) for c in path.T], axis=1)


def _walk(
    start: np.ndarray,
    stop: np.ndarray,
    radius: float,
    generation: int,
    points: list[np.ndarray],
    radii: list[np.ndarray],
    rnd: Randomness,
) -> None:
    """One wavering vessel and, at random, its branches (two generations)."""
    length = float(np.linalg.norm(stop - start))
    count = int(length / STEP_MM)
    if count < 8:
        return
    wobble = ndimage.gaussian_filter1d(rnd.numbers.normal(size=(count, 3)), 8, axis=0) * 1.8
    target = (stop - start) / length
    # Heading: 88 % of the one before, 12 % of the target's, plus a slow wobble.
    heading = target + signal.lfilter([0.2], [1, -0.88], wobble, axis=0)
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    path = start + STEP_MM * np.cumsum(heading, axis=0)
    points.append(path)
    radii.append(radius * (1 - 0.55 * np.arange(count) / count))
    if generation == 2:
        return
    for i in np.flatnonzero(rnd.numbers.random(count) < 0.018):
        branch = (rnd.numbers.normal(size=3) * 0.7 + heading[i]) * rnd.uniform(10, 26)
        _walk(path[i], path[i] + branch, 0.65 * radius, generation + 1, points, radii, rnd)
