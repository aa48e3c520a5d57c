"""`synbt demo`: the main job, from nothing, with a report to look at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import complain, console, note

if TYPE_CHECKING:
    from synbt_aug.phantom import Phantom
    from synbt_aug.report.page import Section
    from synbt_aug.report.pictures import BeforeAfter
    from synbt_aug.synthesizer import TumorSynthesizer
    from synbt_aug.volume import BreastVolume, Synthesis

# Phantoms of testing: no weights were trained on them.
_FIRST_SEED = 1_000_000


@dataclass(frozen=True)
class Scene:
    """One thing to show: a phantom and what is done to it.

    `words` say what there is to see; `phantom` are `PhantomSettings`, `wish` are arguments of the
    synthesizer; `remove` takes the phantom's own tumor away in place of painting one.
    """

    title: str
    words: str = ""
    phantom: dict[str, Any] = field(default_factory=dict)
    wish: dict[str, Any] = field(default_factory=dict)
    appearance: dict[str, Any] = field(default_factory=dict)
    remove: bool = False


SCENES = (
    Scene(
        "A 20 mm mass",
        "Size and category are asked for; everything else is drawn as the tumors have it that the "
        "weights were trained on.",
        {"density": "b"},
        {"diameter_mm": 20.0},
        {"category": "mass"},
    ),
    Scene(
        "A 30 mm tumor with an enhancing rim",
        "The rim is asked to take up 2.5 times as much contrast agent as the core.",
        {"density": "a"},
        {"diameter_mm": 30.0},
        {"category": "rim", "rim": 2.5, "enhancement": 1.5},
    ),
    Scene(
        "A 12 mm mass in a dense breast",
        "A small tumor, asked to be brighter than most.",
        {"density": "c"},
        {"diameter_mm": 12.0},
        {"category": "mass", "enhancement": 2.0},
    ),
    Scene(
        "Two tumors in a fatty breast",
        "Each is placed and drawn on its own.",
        {"density": "a"},
        {"diameter_mm": 15.0, "tumors": 2},
    ),
    Scene(
        "A null paint: ordinary tissue over ordinary tissue",
        "The same networks at the same kind of place, without a tumor and without a label. What "
        "can be seen here is what the painting itself leaves behind; trainings can mix null paints "
        "in, so that it is not taken for a tumor.",
        {"density": "b"},
        {"kind": "null"},
    ),
    Scene(
        "A tumor painted away",
        "The phantom's own tumor is replaced by ordinary tissue.",
        {"diameter_mm": 20.0, "category": "mass"},
        remove=True,
    ),
)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report and the scans.")
    ] = Path("demo"),
    weights: generator.Weights = "shipped",
    device: generator.Device = "auto",
    seed: Annotated[
        int, typer.Option(min=0, max=10**9, help="Another seed shows other breasts.")
    ] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Without the nnU-Net training.")] = False,
) -> None:
    """Make phantoms, paint tumors into them, train nnU-Net with them, and write a report.

    The training needs nnU-Net and MedPy (pip install 'synbt-aug[nnunet,eval]'); without them it is
    left out. A demo that was stopped keeps the steps of it that were complete.
    """
    from synbt_aug.support.files import check_output_folder

    check_output_folder(output)
    synthesizer = generator.make_synthesizer(weights, device=device)
    shown, warnings, phantom_s, painting_s = [], [], [], []
    with console.status("Making phantoms and painting tumors") as status:
        for number, scene in enumerate(SCENES):
            status.update(f"{number + 1} of {len(SCENES)}: {scene.title}")
            start = time.perf_counter()
            phantom, volume = _phantom(scene, _FIRST_SEED + 100 * seed + number)
            made = time.perf_counter()
            result = _paint(synthesizer, scene, volume, seed + number)
            done = time.perf_counter()
            phantom_s.append(made - start)
            painting_s.append(done - made)
            if not result.painted:
                warnings.append(f"{scene.title}: nothing was painted, {result.reason}.")
                continue
            folder = output / f"case-{number + 1}"
            _write(folder, phantom, result)
            shown.append(_before_after(scene, phantom, volume, result, done - made, folder))
    painted = _Painted(shown, warnings, phantom_s, painting_s, _environment(synthesizer))
    for warning in warnings:
        note(warning)
    note(f"{len(shown)} of {len(SCENES)} cases painted, {painted.outside} voxels changed outside.")
    # Written before the training too: that may be interrupted.
    report = _report(output, painted, _Training())
    training = _train(output, synthesizer.device, weights, seed, quick)
    report = _report(output, painted, training)
    note(f"Report: {report.resolve().as_uri()}")
    if not shown or training.failed:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Painted:
    """The scenes, painted."""

    shown: list[BeforeAfter]
    warnings: list[str]
    phantom_s: list[float]
    painting_s: list[float]
    environment: dict[str, Any]

    @property
    def outside(self) -> int:
        from synbt_aug.report.report import changed_outside

        return sum(changed_outside(case) for case in self.shown)


@dataclass(frozen=True)
class _Training:
    """What the report says of the training; nothing before there was one."""

    sections: list[Section] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: bool = False


def _train(output: Path, device: object, weights: str, seed: int, quick: bool) -> _Training:
    from synbt_aug.cli import demo_sections, demo_training
    from synbt_aug.cli.steps import StepFailed

    if quick:
        return _Training([demo_sections.left_out_section()])
    if missing := demo_training.missing_packages():
        note(
            f"The training with nnU-Net is left out ({', '.join(missing)} not installed): "
            f"{demo_training.INSTALL}"
        )
        return _Training([demo_sections.left_out_section(missing)])
    try:
        trained = demo_training.train_on_phantoms(
            output / "nnunet", device=str(device), weights=weights, seed=seed
        )
    except StepFailed as error:
        for line in error.lines:
            note(f"  {line}")
        complain(str(error))
        return _Training([demo_sections.failed_section(error)], failed=True)
    note(demo_sections.in_one_line(trained))
    return _Training(
        demo_sections.training_sections(trained),
        demo_training.figures(trained),
        {f"nnU-Net, {name}": seconds for name, seconds in trained.seconds.items()},
    )


def _report(output: Path, painted: _Painted, training: _Training) -> Path:
    from synbt_aug.cli import demo_sections
    from synbt_aug.report.report import write_report

    seconds = painted.painting_s
    return write_report(
        output / "report.html",
        painted.shown,
        title="Synthetic tumors in phantom breasts",
        introduction=(
            "Simulated breast DCE-MRI, made on the spot, and what synbt-aug painted into it. "
            "Each row is one plane through the tumor: the whole slice, then close-ups of the scan "
            "before contrast agent (pre), after it (post) and their difference (subtraction), each "
            "before and after painting."
        ),
        summary={
            "cases painted": f"{len(painted.shown)} of {len(SCENES)}",
            "seconds to paint one, mean": f"{sum(seconds) / len(seconds):.1f}",
            "voxels changed outside the painted places": f"{painted.outside:,}",
            **training.summary,
        },
        timings={
            "making a phantom, mean": sum(painted.phantom_s) / len(painted.phantom_s),
            "painting a case, mean": sum(seconds) / len(seconds),
            "painting a case, longest": max(seconds),
            **training.seconds,
        },
        environment=painted.environment,
        warnings=painted.warnings,
        sections=[demo_sections.figures_section(), *training.sections],
    )


def _phantom(scene: Scene, seed: int) -> tuple[Phantom, BreastVolume]:
    import numpy as np
    import torch

    from synbt_aug.phantom import PhantomSettings, make_phantom
    from synbt_aug.volume import BreastVolume

    phantom = make_phantom(seed, PhantomSettings(with_tumor=scene.remove, **scene.phantom))
    image = np.stack([zyx(phantom.pre), zyx(phantom.post[0])])
    spacing = phantom.spacing[2], phantom.spacing[1], phantom.spacing[0]
    existing = torch.from_numpy(zyx(phantom.tumor)) if scene.remove else None
    return phantom, BreastVolume(torch.from_numpy(image), spacing, tumor=existing)


def zyx(array: Any) -> Any:
    """From the phantom's (X, Y, Z) to the (z, y, x) of files, contiguous."""
    import numpy as np

    return np.ascontiguousarray(array.transpose(2, 1, 0))


