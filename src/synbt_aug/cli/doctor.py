"""`synbt doctor`: what works on this machine and why not, and whether a dataset can be used."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import console, counting, sentence_for

if TYPE_CHECKING:
    from synbt_aug.data import CaseFiles, TrainingCase
    from synbt_aug.evaluate import FitCase

T = TypeVar("T")

FINE, MISSING, BROKEN = "[green]ok[/]", "[yellow]--[/]", "[bold red]no[/]"
# Works, but not well.
DOUBTFUL = "[yellow]??[/]"
_EXTRAS = {
    "nnunet": ("nnunetv2", "batchgenerators", "batchgeneratorsv2"),
    "torchio": ("torchio",),
    "train": ("lightning-fabric", "cornucopia", "scikit-learn", "tensorboard"),
    "eval": ("medpy", "scikit-image", "scikit-learn", "matplotlib"),
}
# Cases of a dataset that are read whole; the others are only listed.
_CASES_READ = 5
# What finding out whether the weights fit may take.
_MOST_CASES, _MOST_SECONDS = 20, 60.0


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    state: str
    what: str
    says: str


def doctor(
    dataset: Annotated[
        Path | None, typer.Argument(help="A dataset to look at, in either layout.")
    ] = None,
    weights: generator.Weights = "shipped",
    device: generator.Device = "auto",
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Paint no tumor to try it, nor into the dataset's cases."),
    ] = False,
) -> None:
    """Say what works here, and why not. Exit code 1 if something needed is broken."""
    broken = 0
    checks: dict[str, Callable[[], Iterator[Finding]]] = {"machine": _machine, "extras": _extras}
    checks["generator"] = lambda: _generator(weights, device, quick)
    if dataset is not None:
        checks["dataset"] = lambda: _dataset(dataset)
        if not quick:
            checks["fit"] = lambda: _fit(dataset, weights, device)
    for name, check in checks.items():
        for finding in _guarded(name, check):
            broken += finding.state == BROKEN
            console.print(f"  {finding.state}  {finding.what:<16}", end="")
            console.print(finding.says, markup=False, soft_wrap=True)
    if broken:
        raise typer.Exit(1)


def _guarded(name: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """A check that fails is a finding, not the end."""
    try:
        yield from check()
    except Exception as error:
        yield Finding(BROKEN, name, sentence_for(error) or f"{type(error).__name__}: {error}")


def _machine() -> Iterator[Finding]:
    import os

    import torch

    from synbt_aug import __version__

    yield Finding(FINE, "synbt-aug", f"{__version__}, Python {platform.python_version()}")
    yield Finding(FINE, "torch", f"{torch.__version__}, {torch.get_num_threads()} threads")
    yield Finding(FINE, "processors", f"{os.cpu_count()}, {platform.machine()}")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            found = torch.cuda.get_device_properties(i)
            memory = found.total_memory / 2**30
            yield Finding(FINE, f"cuda:{i}", f"{found.name}, {memory:.0f} GiB")
    else:
        yield Finding(
            MISSING, "GPU", "none that torch can use; everything works on the CPU, slower"
        )


def _extras() -> Iterator[Finding]:
    for extra, packages in _EXTRAS.items():
        found = {name: _version(name) for name in packages}
        missing = [name for name, version in found.items() if version is None]
        if missing:
            says = f"{', '.join(missing)} missing: pip install 'synbt-aug[{extra}]'"
            yield Finding(MISSING, f"extra {extra}", says)
        else:
            yield Finding(
                FINE, f"extra {extra}", ", ".join(f"{name} {v}" for name, v in found.items())
            )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _generator(weights: str, device: str, quick: bool) -> Iterator[Finding]:
    from synbt_aug.weights import Weights

    start = time.perf_counter()
    synthesizer = generator.make_synthesizer(weights, device=device)
    loaded = synthesizer.weights
    assert isinstance(loaded, Weights)  # the diffusion texture's
    parameters = sum(p.numel() for p in loaded.denoiser.parameters())
    yield Finding(
        FINE,
        "weights",
        f"{loaded.name}, SHA-256 {loaded.digest[:12]}, denoiser of {parameters / 1e6:.1f} M, "
        f"checked and loaded in {time.perf_counter() - start:.1f} s",
    )
    yield Finding(FINE, "tumor bank", f"{len(synthesizer.bank)} templates")
    if quick:
        return
    import numpy as np
    import torch

    from synbt_aug.phantom import PhantomSettings, make_phantom
    from synbt_aug.volume import BreastVolume

    settings = PhantomSettings(shape=(96, 96, 96), with_tumor=False)
    phantom = make_phantom(1_000_000, settings)
    image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]]))
    start = time.perf_counter()
    # 12 mm is refused by the shipped weights once in two seeds, as too little visible.
    result = synthesizer(BreastVolume(image), seed=0, diameter_mm=18.0)
    seconds = time.perf_counter() - start
    where = f"on {synthesizer.device} in {seconds:.1f} s"
    if result.painted:
        yield Finding(FINE, "painting", f"an 18 mm tumor {where}")
    else:
        yield Finding(BROKEN, "painting", f"no tumor {where}: {result.reason}")


def _dataset(folder: Path) -> Iterator[Finding]:
    from synbt_aug.data import read_dataset

    files = read_dataset(folder)
    cases = files.cases
    masks = sum(case.label is not None for case in cases)
    posts = sorted({len(case.posts) for case in cases})
    phases = f"{posts[0]}" if len(posts) == 1 else f"{posts[0]} to {posts[-1]}"
    yield Finding(
        FINE,
        "dataset",
        f"{files.layout} layout, {len(cases)} cases, {masks} with masks, {phases} post phases",
    )
    for line in files.skipped[:10]:
        yield Finding(BROKEN, "left out", line)
    if len(files.skipped) > 10:
        yield Finding(BROKEN, "left out", f"and {len(files.skipped) - 10} more")
    if files.layout == "nnunet":
        yield from _channels(folder)
    if masks == 0:
        yield Finding(MISSING, "masks", "none: existing tumors could be painted over")
    for case in _spread(cases, _CASES_READ):
        try:
            yield _case(case)
        except ValueError as error:
            yield Finding(BROKEN, case.name, sentence_for(error) or str(error))


def _channels(folder: Path) -> Iterator[Finding]:
    """Channels that a training would not paint, if there are any."""
    from synbt_aug.data.dataset_json import read_dataset_json
    from synbt_aug.dataset_settings import settings_for, unpainted_line
    from synbt_aug.injection_settings import InjectionSettings

    described = read_dataset_json(folder)
    try:
        line = unpainted_line(described, settings_for(described, InjectionSettings))
    except ValueError as error:
        yield Finding(BROKEN, "channels", str(error))
        return
    if line is not None:
        yield Finding(DOUBTFUL, "channels", line)


def _spread(cases: Sequence[T], most: int) -> list[T]:
    """At most so many cases, evenly over all of them."""
    count = min(most, len(cases))
    return [cases[k * len(cases) // count] for k in range(count)]


def _fit(folder: Path, weights: str, device: str) -> Iterator[Finding]:
    """Whether the weights fit the dataset: the verdict, then figure by figure."""
    from synbt_aug.data import read_dataset
    from synbt_aug.evaluate import measure_fit

    synthesizer = generator.make_synthesizer(weights, device=device)
    found = read_dataset(folder).cases
    cases = _spread([case for case in found if case.label is not None] or found, _MOST_CASES)
    unread: list[Finding] = []
    with counting("Painting the dataset's tumors again") as tell:
        fit = measure_fit(
            _fit_cases(cases, unread),
            synthesizer,
            most_cases=_MOST_CASES,
            max_seconds=_MOST_SECONDS,
            on_case=lambda done: tell(done, len(cases)),
        )
    said = {case.name for case in _spread(found, _CASES_READ)}
    yield from (finding for finding in unread if finding.what not in said)
    yield Finding(FINE if fit.ok else DOUBTFUL, "fit", fit.line())
    for figure in fit.findings:
        yield Finding(FINE if figure.good else DOUBTFUL, f"  {figure.what}", figure.says)


def _fit_cases(cases: Sequence[CaseFiles], unread: list[Finding]) -> Iterator[FitCase]:
    """Cases as they are stored, read one at a time; what cannot be read goes to `unread`."""
    from synbt_aug.data import read_mask, read_pair
    from synbt_aug.evaluate import FitCase

    for case in cases:
        try:
            pair = read_pair(case.pre, case.posts[0])
            tumor = None
            if case.label is not None:
                tumor = read_mask(case.label, pair.pre, "The tumor mask", label=case.tumor_label)
        except ValueError as error:
            unread.append(Finding(BROKEN, case.name, sentence_for(error) or str(error)))
            continue
        yield FitCase(case.name, replace(pair.volume, tumor=tumor))


def _case(files: CaseFiles) -> Finding:
    """Read one case whole and see whether it is what the generator expects."""
    from synbt_aug.data.cohort import load_case

    case = load_case(files, first_post=True)
    spacing = " x ".join(f"{mm:.2f}" for mm in case.source_spacing[::-1])
    extent = " x ".join(str(n) for n in reversed(case.tumor.shape))
    says = f"{extent} mm at {spacing} mm"
    tumors = [f"{tumor.diameter_mm:.0f} mm" for tumor in case.instances]
    says += f", tumors {', '.join(tumors[:4])}" if tumors else ", no tumor"
    if problem := _doubt(case):
        return Finding(BROKEN, case.name, f"{says}; {problem}")
    return Finding(FINE, case.name, says)


def _doubt(case: TrainingCase) -> str | None:
    """What speaks against pre and post being what their names say."""
    from synbt_aug.intensity import inverse_knee

    inside = case.tumor > 0
    if bool((case.q[0] == case.q[1]).all()):
        return "pre and post are the same scan"
    if not bool(inside.any()):
        return None
    # In units of each channel's own body, so that scans normalised one by one compare, too.
    pre, post = (float(inverse_knee(channel.float()[inside]).mean()) for channel in case.q)
    if post <= pre:
        return "tumors are no brighter in post than in pre: are the two in this order?"
    return None
