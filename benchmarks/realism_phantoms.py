"""The scans of one phantom, and the windows that every generator paints into them.

Each phantom comes twice: with its tumor, which is "real" here, and as the same patient without
one, into which every generator paints. So both kinds lie in the same scans.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.control import drawn_appearances
from synbt_aug.evaluate.realism.repaint import rebuilt
from synbt_aug.evaluate.realism.windows import HEALTHY, Windows, cut_windows, join, lesions_of
from synbt_aug.grid.mask import equivalent_diameter_mm
from synbt_aug.host import Host
from synbt_aug.phantom import Phantom
from synbt_aug.texture.names import DEFAULT_STEPS
from synbt_aug.tissue import TissueMap
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.tissue.segments import Segments
from synbt_aug.volume import Spacing, Synthesis

#: Seeds tried before a wish for a tumor is given up.
TRIES = 3

#: The set of windows whose tumors have the real ones' masks.
IN_PLACE = "in_place"


@dataclass(frozen=True)
class Options:
    """What is measured; kept beside the files, so that two runs do not mix.

    Args:
        weights: "shipped" or a folder.
        textures: What paints; "diffusion" is judged.
        bank: With voxels, for copy_paste.
        lesions: Of a phantom, at most.
        place: "drawn": tumors of the same diameter where the generator puts them; "own": in the
            real tumor's own mask.
        control: Tumors asked for, of each attribute and phantom.
        seeds: Tumors painted into one mask for diversity.
        diverse: Phantoms whose diversity is measured.
        shape: Of the phantoms, in voxels of 1 mm.
        ssim: Whether SSIM is measured.
    """

    weights: str = "shipped"
    textures: tuple[str, ...] = ("diffusion", "syntumor")
    bank: str | None = None
    lesions: int = 2
    place: str = "drawn"
    control: int = 2
    seeds: int = 12
    diverse: int = 10
    shape: tuple[int, int, int] = (192, 192, 128)
    ssim: bool = True
    steps: int = DEFAULT_STEPS
    guidance: float = 1.0


@dataclass(frozen=True)
class Work:
    """One phantom to be looked at.

    Args:
        seed: Of the phantom.
        folder: For its files.
        deep: Whether codec and control are measured, too.
        diverse: Whether diversity is.
        judged: Whether it is one of those that are tested on: null paints, too.
    """

    seed: int
    folder: str
    deep: bool
    diverse: bool
    judged: bool = False


def stack(phantom: Phantom, clean: bool = False) -> Tensor:
    """Pre and first post, `(2, X, Y, Z)`, float32."""
    pre, post = (phantom.clean_pre, phantom.clean_post) if clean else (phantom.pre, phantom.post)
    return torch.from_numpy(np.stack([pre, post[0]])).float()


class OneScan:
    """A segmenter that is asked once for all that is painted into one scan."""

    def __init__(self, segmenter: Segments) -> None:
        self.segmenter = segmenter
        self.last: tuple[Tensor, Spacing, TissueMap] | None = None

    def __call__(self, pre: Tensor, spacing: Spacing, valid: Tensor | None = None) -> TissueMap:
        if valid is not None:
            return self.segmenter(pre, spacing, valid)
        if self.last is None or spacing != self.last[1] or not torch.equal(pre, self.last[0]):
            self.last = pre, spacing, self.segmenter(pre, spacing)
        return self.last[2]


@lru_cache(maxsize=1)
def segmenter(device: str) -> OneScan:
    """One for each process."""
    shipped = load_segmenter("shipped")
    shipped.network.to(device)
    return OneScan(shipped)


@lru_cache(maxsize=8)
def painter(texture: str, options: Options, device: str) -> TumorSynthesizer:
    """One for each process."""
    with_bank = options.bank if texture == "copy_paste" else None
    return TumorSynthesizer(
        options.weights,
        bank=with_bank,
        texture=texture,
        device=device,
        tissue=segmenter(device),
        steps=options.steps,
        guidance=options.guidance,
    )


@dataclass(frozen=True)
class Scans:
    """One patient twice.

    Args:
        seed: Of the phantom.
        volume: With its tumors.
        free: Without.
        lesions: Its tumors, each a mask.
        host: Of `volume`.
    """

    seed: int
    volume: BreastVolume
    free: BreastVolume
    lesions: list[Tensor]
    host: Host

    @property
    def name(self) -> str:
        """Of the case."""
        return f"phantom_{self.seed}"

    def painted(self, result: Synthesis) -> Windows:
        """The window of a painted tumor."""
        seen = replace(self.free, image=result.image, tumor=result.tumor)
        return cut_windows(self.name, seen, [result.tumor])


def keep(folder: Path, sets: dict[str, list[Windows]]) -> None:
    """Write each set that holds a window."""
    for which, windows in sets.items():
        if any(len(w) for w in windows):
            join(windows).save(folder / f"{which}.safetensors")


def real_sets(scans: Scans, generator: TumorSynthesizer) -> dict[str, list[Windows]]:
    sets = {"real": [cut_windows(scans.name, scans.volume, scans.lesions)], "rebuilt": []}
    for lesion in scans.lesions:
        same = rebuilt(scans.host, lesion, generator)
        if same is not None:
            seen = replace(scans.volume, image=same.image)
            sets["rebuilt"].append(cut_windows(scans.name, seen, [lesion]))
    return sets


def painted_sets(
    scans: Scans, texture: str, options: Options, device: str
) -> tuple[dict[str, list[Windows]], int]:
    """Tumors of one texture, the places of the judged one before, and how many were refused."""
    sets: dict[str, list[Windows]] = {texture: []}
    refused = 0
    for k, lesion in enumerate(scans.lesions):
        synthesizer = painter(texture, options, device)
        result = _painted(synthesizer, scans.free, lesion, scans.seed, k, options)
        if result is None:
            refused += 1
            continue
        sets[texture].append(scans.painted(result))
        if texture == "diffusion":
            places = cut_windows(scans.name, scans.free, [result.tumor], value=HEALTHY)
            sets.setdefault("healthy", []).append(places)
    return sets, refused


def in_place_windows(scans: Scans, generator: TumorSynthesizer, options: Options) -> list[Windows]:
    """Tumors in the real ones' masks; none where a mask is too scattered to be painted."""
    own = replace(options, place="own")
    windows = []
    for k, lesion in enumerate(scans.lesions):
        try:
            result = _painted(generator, scans.free, lesion, scans.seed, k, own)
        except SynBTError as error:
            print(f"{scans.name}, lesion {k}: {error}", file=sys.stderr)
            continue
        if result is not None:
            windows.append(scans.painted(result))
    return windows


