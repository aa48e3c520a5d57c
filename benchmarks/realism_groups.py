"""From what was measured of phantoms to the groups of `realism_figures.py`'s table."""

from __future__ import annotations

from typing import Any

import numpy as np
from realism_examine import CONTROLLED

from synbt_aug.evaluate.realism import TARGETS, Figure, Group
from synbt_aug.evaluate.realism.control import (
    Control,
    median_ratio,
    of_size,
    spread_over,
    together,
)
from synbt_aug.evaluate.realism.reconstruction import Row, find, medians
from synbt_aug.report.page import Grid, Paragraph, Section
from synbt_aug.tumor.appearance import Appearance


def codec_groups(found: list[dict[str, Any]], codebook: int) -> tuple[list[Group], Section | None]:
    """Reconstruction, seams and codes, medians over phantoms."""
    deep = [one for one in found if "reconstruction" in one]
    rows = medians([Row(**row) for one in deep for row in one["reconstruction"]])
    figures = []

    def row(coding: str, region: str, channel: str, against: str) -> Row | None:
        return find(rows, coding, region, channel, against)

    for region, target in (("breast", "breast psnr"), ("tumor", "tumor psnr")):
        for channel in ("pre", "post"):
            if seen := row("codec", region, channel, "noise-free"):
                name = f"{region}, {channel}, against the noise-free phantom"
                figures.append(Figure(name, seen.psnr_db, TARGETS[target], unit="dB"))
    for channel in ("pre", "post"):
        if seen := row("codec", "tumor", channel, "noise-free"):
            name = f"bias of tumors, {channel}, reference ranges"
            figures.append(Figure(name, seen.bias, TARGETS["tumor bias"], digits=3))
    for channel in ("pre", "post"):
        ours = row("codec", "breast", channel, "input")
        blur = row("Gaussian 1 mm", "breast", channel, "input")
        if ours and blur:
            name = f"breast, {channel}, against noisy input: above the Gaussian"
            ahead = ours.psnr_db - blur.psnr_db
            figures.append(Figure(name, ahead, TARGETS["over gaussian"], unit="dB", digits=3))
    groups = [
        Group(
            "Reconstruction",
            tuple(figures),
            f"Medians, phantoms: {len(deep)}; PSNR of linear signal for its p0.5 to p99.5 span.",
        )
    ]
    seams = [one["seam"] for one in deep]
    apart = [one["seam, patch by patch"] for one in deep]
    used = {code for one in deep for code in one["codes"]}
    groups.append(
        Group(
            "Codec",
            (
                Figure(
                    "seam energy at patch borders over elsewhere",
                    float(np.median(seams)) if seams else float("nan"),
                    TARGETS["seam"],
                    note="decoded whole, of latents joined from 64 mm patches",
                    digits=3,
                ),
                Figure(
                    "the same, decoded patch by patch",
                    float(np.median(apart)) if apart else float("nan"),
                    digits=3,
                ),
                Figure(
                    "share of the codes in use",
                    len(used) / codebook,
                    TARGETS["codes"],
                    note=f"{len(used)} of {codebook}",
                ),
            ),
        )
    )
    if not rows:
        return groups, None
    shown = [
        (
            f"{r.coding}, {r.region}, {r.channel}, {r.against}",
            f"{r.psnr_db:.2f}",
            "" if r.ssim is None else f"{r.ssim:.3f}",
            f"{r.bias:+.3f}",
        )
        for r in rows
    ]
    words = Paragraph(
        "Coding, region, channel, held against. Nothing: the input itself, what its noise amounts "
        "to. The block PCA spends 13 bits on each 4 mm cell of two channels, as the codec does."
    )
    grid = Grid(("what", "PSNR, dB", "SSIM", "bias, reference ranges"), shown)
    return groups, Section("Reconstruction, all of it", [words, grid])


def control_group(found: list[dict[str, Any]]) -> Group:
    figures = []
    for attribute in CONTROLLED:
        parts = [Control(**c) for one in found for c in one.get("control", {}).get(attribute, [])]
        if not parts:
            continue
        whole = together(parts)
        note = f"{len(whole.asked)} tumors of 18 mm, {whole.refused} refused"
        target = TARGETS[f"{attribute} correlation"]
        figures.append(Figure(f"{attribute}: correlation", whole.correlation, target, note=note))
        target_error = TARGETS.get(f"{attribute} error")
        figures.append(
            Figure(f"{attribute}: mean absolute error", whole.mean_error, target_error, digits=3)
        )
    words = "One attribute asked for over the bank's range, the others with the template."
    return Group("Control", tuple(figures), words)


def diversity_group(found: list[dict[str, Any]]) -> Group:
    real = [
        (t["diameter_mm"], Appearance.from_dict(t["appearance"]))
        for one in found
        for t in one["tumors"]
    ]
    figures = []
    for way in ("drawn", "free"):
        ratios = []
        for one in found:
            if "diversity" not in one:
                continue
            size = one["diversity"]["diameter_mm"]
            painted = [Appearance.from_dict(a) for a in one["diversity"][way]]
            ratio = spread_over(painted, of_size(real, size))
            if ratio:
                ratios.append(ratio)
        target = TARGETS["diversity"] if way == "drawn" else None
        note = f"{len(ratios)} masks; enhancement, rim, heterogeneity, pre-contrast"
        name = f"appearance {way}: SD over seeds over SD of real tumors"
        figures.append(Figure(name, median_ratio(ratios), target, note=note))
    return Group("Diversity", tuple(figures), "Medians over attributes and masks.")