def _paint(
    synthesizer: TumorSynthesizer, scene: Scene, volume: BreastVolume, seed: int
) -> Synthesis:
    from synbt_aug.tumor.appearance import Appearance

    if scene.remove and volume.tumor is not None:
        return synthesizer.remove(volume, volume.tumor, seed=seed)
    return synthesizer(volume, seed=seed, appearance=Appearance(**scene.appearance), **scene.wish)


def _before_after(
    scene: Scene,
    phantom: Phantom,
    volume: BreastVolume,
    result: Synthesis,
    seconds: float,
    folder: Path,
) -> BeforeAfter:
    from synbt_aug.report.pictures import BeforeAfter

    facts = {"phantom": f"seed {phantom.seed}, density {phantom.density}"}
    facts |= generator.facts_of(result)
    return BeforeAfter(
        title=scene.title,
        before=volume.image.numpy(),
        after=result.image.numpy(),
        tumor=result.tumor.numpy(),
        support=result.support.numpy(),
        spacing=volume.spacing,
        affine=phantom.affine,
        facts=facts | {"time": f"{seconds:.1f} s", "scans, label and recipe": f"{folder.name}/"},
        recipe=result.recipe,
        words=scene.words,
    )


def _write(folder: Path, phantom: Phantom, result: Synthesis) -> None:
    from synbt_aug.data.nifti import write_volume
    from synbt_aug.support.files import write_json

    folder.mkdir(exist_ok=True)
    for name, channel in (("pre", result.image[0]), ("post", result.image[1])):
        write_volume(folder / f"{name}.nii.gz", channel.numpy(), phantom.affine)
    write_volume(folder / "tumor.nii.gz", result.tumor.numpy().astype("uint8"), phantom.affine)
    write_json(folder / "recipe.json", result.recipe)


def _environment(synthesizer: TumorSynthesizer) -> dict[str, Any]:
    import platform

    import torch

    from synbt_aug import __version__

    loaded, threads = synthesizer.weights, torch.get_num_threads()
    return {
        "synbt-aug": __version__,
        "weights": f"{loaded.name} (SHA-256 {loaded.digest[:12]})",
        "tumor bank": f"{len(synthesizer.bank)} templates",
        "device": f"{synthesizer.device}, {threads} thread{'s' * (threads != 1)}",
        "torch": torch.__version__,
        "Python": platform.python_version(),
    }
