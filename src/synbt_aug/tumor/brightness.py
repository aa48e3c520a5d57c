"""How bright a template's tumor is in another scan: brighter where what lies around it is.

Enhancement is measured in reference ranges, and what a range is differs between scans: probably
where muscle, liver or much gland is in view and takes up contrast a range is wide, and the same
tumor measures fewer of them. In slices of 101 patients, and in phantoms, the logarithm of a tumor's
enhancement rises by .8 of that of the level around it. A place is known on a coarse grid alone,
whose error a smaller slope makes up for.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from synbt_aug.grid.window import Window
from synbt_aug.tissue.sites import SiteMap
from synbt_aug.tumor.places import border_at
from synbt_aug.tumor.template import Template

#: An enhancement is multiplied by this at least and at most. A breast of dark fat alone would make
#: tumors faint that are bright in patients: there the template's own brightness says more.
SMALLEST_FACTOR = 0.7
LARGEST_FACTOR = 2.5

#: Slope of the logarithm of enhancement over that of the level around. With 1 tumors drawn for
#: phantoms spread by half as much again as phantoms' own, a fifth too bright in the mean.
FOLLOWS = 0.6

#: What is drawn is multiplied by this, and what shows before contrast by the second: so painted
#: into phantoms the shipped bank's tumors stand out in slices about as much as 101 patients', after
#: contrast and before it. Of other banks it is not known.
DIMMER = 0.77
BRIGHTER_PRE = 1.2

#: Enhancement that is drawn at least, over the SD of the subtraction's noise on the working grid: a
#: tenth of 101 patients' tumors lie below (9.2 times the noise of a slice at 1 mm, 1.65 times that
#: of the grid), and where fat is dark and noisy, theirs are brighter.
LEAST_OVER_NOISE = 15.0

#: The same in reference ranges where noise is not known.
FAINTEST = 0.45

#: Pre-contrast enhancement that is drawn at least, in reference ranges: where fat is dark (one of
#: five of the shipped bank's templates has less), and anywhere of templates that have as much.
FAINTEST_PRE, FAINTEST_PRE_ELSEWHERE = 0.15, 0.05

#: Of what is drawn and what is drawn at least the mean of this power: few lie near the limit, and
#: bright tumors hardly change.
_SOFTNESS = 4


def lifted(enhancement: float, sites: SiteMap) -> float:
    """An enhancement that shows above the noise of a scan.

    Args:
        enhancement: In reference ranges.
        sites: Of the host.
    """
    noise = None if sites.landmarks is None else sites.landmarks.noise
    least = FAINTEST if noise is None else LEAST_OVER_NOISE * noise
    powers = max(enhancement, 0.0) ** _SOFTNESS + least**_SOFTNESS
    return float(powers ** (1 / _SOFTNESS))


def carried_over(
    template: Template, sites: SiteMap, shape: tuple[int, int, int], window: Window, mask: Tensor
) -> float:
    """What a template's enhancement is multiplied by at a place.

    Args:
        template: With its `surroundings`.
        sites: Of the host.
        shape: The host's voxels along D, H and W.
        window: The tumor's.
        mask: The tumor in its window, boolean, shape `(d, h, w)`.

    Returns:
        Level of post around the place over that around the template, to the power of `FOLLOWS`,
        from .7 to 2.5, and 1 where either is not known; times `DIMMER`.
    """
    return DIMMER * _followed(template, sites, shape, window, mask)


def darkest(template: Template, sites: SiteMap) -> float:
    """Least pre-contrast enhancement of a template's tumor in a scan, in reference ranges.

    Where fat is suppressed a tumor is no hole in it, wherever its template comes from. Elsewhere,
    and where nothing tells, it is as dark as its template at most.

    Args:
        template: It.
        sites: Of the host.

    Returns:
        `FAINTEST_PRE`, or `FAINTEST_PRE_ELSEWHERE` at most.
    """
    if sites.landmarks is not None and sites.landmarks.dark_fat:
        return FAINTEST_PRE
    return min(template.appearance.pre_contrast or 0.0, FAINTEST_PRE_ELSEWHERE)


def _followed(
    template: Template, sites: SiteMap, shape: tuple[int, int, int], window: Window, mask: Tensor
) -> float:
    """How a template's enhancement follows the level around it; arguments as above."""
    if template.surroundings is None or sites.landmarks is None or sites.landmarks.post is None:
        return 1.0
    index = tuple(border_at(mask, window.centre, sites, sites.landmarks, shape).T)
    here = sites.landmarks.post.float().numpy()[index]
    there = template.surroundings[1]
    if there <= 0 or np.isnan(here).all():
        return 1.0
    factor = (float(np.nanmean(here)) / there) ** FOLLOWS
    return min(max(factor, SMALLEST_FACTOR), LARGEST_FACTOR)
