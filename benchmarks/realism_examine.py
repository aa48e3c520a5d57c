"""All that `realism_figures.py` measures of one phantom.

A phantom's `figures.json` says what its folder holds; a later run adds what it wants beyond that.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from realism_phantoms import (
    IN_PLACE,
    Options,
    Scans,
    Work,
    in_place_windows,
    keep,
    null_sets,
    paint_seed,
    painted_sets,
    painter,
    real_sets,
    stack,
)
from torch import Tensor

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.evaluate.realism.codecs import BlockPCA, Coding, by_codec, by_gaussian, by_pooling
from synbt_aug.evaluate.realism.control import ask, drawn_appearances, paint_often, range_of
from synbt_aug.evaluate.realism.pictures import compared_picture
from synbt_aug.evaluate.realism.reconstruction import measure_reconstruction
from synbt_aug.evaluate.realism.repaint import codec_of
from synbt_aug.evaluate.realism.seams import seam_energy
from synbt_aug.evaluate.realism.windows import lesions_of
from synbt_aug.grid.mask import bounding_box, equivalent_diameter_mm
from synbt_aug.host import Host
from synbt_aug.phantom import Phantom, PhantomSettings, make_phantom
from synbt_aug.signal.intensity import IntensityReference, measure_reference, to_linear, to_model
from synbt_aug.support.files import read_json, write_json
from synbt_aug.tissue import TissueLabel, tissue_labels
from synbt_aug.tumor.appearance import Appearance, measure_appearance

CONTROLLED = ("enhancement", "rim", "heterogeneity")


def pca_windows(shape: tuple[int, int, int], seeds: tuple[int, ...] = (0, 1, 2)) -> list[Tensor]:
    """Breasts of training phantoms, mapped, cut to whole cells."""
    found = []
    for seed in seeds:
        phantom = make_phantom(seed, PhantomSettings(shape=shape))
        image = stack(phantom)
        q = to_model(image, measure_reference(image))
        box = bounding_box(torch.from_numpy(phantom.breast))
        whole = tuple(slice(a, a + (b - a) // 4 * 4) for a, b in box)
        found.append(q[(slice(None), *whole)])
    return found


def lacks(work: Work, options: Options, there: dict[str, Any] | None) -> bool:
    """Whether a phantom's figures are missing, or were asked for less than now."""
    if there is None or any(texture not in there["refused"] for texture in options.textures):
        return True
    deeper = any(getattr(work, key) > there[key] for key in ("deep", "diverse", "judged"))
    return deeper or (work.deep and options.ssim > there["ssim"])


def figures_of(work: Work) -> dict[str, Any] | None:
    """What was measured of a phantom; None: nothing yet."""
    path = Path(work.folder) / "figures.json"
    return read_json(path) if path.is_file() else None


