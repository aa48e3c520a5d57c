"""What `realism_figures.py` measures of one phantom, and the files it keeps of it.

Each phantom comes twice: with its tumor, which is "real" here, and as the same patient without
one, into which every generator paints. So both kinds lie in the same scans. A phantom's
`figures.json` says what its folder holds; a later run adds what it wants beyond that.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synbt_aug import BreastVolume, TumorSynthesizer
from synbt_aug.evaluate.realism.codecs import BlockPCA, by_codec, by_gaussian, by_pooling
from synbt_aug.evaluate.realism.control import ask, drawn_appearances, paint_often, range_of
from synbt_aug.evaluate.realism.pictures import compared_picture
from synbt_aug.evaluate.realism.reconstruction import measure_reconstruction
from synbt_aug.evaluate.realism.repaint import inpainter_of, rebuilt
from synbt_aug.evaluate.realism.seams import seam_energy
from synbt_aug.evaluate.realism.windows import HEALTHY, Windows, cut_windows, join, lesions_of
from synbt_aug.files import read_json, write_json
from synbt_aug.host import Host
from synbt_aug.intensity import IntensityReference, measure_reference, to_linear, to_model
from synbt_aug.mask import bounding_box, equivalent_diameter_mm
from synbt_aug.phantom import Phantom, PhantomSettings, make_phantom
from synbt_aug.texture.names import DEFAULT_STEPS
from synbt_aug.tissue import TissueLabel, TissueMap, tissue_labels
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.tissue.segments import Segments
from synbt_aug.tumor.appearance import Appearance, measure_appearance
from synbt_aug.volume import Spacing, Synthesis

#: Seeds tried before a wish for a tumor is given up.
TRIES = 3

#: The set of windows whose tumors have the real ones' masks.
IN_PLACE = "in_place"

CONTROLLED = ("enhancement", "rim", "heterogeneity")


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
    settings = {"steps": options.steps, "guidance": options.guidance}
    return TumorSynthesizer(
        options.weights,
        bank=with_bank,
        texture=texture,
        device=device,
        tissue=segmenter(device),
        **settings,
    )


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
        keep(folder, _real_sets(scans, generator))
        keep(folder, {IN_PLACE: _in_place(scans, generator, options)})
    for texture in options.textures:
        if texture not in figures["refused"]:
            sets, figures["refused"][texture] = _painted_sets(scans, texture, options, device)
            keep(folder, sets)
    if work.judged and not before["judged"]:
        keep(folder, _null_sets(scans, generator))
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


def _real_sets(scans: Scans, generator: TumorSynthesizer) -> dict[str, list[Windows]]:
    sets = {"real": [cut_windows(scans.name, scans.volume, scans.lesions)], "rebuilt": []}
    for lesion in scans.lesions:
        same = rebuilt(scans.host, lesion, generator)
        if same is not None:
            seen = replace(scans.volume, image=same.image)
            sets["rebuilt"].append(cut_windows(scans.name, seen, [lesion]))
    return sets


def _painted_sets(
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


def _in_place(scans: Scans, generator: TumorSynthesizer, options: Options) -> list[Windows]:
    own = replace(options, place="own")
    results = (
        _painted(generator, scans.free, lesion, scans.seed, k, own)
        for k, lesion in enumerate(scans.lesions)
    )
    return [scans.painted(result) for result in results if result is not None]


def _null_sets(scans: Scans, generator: TumorSynthesizer) -> dict[str, list[Windows]]:
    sets: dict[str, list[Windows]] = {"null": [], "untouched": []}
    for k in range(len(scans.lesions)):
        nothing = generator(scans.free, seed=_seed(scans.seed, k, 7), kind="null")
        if nothing.painted:
            seen = replace(scans.free, image=nothing.image)
            for which, scan in (("null", seen), ("untouched", scans.free)):
                places = cut_windows(scans.name, scan, [nothing.support], value=HEALTHY)
                sets[which].append(places)
    return sets


def _seed(phantom: int, lesion: int, attempt: int) -> int:
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
        seed = _seed(phantom, number, attempt)
        if options.place == "own":
            picker = torch.Generator().manual_seed(seed)
            (look,) = drawn_appearances(synthesizer.bank, diameter, 1, generator=picker)
            how = {"tumor_mask": lesion, "appearance": replace(look, category=None)}
        result = synthesizer(free, seed=seed, **how)
        if result.painted and lesions_of(result.tumor, free.spacing):
            return result
    return None


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
    codec = inpainter_of(synthesizer).autoencoder
    labels = torch.from_numpy(tissue_labels(phantom.labels, phantom.breast))
    breast = torch.from_numpy(phantom.breast)
    assert volume.tumor is not None
    regions = {
        "breast": breast,
        "fat": breast & (labels == TissueLabel.FAT),
        "gland": breast & (labels == TissueLabel.GLAND) & ~volume.tumor,
        "tumor": volume.tumor,
    }
    codings = {
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
            apart[(slice(None), *part)] = codec.decode(z_q[(..., *cells)])[0].cpu()
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
            seed = _seed(phantom, a, 50 + k)
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
        first = _seed(phantom, k, 0) + 500_000_000
        looks = paint_often(synthesizer, free, mask, wishes, first_seed=first)
        found[way] = [look.to_dict() for look in looks]
    return found
