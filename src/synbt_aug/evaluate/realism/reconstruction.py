"""How near a scan comes to itself after coding: PSNR, SSIM and bias, region by region.

In the scan's own linear units; the range is its own p0.5 to p99.5 span, channel by channel,
whatever the intensity map's references are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.errors import ExtraMissingError, SynBTError
from synbt_aug.evaluate.realism.codecs import CELL, Coding
from synbt_aug.grid.mask import bounding_box
from synbt_aug.signal.intensity import IntensityReference

CHANNELS = ("pre", "post")

#: Percentiles of a channel whose distance is the range that PSNR and SSIM are given for.
SPAN_PERCENTILES = (0.5, 99.5)

#: Kept around the regions that are measured, in voxels: far more than a codec looks.
_AROUND = 24

#: Fewer voxels say nothing.
_FEWEST_VOXELS = 64


@dataclass(frozen=True)
class Row:
    """One figure of one case.

    Args:
        coding: What coded it.
        region: Where.
        channel: "pre" or "post".
        against: "noise-free" or "input".
        psnr_db: For the channel's span.
        bias: Mean difference over the case's reference range.
        ssim: Mean of the map over the region.
    """

    coding: str
    region: str
    channel: str
    against: str
    psnr_db: float
    bias: float
    ssim: float | None


def psnr_db(error: Tensor, span: float) -> float:
    """`10 log10(span^2 / mean(error^2))`; 200 where there is no error to speak of.

    Args:
        error: Any shape, in the units of `span`.
        span: Range of the signal.
    """
    square = float(error.double().square().mean())
    return 10 * math.log10(span**2 / max(square, 1e-20 * span**2))


def span_of(channel: Tensor) -> float:
    """p99.5 less p0.5 of one channel, any shape."""
    values = channel.to(torch.float32).flatten()
    low, high = np.percentile(values[:: max(1, len(values) // 2_000_000)].cpu(), SPAN_PERCENTILES)
    return float(high - low)


def measure_reconstruction(
    image: Tensor,
    reference: IntensityReference,
    regions: Mapping[str, Tensor],
    codings: Mapping[str, Coding],
    *,
    noise_free: Tensor | None = None,
    with_ssim: bool = True,
) -> list[Row]:
    """Code a scan in several ways and measure what comes back.

    Args:
        image: The scan, shape `(2, D, H, W)`, 1 mm.
        reference: Its intensity references.
        regions: Name -> where to measure, boolean, shape `(D, H, W)`; those of fewer than 64
            voxels are left out.
        codings: Name -> what codes.
        noise_free: The same without noise, where it is known, same shape and units.
        with_ssim: Whether SSIM is wanted (1 s a coding and channel).

    Returns:
        A row for each coding, region, channel and thing held against. With `noise_free`, the
        input itself is one of the codings: "nothing", what the noise alone amounts to.

    Raises:
        SynBTError: If there is no region to measure in.
        ExtraMissingError: If SSIM is wanted and scikit-image is not installed.
    """
    regions = {name: m for name, m in regions.items() if int(m.sum()) >= _FEWEST_VOXELS}
    if not regions:
        raise SynBTError("measure_reconstruction needs a region of at least 64 voxels, got none.")
    spans = [span_of(channel) for channel in image]
    box = _box(torch.stack(list(regions.values())).any(0))
    image = image[(slice(None), *box)].to(torch.float32)
    regions = {name: mask[box] for name, mask in regions.items()}
    held = {"input": image}
    ways = {name: coding(image, reference) for name, coding in codings.items()}
    if noise_free is not None:
        held["noise-free"] = noise_free[(slice(None), *box)].to(torch.float32)
        ways["nothing"] = image
    ranges = reference.range(image).flatten().tolist()
    rows = []
    for name, seen in ways.items():
        for against, ideal in held.items():
            if name == "nothing" and against == "input":
                continue
            for k, channel in enumerate(CHANNELS):
                likeness = None
                if with_ssim:
                    likeness = _ssim_map(seen[k], ideal[k], spans[k])
                for region, mask in regions.items():
                    error = (seen[k] - ideal[k])[mask]
                    rows.append(
                        Row(
                            name,
                            region,
                            channel,
                            against,
                            psnr_db(error, spans[k]),
                            float(error.mean()) / ranges[k],
                            None if likeness is None else float(likeness[mask].mean()),
                        )
                    )
    return rows


def medians(rows: list[Row]) -> list[Row]:
    """The median over cases of each figure, in order of first appearance."""
    groups: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.coding, row.region, row.channel, row.against), []).append(row)

    def middle(values: list[float]) -> float:
        return float(np.median(values))

    return [
        Row(
            *key,
            middle([r.psnr_db for r in of]),
            middle([r.bias for r in of]),
            middle(found) if (found := [r.ssim for r in of if r.ssim is not None]) else None,
        )
        for key, of in groups.items()
    ]


def find(rows: list[Row], coding: str, region: str, channel: str, against: str) -> Row | None:
    """The row of these names."""
    wanted = (coding, region, channel, against)
    for row in rows:
        if (row.coding, row.region, row.channel, row.against) == wanted:
            return row
    return None


def _box(where: Tensor) -> tuple[slice, slice, slice]:
    """The regions' box with surroundings; it begins at a whole cell, as the whole scan does."""
    parts = []
    for (start, end), n in zip(bounding_box(where), where.shape, strict=True):
        first = max(start - _AROUND, 0) // CELL * CELL
        last = min(end + _AROUND, n)
        parts.append(slice(first, last))
    return parts[0], parts[1], parts[2]


def _ssim_map(seen: Tensor, ideal: Tensor, span: float) -> Tensor:
    """Structural similarity, voxel by voxel, over 7^3 neighbourhoods.

    Source:
        Wang et al., "Image quality assessment: from error visibility to structural similarity",
        IEEE TIP 13, 2004.
    """
    try:
        from skimage.metrics import structural_similarity
    except ModuleNotFoundError as error:
        raise ExtraMissingError("SSIM", "eval", "scikit-image") from error
    found: Any = structural_similarity(
        seen.cpu().numpy(), ideal.cpu().numpy(), data_range=span, full=True
    )
    return torch.from_numpy(np.ascontiguousarray(found[1])).to(seen.device)
