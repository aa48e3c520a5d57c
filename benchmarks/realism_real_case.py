"""A generator on one real scan: how the codec rebuilds it, and what is painted into it."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synbt_aug import TumorSynthesizer
from synbt_aug.data import read_dataset, read_mask, read_pair
from synbt_aug.evaluate.case_fit import largest_lesion
from synbt_aug.evaluate.realism import TARGETS, Figure, Group, Target
from synbt_aug.evaluate.realism.codecs import by_codec, by_gaussian
from synbt_aug.evaluate.realism.reconstruction import find, measure_reconstruction
from synbt_aug.evaluate.realism.repaint import codec_of, repainted
from synbt_aug.host import Host
from synbt_aug.report.page import Gallery, Section
from synbt_aug.report.pictures import BeforeAfter
from synbt_aug.report.sheets import contact_sheet
from synbt_aug.signal.hole import tissue
from synbt_aug.signal.intensity import to_linear, to_model
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.volume import Synthesis

#: How far mean enhancement may lie from what was asked, over what was asked.
OFF = Target(high=0.2)


def real_case_group(
    folder: str, synthesizer: TumorSynthesizer, transplants: int
) -> tuple[Group, Section]:
    """The first labelled case of a dataset: coded, its tumor repainted, tumors painted elsewhere.

    Args:
        folder: A dataset in either layout, at 1 mm.
        synthesizer: With networks.
        transplants: Tumors painted into healthy tissue.
    """
    case = next(c for c in read_dataset(folder).cases if c.label is not None)
    assert case.label is not None
    pair = read_pair(case.pre, case.posts[0])
    mask = read_mask(case.label, pair.pre, "The tumor mask", label=case.tumor_label)
    volume = replace(pair.volume, tumor=mask)
    host = Host.of(volume)
    figures = _coded(host, synthesizer)
    lesion = largest_lesion(mask, volume.spacing, synthesizer.texture.hole_margin_mm)
    paintings: list[BeforeAfter] = []
    own = None if lesion is None else repainted(host, lesion, synthesizer, seed=0)
    if own is not None:
        asked = _enhancement(host, host.volume.image, lesion)
        found = _enhancement(host, own.image, lesion)
        note = f"asked {asked:.2f}, measured {found:.2f} reference ranges, one attempt"
        words = "its own tumor repainted: enhancement off by"
        figures.append(Figure(words, abs(found / asked - 1), OFF, note=note))
        paintings.append(_shown("own tumor repainted", host, own))
    off: list[float] = []
    for seed in range(transplants):
        result = synthesizer(volume, seed=seed)
        if not result.painted or result.recipe is None:
            continue
        wish = result.recipe["tumors"][0]["appearance"]["enhancement"]
        got = result.measured["tumors"][0]["appearance"]["enhancement"]
        off.append(abs(got / wish - 1))
        paintings.append(_shown(f"seed {seed}, asked {wish:.2f}, measured {got:.2f}", host, result))
    note = (
        f"mean of {len(off)} of {transplants} transplants into healthy tissue, the others refused"
    )
    mean = statistics.fmean(off) if off else float("nan")
    figures.append(Figure("transplants: enhancement off by", mean, OFF, note=note))
    sheet = contact_sheet(paintings)
    section = Section(
        "The real case", [Gallery([("post before, post after, subtraction", sheet, "tumors")], 1)]
    )
    return Group("The real case", tuple(figures), f"{Path(folder).name}, {case.name}."), section


def _coded(host: Host, synthesizer: TumorSynthesizer) -> list[Figure]:
    """PSNR of tissue and tumor, against the scan itself: nobody knows it without noise."""
    image, reference = host.volume.image, host.reference
    regions: dict[str, Any] = {"tissue": tissue(to_model(image, reference)[None])[0]}
    regions["tumor"] = host.volume.tumor
    codings = {"codec": by_codec(codec_of(synthesizer)), "Gaussian": by_gaussian()}
    rows = measure_reconstruction(image, reference, regions, codings, with_ssim=False)
    figures = []
    for region in regions:
        for channel in ("pre", "post"):
            ours, blur = (find(rows, c, region, channel, "input") for c in codings)
            if ours is None or blur is None:
                continue
            target = TARGETS["real case psnr"] if region == "tissue" else None
            note = f"Gaussian of 1 mm {blur.psnr_db:.1f} dB; bias {ours.bias:+.3f}"
            name = f"{region}, {channel}, against the scan itself"
            figures.append(Figure(name, ours.psnr_db, target, unit="dB", note=note))
    return figures


def _enhancement(host: Host, image: Any, lesion: Any) -> float:
    linear = to_linear(image, host.reference)
    around = tissue(to_model(host.volume.image, host.reference)[None])[0] & ~lesion
    found = measure_appearance(linear, lesion, host.volume.spacing, around).enhancement
    assert found is not None
    return found


def _shown(title: str, host: Host, result: Synthesis) -> BeforeAfter:
    before = host.volume.image.numpy()
    after, tumor, support = (np.asarray(x) for x in (result.image, result.tumor, result.support))
    return BeforeAfter(title, before, after, tumor, support, host.volume.spacing)