def null_sets(scans: Scans, generator: TumorSynthesizer) -> dict[str, list[Windows]]:
    sets: dict[str, list[Windows]] = {"null": [], "untouched": []}
    for k in range(len(scans.lesions)):
        nothing = generator(scans.free, seed=paint_seed(scans.seed, k, 7), kind="null")
        if nothing.painted:
            seen = replace(scans.free, image=nothing.image)
            for which, scan in (("null", seen), ("untouched", scans.free)):
                places = cut_windows(scans.name, scan, [nothing.support], value=HEALTHY)
                sets[which].append(places)
    return sets


def paint_seed(phantom: int, lesion: int, attempt: int) -> int:
    return 1000 * phantom + 100 * lesion + attempt


def _painted(
    synthesizer: TumorSynthesizer,
    free: BreastVolume,
    lesion: Tensor,
    phantom: int,
    number: int,
    options: Options,
) -> Synthesis | None:
    diameter = min(max(equivalent_diameter_mm(int(lesion.sum()), free.spacing), 6.0), 50.0)
    how: dict[str, Any] = {"diameter_mm": diameter}
    for attempt in range(TRIES):
        seed = paint_seed(phantom, number, attempt)
        if options.place == "own":
            picker = torch.Generator().manual_seed(seed)
            (look,) = drawn_appearances(synthesizer.bank, diameter, 1, generator=picker)
            how = {"tumor_mask": lesion, "appearance": replace(look, category=None)}
        result = synthesizer(free, seed=seed, **how)
        if result.painted and lesions_of(result.tumor, free.spacing):
            return result
    return None
