"""What one tumor costs, beside the paper's whole volume, usual augmentations and a training step.

    python benchmarks/speed.py [--quick] [--device cuda] [-o PAGE.md]

Prints one page of Markdown. Times are medians of calls that are taken in turn, of one thread; on a
CPU they are CPU-seconds, so that other work on the machine counts little, on a GPU the wall clock
after all that was launched. Compare ratios to RandomAffine: they are of one run. --quick takes
fewer rounds and sizes, and ends within three minutes on two free cores; the whole took 21 minutes
on two cores beside six busy processes.

Floating point operations are those of convolutions and matrix products, counted without
calculating; the search for codes is left out (a tree on a CPU).
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchio
from speed_meters import Launches, Stages, flops, launches_on_gpu, medians, now, peak_mb, seconds
from speed_paths import (
    PAPER_STEPS,
    VOLUME,
    PlannedStep,
    WholeVolume,
    decided,
    launches_without_gpu,
    networks_of,
    phantom_volume,
    window_pass,
    without_numbers,
)

from synbt_aug import BreastVolume, TumorSynthesizer, runner, write
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.networks import VQVAE, Denoiser
from synbt_aug.paint.together import batches, joined
from synbt_aug.support.graphs import Graphs
from synbt_aug.texture import TumorInpainter
from synbt_aug.tissue.segmenter import TissueSegmenter

SIZES: dict[str, float | None] = {"10 mm": 10.0, "18 mm": 18.0, "30 mm": 30.0, "default": None}

#: Functions whose time is told, and where they are looked up; those indented lie in another one.
STAGES: dict[str, tuple[Any, str]] = {
    "sites": (Host, "_find"),
    "- network for tissues": (TissueSegmenter, "_probabilities"),
    "paint and write": (runner, "paint_and_write"),
    "- encode": (VQVAE, "encode"),
    "- denoiser": (Denoiser, "forward"),
    "- codes and decode": (TumorInpainter, "_decode"),
    "- gains": (TumorInpainter, "_corrected"),
    "- write": (write, "write"),
}


class Page:
    """Markdown that is printed as it grows, and kept."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, *lines: str) -> None:
        self.lines += lines
        print("\n".join(lines), flush=True)

    def table(self, title: str, head: list[str], rows: list[list[str]]) -> None:
        self.say("", f"## {title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|")
        self.say(*(f"| {' | '.join(row)} |" for row in rows), "")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="shipped")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, help="of every call; 7, and 2 with --quick")
    parser.add_argument("-o", "--output", type=Path, help="also write the page to this file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rounds = given.rounds or (2 if given.quick else 7)
    device, page, start = torch.device(given.device), Page(), time.perf_counter()
    make = partial(TumorSynthesizer, given.weights, device=device)
    painter = make()
    texture = painter.texture
    assert isinstance(texture, TumorInpainter)
    page.say(
        "# Speed", "",
        f"{_machine(device)}, torch {torch.__version__}, one thread; weights "
        f"{painter.weights.digest[:12]}, {texture.steps} steps and {texture.precision} unless "
        f"told; {rounds} round{'s' if rounds > 1 else ''}.",
    )  # fmt: skip
    volume = phantom_volume(device)
    host = Host.of(volume)
    host.sites_by(painter.segmenter)
    unit = _calls(page, painter, volume, host, rounds, device, given.quick)
    plans = decided(painter, host, None, range(16))
    _operations(page, painter, host, plans)
    _settings(page, make, host, rounds, device, unit, given.quick)
    _batches(page, painter, host, plans, rounds, device, unit)
    if device.type == "cuda":
        _batches(page, make(graphs=True), host, plans, rounds, device, unit)
    _whole_volume(page, painter, device, unit, given.quick)
    _stages(page, painter, volume, device)
    counted = [_launches(make(graphs=graphs), host, plans[:1]) for graphs in (False, True)]
    page.say(
        f"Painting and writing one tumor with {texture.steps} steps launches {counted[0].kernels} "
        f"kernels and waits {counted[0].waits} times; as graphs it launches {counted[1].kernels} "
        f"and waits {counted[1].waits} times ({counted[0].how}).", "",
        f"Measured in {time.perf_counter() - start:.0f} s.",
    )  # fmt: skip
    if given.output is not None:
        given.output.write_text("\n".join(page.lines) + "\n", encoding="utf-8")


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    names = [line for line in _cpu_lines() if line.startswith("model name")]
    return names[0].split(":", 1)[1].strip() if names else platform.processor()


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _paint(painter: TumorSynthesizer, host: Host, plans: list[Plan]) -> None:
    """Paint plans into copies of one host, as a batch would be painted on the host's device."""
    ready = {k: painter.painter.ready(plan) for k, plan in enumerate(plans)}
    for group in batches([host] * len(plans), ready, painter.device):
        written = painter.painter.paint([host] * len(group), joined([ready[k] for k in group]))
        for k in range(len(group)):
            written.image(k, written.verdict.stands[k])


def _launches(painter: TumorSynthesizer, host: Host, plans: list[Plan]) -> Launches:
    """What painting and writing one batch asks of a GPU, after three times."""
    if painter.device.type != "cuda":
        return launches_without_gpu(painter, host, plans)
    for _ in range(3):
        _paint(painter, host, plans)
    return launches_on_gpu(lambda: _paint(painter, host, plans))


def _fresh(
    painter: TumorSynthesizer, volume: BreastVolume, size: float | None
) -> Callable[[], Any]:
    """A call with another seed each time, on a volume that nothing is known of."""
    seeds = iter(range(10_000))
    return lambda: painter(
        BreastVolume(volume.image.clone(), volume.spacing, tumor=volume.tumor),
        seed=next(seeds),
        diameter_mm=size,
    )


def _known(painter: TumorSynthesizer, host: Host, size: float | None) -> Callable[[], Any]:
    seeds = iter(range(10_000))
    return lambda: painter(host, seed=next(seeds), diameter_mm=size)


def _calls(
    page: Page,
    painter: TumorSynthesizer,
    volume: BreastVolume,
    host: Host,
    rounds: int,
    device: torch.device,
    quick: bool,
) -> float:
    """Calls as a user makes them, beside usual augmentations; gives RandomAffine's seconds."""
    image = torch.rand(2, *VOLUME, generator=torch.Generator().manual_seed(0))
    usual = [torchio.RandomAffine(), torchio.RandomBiasField()]
    if not quick:
        usual.append(torchio.RandomElasticDeformation())
    calls: dict[str, Callable[[], Any]] = {
        f"TorchIO {type(one).__name__} (on the CPU)": partial(one, image) for one in usual
    }
    for name, size in SIZES.items():
        if quick and name in ("10 mm", "30 mm"):
            continue
        calls[f"SynBT, {name}, everything included"] = _fresh(painter, volume, size)
        calls[f"SynBT, {name}, sites known"] = _known(painter, host, size)
    analytic = TumorSynthesizer(
        painter.weights, texture="syntumor", device=device, tissue=painter.segmenter
    )
    calls["SynTumor's texture, default, sites known"] = _known(analytic, host, None)
    if painter.bank.has_signal:
        paste = TumorSynthesizer(
            painter.weights, texture="copy_paste", device=device, tissue=painter.segmenter
        )
        calls["copy-paste, default, sites known"] = _known(paste, host, None)
    # Default sizes differ much: each round draws another.
    found = medians(calls, rounds, device)
    unit = found[next(iter(calls))]
    rows = []
    for name, call in calls.items():
        memory = f"{peak_mb(call, device):.0f}" if name.startswith(("SynBT", "Syn", "copy")) else ""
        rows.append([name, f"{found[name]:.4f}", f"{found[name] / unit:.2f}", memory])
    page.table(
        "One call on two channels of 128x192x192",
        ["call", "s", "x RandomAffine", "memory at most, MB"],
        rows,
    )
    return unit


def _operations(page: Page, painter: TumorSynthesizer, host: Host, plans: list[Plan]) -> None:
    """Operations of the networks, by path and size."""
    codec, denoiser = without_numbers(painter)
    whole = WholeVolume(codec, denoiser, "fp32", "meta")
    paper = sum(count * flops(stage) for stage, count in whole.stages().values())
    rows = [[f"the paper's whole volume, {PAPER_STEPS} steps", "", f"{paper / 1e9:.0f}", "1"]]
    of: dict[tuple[tuple[int, ...], int], float] = {}

    def operations(shape: tuple[int, ...], steps: int) -> float:
        if (shape, steps) not in of:
            of[shape, steps] = flops(lambda: window_pass(codec, denoiser, shape, steps))
        return of[shape, steps]

    for name, size in SIZES.items():
        some = plans if size is None else decided(painter, host, size, range(8))
        shapes = [plan.recipe.window.shape for plan in some]
        if not shapes:
            rows.append([f"window, {name}: finds no room in this phantom", "", "", ""])
            continue
        for steps in (4, 2, 1):
            mean = statistics.fmean(operations(shape, steps) for shape in shapes)
            voxels = statistics.fmean(shape[0] * shape[1] * shape[2] for shape in shapes)
            label = f"window, {name}, {steps} step{'s' if steps > 1 else ''}"
            rows.append(
                [label, f"{voxels / 1e3:.0f}", f"{mean / 1e9:.1f}", f"1/{paper / mean:.0f}"]
            )
    try:
        step = flops(PlannedStep("meta"))
        rows.append(["one nnU-Net training step, 2 of 128x160x112", "", f"{step / 1e9:.0f}", ""])
    except ImportError:
        print("nnU-Net's network is left out: pip install synbt-aug[nnunet]", file=sys.stderr)
    page.table(
        "Floating point operations of the networks, means",
        ["path", "voxels, thousands", "GFLOP", "of the whole volume"],
        rows,
    )


def _settings(
    page: Page,
    make: Callable[..., TumorSynthesizer],
    host: Host,
    rounds: int,
    device: torch.device,
    unit: float,
    quick: bool,
) -> None:
    """Steps and precision: painting and writing one 18 mm tumor."""
    settings = [("fp32", 4), ("bf16", 4), ("bf16", 2), ("bf16", 1)]
    if not quick:
        settings[1:1] = [("fp32", 2), ("fp32", 1)]
    painters = {
        f"{p}, {n} step{'s' if n > 1 else ''}": make(precision=p, steps=n) for p, n in settings
    }
    if device.type == "cuda":
        painters["bf16, default steps, as graphs"] = make(precision="bf16", graphs=True)
    plans = decided(next(iter(painters.values())), host, 18.0, [3])
    calls = {name: partial(_paint, one, host, plans) for name, one in painters.items()}
    if device.type == "cuda":
        # A graph is recorded at the second use; the round that warms up is the first.
        calls["bf16, default steps, as graphs"]()
    found = medians(calls, rounds, device)
    shape = "x".join(map(str, plans[0].recipe.window.shape))
    page.table(
        f"Painting and writing one 18 mm tumor, decided before (window {shape})",
        ["networks", "s", "x RandomAffine"],
        [[name, f"{value:.4f}", f"{value / unit:.2f}"] for name, value in found.items()],
    )


def _batches(
    page: Page,
    painter: TumorSynthesizer,
    host: Host,
    plans: list[Plan],
    rounds: int,
    device: torch.device,
    unit: float,
) -> None:
    """Windows of one shape at once, and of the shapes that default sizes take."""
    alike = decided(painter, host, 18.0, [3])
    together = {f"{n} of 18 mm": alike * n for n in (1, 4, 8)}
    together[f"{len(plans[:8])} of default sizes"] = plans[:8]
    calls = {name: partial(_paint, painter, host, some) for name, some in together.items()}
    graphs = isinstance(painter.runs, Graphs)
    for call in calls.values() if graphs else ():
        call()
    found = medians(calls, max(rounds // 2, 1), device)
    rows = []
    for name, value in found.items():
        each = value / len(together[name])
        memory = f"{peak_mb(calls[name], device):.0f}"
        rows.append([name, f"{each:.4f}", f"{each / unit:.2f}", memory])
    page.table(
        f"The same, several at once{', as graphs' if graphs else ''}",
        ["tumors", "s a tumor", "x RandomAffine", "memory at most, MB"],
        rows,
    )


def _whole_volume(
    page: Page, painter: TumorSynthesizer, device: torch.device, unit: float, quick: bool
) -> None:
    """The paper's path, timed once; of the equal steps one, counted as often as it runs."""
    texture = painter.texture
    assert isinstance(texture, TumorInpainter)
    whole = WholeVolume(*networks_of(painter), texture.precision, device)
    rows, total, memory = [], 0.0, 0.0
    for name, (stage, count) in whole.stages().items():
        if device.type == "cuda":
            stage()
        memory = max(memory, peak_mb(stage, device)) if not quick else memory
        value = count * seconds(stage, device)
        total += value
        rows.append([f"{name}, {count} x", f"{value:.3f}", f"{value / unit:.1f}"])
    rows.append(["together", f"{total:.3f}", f"{total / unit:.1f}"])
    title = f"The paper's whole volume, {texture.precision}, without the search for codes"
    page.table(title, ["stage", "s", "x RandomAffine"], rows)
    if not quick:
        page.say(f"Memory at most {memory:.0f} MB.")
        if device.type == "cuda":
            step = PlannedStep(device)
            value = medians({"step": step}, 5, device)["step"]
            page.say(f"One nnU-Net training step takes {value:.3f} s in float16.")


def _stages(
    page: Page, painter: TumorSynthesizer, volume: BreastVolume, device: torch.device
) -> None:
    """Where the time of a call on a fresh volume goes."""
    call, stages, count = _fresh(painter, volume, None), Stages(device), 5
    call()
    start = now(device)
    with stages.watching(STAGES):
        for _ in range(count):
            call()
    total = (now(device) - start) / count
    rows = [[name, f"{1e3 * stages.seconds[name] / count:.1f}"] for name in STAGES] + [
        ["the whole call", f"{1e3 * total:.1f}"]
    ]
    page.table(
        "Where the time of a call goes, default sizes, everything included",
        ["part", "ms, mean of 5"],
        rows,
    )


if __name__ == "__main__":
    main()
