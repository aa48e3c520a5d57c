"""Draw the pictures of docs/placement.md. `python docs/placement_pictures.py [NAME ...]`.

Everything is shown on held-out phantoms, with the shipped weights: tissues and sites, templates
of the bank, twelve placements in one scan, and the three textures under one mask.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.data.bank import templates_of
from synbt_aug.host import Host
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.report.pictures import BeforeAfter
from synbt_aug.report.sheets import contact_sheet
from synbt_aug.report.tissue_pictures import tissue_sheet
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.texture import TEXTURES
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.tumor.bank import build_bank, load_bank
from synbt_aug.volume import Synthesis
from synbt_aug.weights import shipped_folder

IMAGES = Path(__file__).parent / "images"
PHANTOM = 1_000_005
DONORS = range(1_000_010, 1_000_018)


def phantom_volume(seed: int, with_tumor: bool = True) -> tuple[BreastVolume, np.ndarray]:
    """A phantom in the order of files, (z, y, x), and its affine."""
    phantom = make_phantom(seed, PhantomSettings(with_tumor=with_tumor))
    pair = np.stack([phantom.pre, phantom.post[0]]).transpose(0, 3, 2, 1).astype(np.float32)
    tumor = torch.from_numpy(phantom.tumor.transpose(2, 1, 0).copy())
    volume = BreastVolume(torch.from_numpy(pair.copy()), phantom.spacing[::-1], tumor=tumor)
    return volume, phantom.affine


def tissue() -> Image.Image:
    """Scan, tissues and sites in three planes."""
    volume, _ = phantom_volume(PHANTOM)
    segmenter = load_segmenter()
    found = segmenter(volume.image[0], volume.spacing)
    sites = Host.of(volume).sites_by(segmenter)
    weight = sites.weight_at_host(volume.shape)
    return tissue_sheet(volume.image[0], found.at_host(), weight, volume.spacing)


def bank() -> Image.Image:
    """Forty templates, from the smallest to the largest, as shadows at one scale."""
    templates = sorted(
        load_bank(shipped_folder() / "bank.npz").templates, key=lambda t: t.diameter_mm
    )
    side = 72
    sheet = Image.new("L", (10 * side, 4 * side))
    for k, index in enumerate(np.linspace(0, len(templates) - 1, 40).round().astype(int)):
        shadow = templates[index].mask.float().mean(0).numpy()
        grey = (255 * shadow / max(shadow.max(), 1e-6)).astype(np.uint8)[:side, :side]
        tile = Image.fromarray(grey)
        left = (k % 10) * side + (side - tile.width) // 2
        sheet.paste(tile, (left, (k // 10) * side + (side - tile.height) // 2))
    return sheet


def placements() -> Image.Image:
    """Twelve tumors, each alone in the same scan."""
    volume, affine = phantom_volume(PHANTOM, with_tumor=False)
    synthesizer = TumorSynthesizer()
    shown: list[BeforeAfter] = []
    seed = 0
    while len(shown) < 12 and seed < 60:
        result = synthesizer(volume, seed=seed)
        if result.painted:
            size = result.measured["tumors"][0]["diameter_mm"]
            shown.append(_before_after(f"seed {seed}: {size:.0f} mm", volume, result, affine))
        else:
            print(f"seed {seed}: {result.reason}")
        seed += 1
    return contact_sheet(shown)


def textures() -> Image.Image:
    """One mask, three textures; a row each of three tumors."""
    volume, affine = phantom_volume(PHANTOM, with_tumor=False)
    donors = [phantom_volume(seed) for seed in DONORS]
    with_voxels = build_bank(
        template
        for (donor, _), seed in zip(donors, DONORS, strict=True)
        for template in templates_of(
            donor, measure_reference(donor.image), f"phantom_{seed}", voxels=True
        )
    )
    painters = {
        name: TumorSynthesizer(texture=name, bank=with_voxels if name == "copy_paste" else None)
        for name in TEXTURES
    }
    shown: list[BeforeAfter] = []
    for seed in range(40):
        # A real tumor keeps its own shape: pasted into another one's mask it seldom shows.
        pasted = painters["copy_paste"](volume, seed=seed, diameter_mm=20.0 + 4 * (len(shown) // 3))
        if not pasted.painted:
            continue
        # One shape at one place; what it looks like is each texture's own.
        results = {
            name: pasted
            if name == "copy_paste"
            else painter(volume, seed=seed, tumor_mask=pasted.tumor)
            for name, painter in painters.items()
        }
        if all(result.painted for result in results.values()):
            shown += [_before_after(n, volume, r, affine) for n, r in results.items()]
        if len(shown) == 9:
            break
    return contact_sheet(shown)


def _before_after(
    title: str, volume: BreastVolume, result: Synthesis, affine: np.ndarray
) -> BeforeAfter:
    return BeforeAfter(
        title=title,
        before=volume.image.numpy(),
        after=result.image.numpy(),
        tumor=result.tumor.numpy(),
        support=result.support.numpy(),
        spacing=volume.spacing,
        affine=affine,
    )


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "tissue": tissue,
    "bank": bank,
    "placements": placements,
    "textures": textures,
}


def main(names: list[str]) -> None:
    """Draw those named, or all."""
    IMAGES.mkdir(exist_ok=True)
    for name in names or PICTURES:
        PICTURES[name]().save(IMAGES / f"{name}.png", optimize=True)
        print(IMAGES / f"{name}.png", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
