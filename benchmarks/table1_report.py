"""The table in Markdown, beside the paper's, seed by seed, with intervals over seeds and cases."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from table1_config import Configuration
from table1_rows import METHODS, NETWORK_NAMES, PAPER
from table1_run import scores_of

from synbt_aug.evaluate.compare_seeds import compare_seeds
from synbt_aug.evaluate.methods_table import shown
from synbt_aug.evaluate.segmentation import METRICS

BASELINE = "volume"
COLUMNS = (
    "row",
    "Dice",
    "Dice, paper",
    "minus Volume",
    "HD95, mm",
    "HD95, paper",
    "ASD, mm",
    "ASSD, mm",
    "MSD, paper",
    "missed / false alarm",
    "seeds",
)


def to_markdown(found: Sequence[Mapping[str, Any]], configuration: Configuration) -> str:
    """All rows that are there.

    Args:
        found: What the rows' JSONs hold.
        configuration: What they share.
    """
    lines = [f"# Table 1, size {configuration.size}", "", *_head(found, configuration), ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for network in NETWORK_NAMES:
        rows = [one for one in found if one["network"] == network]
        if rows:
            lines += _rows(network, rows)
    lines += ["", "## By size", "", *_by_size(found)]
    lines += ["", "## Seed by seed", "", "Mean Dice over the test cases of each training.", ""]
    for one in sorted(found, key=lambda one: (one["network"], one["method"], one["seed"])):
        mean = one["means"]["dice"]["mean"]
        best = one["best"]
        lines.append(
            f"- {one['row']}, seed {one['seed']}: {mean:.4f} (best at step {best['step']}, "
            f"validation {best['dice']:.4f}; {100 * one['synthetic_share']:.0f} % of the samples "
            f"synthetic; {one['seconds']:.0f} s)"
        )
    lines += ["", "## Made with", ""]
    for name in ("command", "machine", "synbt-aug", "torch"):
        lines += [f"- {name}: {value}" for value in sorted({str(one[name]) for one in found})]
    lines += [f"- generator of {label}: {digest}" for label, digest in _digests(found)]
    lines += [f"- painting of {label}: {words}" for label, words in _paintings(found)]
    return "\n".join(lines) + "\n"


def _head(found: Sequence[Mapping[str, Any]], configuration: Configuration) -> list[str]:
    preset = configuration.preset
    # What was read: of a cohort on disk some cases may have been left out.
    planned = {name: getattr(configuration, name) for name in ("labelled", "validation", "test")}
    labelled, validation, test = (
        max(one.get("counts", planned)[name] for one in found) if found else planned[name]
        for name in planned
    )
    steps = preset.steps(labelled)
    data = "cases of MAMA-MIA" if configuration.size == "paper" else "phantoms"
    return [
        f"{labelled} labelled, {validation} validation and {test} test {data}. Every row: {steps} "
        f"steps of equally many samples (of half as many with batch 1 and replace), the same "
        f"crops and augmentation seed by "
        f"seed, a network at {preset.spacing_mm} mm, scores at "
        f"1 mm. Means over cases and seeds [95 % interval, bootstrap over both]. Distances leave "
        f"out cases where a mask is empty; they are counted beside. The paper's MSD does not say "
        f"whether it is ASD or ASSD, and its figures are of MAMA-MIA.",
    ]


def _rows(network: str, found: Sequence[Mapping[str, Any]]) -> list[str]:
    scores = {
        method: {one["seed"]: scores_of(dict(one)) for one in found if one["method"] == method}
        for method in METHODS
    }
    scores = {method: seeds for method, seeds in scores.items() if seeds}
    baseline = BASELINE if BASELINE in scores else None
    by_metric = {m: compare_seeds(scores, metric=m, baseline=baseline) for m in METRICS}
    lines = []
    for method, seeds in scores.items():
        dice, hd95, asd, assd = (shown(by_metric[m].means[method], m) for m in METRICS)
        paper = PAPER.get((network, method))
        theirs = ("–",) * 3 if paper is None else (f"{paper[0]:.3f}", *map(str, paper[1:]))
        apart = "–"
        if baseline is not None and method != baseline:
            apart = shown(by_metric["dice"].differences[method], "dice", sign="+")
        counts = [one.counts for one in seeds.values()]
        empty = f"{sum(c['missed'] for c in counts)} / {sum(c['false alarm'] for c in counts)}"
        name = f"{METHODS[method].label}-{NETWORK_NAMES[network]}"
        cells = (name, dice, theirs[0], apart, hd95, theirs[1], asd, assd, theirs[2], empty)
        lines.append("| " + " | ".join((*cells, str(len(seeds)))) + " |")
    return lines


def _by_size(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Mean Dice of thirds of the test cases by their tumors' volume, over seeds."""
    volume = {case["name"]: case["reference_ml"] for one in found for case in one["cases"]}
    names = sorted(volume, key=lambda name: (volume[name], name))
    cuts = [round(k * len(names) / 3) for k in range(4)]
    thirds = [set(names[a:b]) for a, b in itertools.pairwise(cuts)]
    heads = [
        f"{volume[names[a]]:.1f}-{volume[names[b - 1]]:.1f} ml" if b > a else "none"
        for a, b in itertools.pairwise(cuts)
    ]
    lines = ["| row | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    by_row: dict[str, list[Mapping[str, Any]]] = {}
    for one in sorted(found, key=lambda one: (one["network"], list(METHODS).index(one["method"]))):
        by_row.setdefault(one["row"], []).append(one)
    for row, trained in by_row.items():
        cells = [
            [case["dice"] for one in trained for case in one["cases"] if case["name"] in third]
            for third in thirds
        ]
        shown_cells = (f"{sum(c) / len(c):.3f}" if c else "–" for c in cells)
        lines.append("| " + " | ".join((row, *shown_cells)) + " |")
    return lines


def _paintings(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    words = {
        (METHODS[one["method"]].label, ", ".join(f"{k} {v}" for k, v in one["painting"].items()))
        for one in found
        if one.get("painting")
    }
    return sorted(words)


def _digests(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    known = {
        (METHODS[one["method"]].label, _digest(one["generator"], METHODS[one["method"]].texture))
        for one in found
        if one["generator"] is not None
    }
    return sorted(known)


def _digest(generator: Mapping[str, Any], texture: str) -> str:
    bank = f"bank {generator['bank_digest'][:12]} ({generator['templates']} templates)"
    # Other textures take no network from the weights.
    return f"weights {generator['weights_digest'][:12]}, {bank}" if texture == "diffusion" else bank
