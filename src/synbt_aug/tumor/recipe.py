"""A recipe: what is needed to paint the same tumors again, as JSON."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.joint_window import place_in
from synbt_aug.grid.mask import bounding_box
from synbt_aug.grid.window import WINDOW_SIDES_MM, Window
from synbt_aug.support.number import check_number, check_seed, check_whole
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.curve import Curve
from synbt_aug.tumor.distractor import Distractor
from synbt_aug.tumor.fringe import Fringe
from synbt_aug.tumor.pose import Pose
from synbt_aug.tumor.sizes import LARGEST_MM, SMALLEST_MM

#: Raised when a recipe's meaning changes.
RECIPE_FORMAT = 4

#: Host voxels; no site lies farther out.
_FAR = 100_000

KINDS = ("tumor", "null", "removal", "distractor")


@dataclass(frozen=True)
class TumorRecipe:
    """One thing painted.

    Args:
        kind: "tumor", "null" (ordinary tissue over a healthy place), "removal" or "distractor"
            (something benign, without a label).
        window: Where.
        noise_seed: Of the diffusion's noise.
        appearance: Asked of the network.
        diameter_mm: Wanted, for a posed template.
        pose: How the template lies; None where `mask` gives the shape.
        mask: A given shape on the host's grid, packed by `pack_mask`.
        voxels_of: Template whose voxels are pasted into a given shape.
        distractor: The benign thing.
        curve: How it shows in further post-contrast scans; None where the host has none, and of
            what is ordinary tissue.
        fringe: What leaves the body of a posed template; a given mask that has one, by
            `fringe_of_mask`, is painted with its own teeth and strands. None: the body is all
            there is.
        painted_in: The larger window that it was painted in, in a batch with others; None: in its
            own.
    """

    kind: str
    window: Window
    noise_seed: int
    appearance: Appearance = Appearance()
    diameter_mm: float | None = None
    pose: Pose | None = None
    mask: dict[str, Any] | None = None
    voxels_of: int | None = None
    distractor: Distractor | None = None
    curve: Curve | None = None
    fringe: Fringe | None = None
    painted_in: Window | None = None

    def with_noise(self, seed: int) -> TumorRecipe:
        """The same with other noise."""
        return replace(self, noise_seed=seed)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        # Left out where they do not apply: a recipe without them reads as it always did.
        more: dict[str, Any] = {}
        if self.voxels_of is not None:
            more["voxels_of"] = self.voxels_of
        if self.distractor is not None:
            more["distractor"] = self.distractor.to_dict()
        if self.curve is not None:
            more["curve"] = self.curve.to_dict()
        if self.fringe is not None:
            more["fringe"] = self.fringe.to_dict()
        if self.painted_in is not None:
            more["painted_in"] = _window_to_dict(self.painted_in)
        return {
            "kind": self.kind,
            **_window_to_dict(self.window),
            "noise_seed": self.noise_seed,
            "appearance": self.appearance.to_dict(),
            "diameter_mm": self.diameter_mm,
            "pose": None if self.pose is None else self.pose.to_dict(),
            "mask": self.mask,
            **more,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], spacing: tuple[float, ...]) -> TumorRecipe:
        """Read what `to_dict` wrote.

        Raises:
            SynBTError: If something is missing or of the wrong kind.
        """
        try:
            window = _read_window(values, spacing)
            if values["kind"] not in KINDS:
                raise SynBTError(f"unknown kind {values['kind']!r}")
            diameter = values["diameter_mm"]
            voxels_of, distractor = values.get("voxels_of"), values.get("distractor")
            curve, fringe = values.get("curve"), values.get("fringe")
            larger = values.get("painted_in")
            return cls(
                kind=str(values["kind"]),
                window=window,
                noise_seed=check_seed(values["noise_seed"], "noise_seed"),
                appearance=Appearance.from_dict(values["appearance"]),
                diameter_mm=None
                if diameter is None
                else check_number("diameter_mm", diameter, SMALLEST_MM, LARGEST_MM),
                pose=None if values["pose"] is None else Pose.from_dict(values["pose"]),
                mask=values["mask"],
                voxels_of=None if voxels_of is None else check_whole("voxels_of", voxels_of, 0),
                distractor=None if distractor is None else Distractor.from_dict(distractor),
                curve=None if curve is None else Curve.from_dict(curve),
                fringe=None if fringe is None else Fringe.from_dict(fringe),
                painted_in=None if larger is None else _read_larger(larger, window),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SynBTError(
                f"A recipe needs the fields that `synbt synthesize` writes, but this one cannot be "
                f"read ({type(error).__name__}: {error}). Pass an unchanged recipe.json."
            ) from error


def _window_to_dict(window: Window) -> dict[str, Any]:
    return {"site": list(window.origin), "window_mm": list(window.shape)}


def _read_window(values: Mapping[str, Any], spacing: tuple[float, ...]) -> Window:
    d, h, w = (check_whole("site", v, -_FAR, _FAR) for v in values["site"])
    wd, wh, ww = (check_whole("window_mm", v, 1, WINDOW_SIDES_MM[-1]) for v in values["window_mm"])
    sd, sh, sw = (float(v) for v in spacing)
    return Window((d, h, w), (wd, wh, ww), (sd, sh, sw))


def _read_larger(values: Mapping[str, Any], own: Window) -> Window:
    larger = _read_window(values, own.spacing)
    listed = all(side in WINDOW_SIDES_MM for side in larger.shape)
    if not listed or place_in(own, larger) is None:
        raise ValueError(f"painted_in {dict(values)} is no window around the tumor's own")
    return larger


def pack_mask(mask: Tensor) -> dict[str, Any]:
    """A mask as text: its box, and the bits in it, compressed. `mask` is boolean, `(D, H, W)`."""
    box = bounding_box(mask)
    inside = mask[tuple(slice(a, b) for a, b in box)].cpu().numpy()
    bits = zlib.compress(np.packbits(inside).tobytes(), 9)
    return {
        "shape": list(mask.shape),
        "box": [list(side) for side in box],
        "bits": base64.b64encode(bits).decode("ascii"),
    }


def unpack_mask(packed: Mapping[str, Any], grid: Sequence[int]) -> Tensor:
    """The inverse of `pack_mask`, boolean, CPU.

    Args:
        packed: From a recipe.
        grid: Shape of the scan that the mask belongs to, `(D, H, W)`. Nothing larger is made.

    Raises:
        SynBTError: If it is damaged, or belongs to another scan.
    """
    try:
        shape = [int(n) for n in packed["shape"]]
        if shape != list(grid):
            raise ValueError(f"it has the shape {shape}, the scan has {list(grid)}")
        box = [(int(a), int(b)) for a, b in packed["box"]]
        if len(box) != 3 or not all(0 <= a < b <= n for (a, b), n in zip(box, shape, strict=True)):
            raise ValueError(f"its box {box} does not lie in {shape}")
        sides = [b - a for a, b in box]
        size = math.ceil(math.prod(sides) / 8)
        # A few hundred bytes may unpack to gigabytes: no more is unpacked than the box holds.
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(base64.b64decode(packed["bits"], validate=True), size + 1)
        if len(content) != size:
            raise ValueError(f"its bits do not fill the box {box}")
    except (KeyError, TypeError, ValueError, OverflowError, zlib.error) as error:
        raise SynBTError(
            f"The recipe's mask is damaged ({error}). Pass an unchanged one."
        ) from error
    inside = np.unpackbits(np.frombuffer(content, np.uint8), count=math.prod(sides))
    mask = torch.zeros(shape, dtype=torch.bool)
    d, h, w = (slice(a, b) for a, b in box)
    mask[d, h, w] = torch.from_numpy(inside.reshape(sides).astype(bool))
    return mask
