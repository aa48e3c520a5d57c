"""A recipe: what is needed to paint the same tumors again, as JSON."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.mask import bounding_box
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.distractor import Distractor
from synbt_aug.tumor.placement import Pose
from synbt_aug.window import Window

#: Raised when a recipe's meaning changes.
RECIPE_FORMAT = 1

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
        return {
            "kind": self.kind,
            "site": list(self.window.origin),
            "window_mm": self.window.side,
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
            d, h, w = (int(v) for v in values["site"])
            sd, sh, sw = (float(v) for v in spacing)
            if values["kind"] not in KINDS:
                raise SynBTError(f"unknown kind {values['kind']!r}")
            diameter = values["diameter_mm"]
            voxels_of, distractor = values.get("voxels_of"), values.get("distractor")
            return cls(
                kind=str(values["kind"]),
                window=Window((d, h, w), int(values["window_mm"]), (sd, sh, sw)),
                noise_seed=int(values["noise_seed"]),
                appearance=Appearance.from_dict(values["appearance"]),
                diameter_mm=None if diameter is None else float(diameter),
                pose=None if values["pose"] is None else Pose.from_dict(values["pose"]),
                mask=values["mask"],
                voxels_of=None if voxels_of is None else int(voxels_of),
                distractor=None if distractor is None else Distractor.from_dict(distractor),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SynBTError(
                f"A recipe needs the fields that `synbt synthesize` writes, but this one cannot be "
                f"read ({type(error).__name__}: {error}). Pass an unchanged recipe.json."
            ) from error


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


def unpack_mask(packed: Mapping[str, Any]) -> Tensor:
    """The inverse of `pack_mask`, boolean, CPU.

    Raises:
        SynBTError: If it is damaged.
    """
    try:
        shape = tuple(int(n) for n in packed["shape"])
        box = tuple(slice(int(a), int(b)) for a, b in packed["box"])
        if not len(shape) == len(box) == 3:
            raise ValueError(f"{len(shape)} sides and {len(box)} pairs in place of three")
        sides = tuple(s.stop - s.start for s in box)
        bits = np.frombuffer(zlib.decompress(base64.b64decode(packed["bits"])), np.uint8)
        mask = torch.zeros(shape, dtype=torch.bool)
        inside = np.unpackbits(bits, count=math.prod(sides)).reshape(sides).astype(bool)
        mask[box] = torch.from_numpy(inside)
        return mask
    except (KeyError, TypeError, ValueError, zlib.error, RuntimeError) as error:
        raise SynBTError(
            f"The recipe's mask is damaged ({error}). Pass an unchanged one."
        ) from error