def examine(work: Work, options: Options, pca: BlockPCA, device: str) -> dict[str, Any]:
    """Measure of one phantom what its files do not hold yet; gives all its figures."""
    started = time.perf_counter()
    folder = Path(work.folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures = figures_of(work) or {"seed": work.seed, "refused": {}, "seconds": 0.0}
    before = {key: figures.get(key, False) for key in ("deep", "diverse", "judged", "ssim")}
    phantom = make_phantom(work.seed, PhantomSettings(shape=options.shape))
    twin = make_phantom(work.seed, PhantomSettings(shape=options.shape, with_tumor=False))
    volume = BreastVolume(stack(phantom), phantom.spacing, tumor=torch.from_numpy(phantom.tumor))
    host = Host.of(volume)
    lesions = lesions_of(volume.tumor, volume.spacing)[: options.lesions]
    scans = Scans(work.seed, volume, BreastVolume(stack(twin), twin.spacing), lesions, host)
    generator = painter("diffusion", options, device)
    if "tumors" not in figures:
        figures |= {"snr": phantom.snr, "tumors": [_looks(host, lesion) for lesion in lesions]}
        keep(folder, real_sets(scans, generator))
        keep(folder, {IN_PLACE: in_place_windows(scans, generator, options)})
    for texture in options.textures:
        if texture not in figures["refused"]:
            sets, figures["refused"][texture] = painted_sets(scans, texture, options, device)
            keep(folder, sets)
    if work.judged and not before["judged"]:
        keep(folder, null_sets(scans, generator))
    if work.deep and not (before["deep"] and before["ssim"] >= options.ssim):
        figures |= _deep(phantom, volume, host.reference, generator, pca, folder, options)
    if work.deep and not before["deep"]:
        figures["control"] = _control(generator, scans.free, work.seed, options.control)
    if work.diverse and lesions and not before["diverse"]:
        figures["diversity"] = _diversity(
            generator, scans.free, lesions[0], work.seed, options.seeds
        )
    for key in ("deep", "diverse", "judged"):
        figures[key] = before[key] or getattr(work, key)
    figures["ssim"] = before["ssim"] or (work.deep and options.ssim)
    figures["seconds"] += time.perf_counter() - started
    write_json(folder / "figures.json", figures)
    return figures


def _looks(host: Host, lesion: Tensor) -> dict[str, Any]:
    """Diameter and appearance of a real tumor, measured in its own box."""
    box = tuple(
        slice(max(a - 16, 0), min(b + 16, n))
        for (a, b), n in zip(bounding_box(lesion), lesion.shape, strict=True)
    )
    linear = to_linear(host.volume.image[(slice(None), *box)], host.reference)
    assert host.volume.tumor is not None
    around = ~host.volume.tumor[box]
    found = measure_appearance(linear, lesion[box], host.volume.spacing, around)
    diameter = equivalent_diameter_mm(int(lesion.sum()), host.volume.spacing)
    return {"diameter_mm": diameter, "appearance": found.to_dict()}


def _deep(
    phantom: Phantom,
    volume: BreastVolume,
    reference: IntensityReference,
    synthesizer: TumorSynthesizer,
    pca: BlockPCA,
    folder: Path,
    options: Options,
) -> dict[str, Any]:
    """Reconstruction, seams and codes."""
    codec = codec_of(synthesizer)
    labels = torch.from_numpy(tissue_labels(phantom.labels, phantom.breast))
    breast = torch.from_numpy(phantom.breast)
    assert volume.tumor is not None
    regions = {
        "breast": breast,
        "fat": breast & (labels == TissueLabel.FAT),
        "gland": breast & (labels == TissueLabel.GLAND) & ~volume.tumor,
        "tumor": volume.tumor,
    }
    codings: dict[str, Coding] = {
        "codec": by_codec(codec),
        "codec without its codebook": by_codec(codec, quantized=False),
        "Gaussian 1 mm": by_gaussian(),
        "2x pooling": by_pooling,
        f"block PCA, {pca.bits} bits a cell": pca,
    }
    rows = measure_reconstruction(
        volume.image,
        reference,
        regions,
        codings,
        noise_free=stack(phantom, clean=True),
        with_ssim=options.ssim,
    )
    found: dict[str, Any] = {"reconstruction": [asdict(row) for row in rows]}
    # Whole patches from the breast's box on, two of them along at least one axis.
    box = []
    for (a, b), n in zip(bounding_box(breast), breast.shape, strict=True):
        length = min(-(-(b - a) // 64) * 64, n // 4 * 4)
        first = max(min(a, n - length), 0) // 4 * 4
        box.append(slice(first, first + length))
    q = to_model(volume.image[(slice(None), *box)], reference)
    with torch.no_grad():
        z = codec.encode_patches(q[None].to(synthesizer.device), 64)
        z_q, codes = codec.quantize(z)
        whole = codec.decode(z_q)[0].cpu()
    inside = breast[tuple(box)]
    found["seam"] = seam_energy(whole - q, 64, where=inside)
    found["codes"] = sorted(set(codes.flatten().tolist()))
    apart = torch.empty_like(whole)
    for corner in np.ndindex(*(-(-n // 64) for n in q.shape[1:])):
        part = tuple(slice(64 * c, 64 * c + 64) for c in corner)
        cells = tuple(slice(16 * c, 16 * c + 16) for c in corner)
        with torch.no_grad():
            decoded = codec.decode(z_q[(slice(None), slice(None), *cells)])[0]
        apart[(slice(None), *part)] = decoded.cpu()
    found["seam, patch by patch"] = seam_energy(apart - q, 64, where=inside)
    middle = q.shape[3] // 2
    shown = {"input": q[1], "decoded patch by patch": apart[1], "decoded whole": whole[1]}
    compared_picture(shown, middle).save(folder / "decoders.png")
    return found


def _control(
    synthesizer: TumorSynthesizer, free: BreastVolume, phantom: int, count: int
) -> dict[str, list[dict[str, Any]]]:
    """Each attribute asked for at values that fill its range over the phantoms."""
    found: dict[str, list[dict[str, Any]]] = {}
    for a, attribute in enumerate(CONTROLLED):
        low, high = range_of(synthesizer.bank, attribute)
        for k in range(count):
            # The golden ratio: however many phantoms, the range is filled evenly.
            share = ((phantom * count + k) * 0.6180339887) % 1
            value = low + (high - low) * share
            seed = paint_seed(phantom, a, 50 + k)
            found.setdefault(attribute, []).append(
                asdict(ask(synthesizer, free, attribute, value, seed=seed))
            )
    return found


def _diversity(
    synthesizer: TumorSynthesizer, free: BreastVolume, mask: Tensor, phantom: int, count: int
) -> dict[str, Any]:
    diameter = equivalent_diameter_mm(int(mask.sum()), free.spacing)
    picker = torch.Generator().manual_seed(phantom)
    ways = {
        "drawn": drawn_appearances(synthesizer.bank, diameter, count, generator=picker),
        "free": [Appearance()] * count,
    }
    found: dict[str, Any] = {"diameter_mm": diameter}
    for k, (way, wishes) in enumerate(ways.items()):
        first = paint_seed(phantom, k, 0) + 500_000_000
        looks = paint_often(synthesizer, free, mask, wishes, first_seed=first)
        found[way] = [look.to_dict() for look in looks]
    return found
