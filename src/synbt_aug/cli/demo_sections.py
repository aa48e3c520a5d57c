"""The report's sections on the training with nnU-Net."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synbt_aug.cli.demo_training import INSTALL, Trained, as_typed
from synbt_aug.cli.steps import StepFailed

if TYPE_CHECKING:
    from PIL import Image

    from synbt_aug.evaluate.segmentation import Interval
    from synbt_aug.report.page import Section

_METRICS = {
    "dice": "Dice",
    "hd95_mm": "HD95",
    "asd_mm": "MSD, one way",
    "assd_mm": "MSD, both ways",
}
_TITLE = "nnU-Net trained with synthetic tumors"


def training_sections(trained: Trained) -> list[Section]:
    """What was typed, what was injected, how the training went, and what it predicts."""
    return [
        _what_was_done(trained),
        *_examples(trained.examples),
        _curves(trained),
        _scores(trained),
    ]


def in_one_line(trained: Trained) -> str:
    """For the screen."""
    curves, dice = trained.curves, trained.scores.means["dice"]
    shown = "" if dice is None else f"; Dice of held-out phantoms {dice.mean:.2f}"
    return (
        f"nnU-Net trained with {curves.things['tumors']} injected tumors "
        f"({sum(curves.skipped.values())} samples skipped){shown}: the parts work together, "
        f"this is no benchmark."
    )


def figures_section() -> Section:
    """What the figures beside the pictures mean."""
    from synbt_aug.report.page import Facts, Section

    rows = {
        "asked": "Asked for by the user, or drawn from the tumor bank where nobody asked.",
        "diameter": "Of the ball with the label's volume; the longest extent is beside it.",
        "enhancement": "Tumor less the tissue 2 to 6 mm around it in post, in units of the scan's "
        "own range; pre-contrast is the same in pre.",
        "heterogeneity": "Spread of the signal inside over its mean.",
        "rim": "Signal of the periphery over that of the core; above 1 the rim is brighter.",
        "label that is visible": "Share of the label that stands out from its surroundings. A "
        "tumor with less than 90% is painted anew or left out, with its label.",
        "contrast": "Enhancement over the scan's noise.",
        "window": "The box around the tumor that the networks saw.",
    }
    return Section("What the figures mean", [Facts(rows)])


def left_out_section(missing: Sequence[str] = ()) -> Section:
    """In place of the training: why there is none."""
    from synbt_aug.report.page import Commands, Paragraph, Section

    if not missing:
        words = (
            "Left out by --quick. Without it, the demo also trains nnU-Net with synthetic tumors "
            "for a minute or two, predicts held-out phantoms and measures the result."
        )
        return Section(_TITLE, [Paragraph(words)])
    words = (
        f"Left out: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed. "
        f"With this, the demo also trains nnU-Net for a minute or two with -tr "
        f"nnUNetTrainerSynBT, predicts held-out phantoms and measures them:"
    )
    return Section(_TITLE, [Paragraph(words, "warning"), Commands([INSTALL, "synbt demo"])])


def failed_section(error: StepFailed) -> Section:
    """In place of the training: what went wrong."""
    from synbt_aug.report.page import Commands, Paragraph, Section

    words = f"{error.what} failed with exit code {error.code}. The last lines of {error.log}:"
    return Section(_TITLE, [Paragraph(words, "warning"), Commands(error.lines)])


def _what_was_done(trained: Trained) -> Section:
    from synbt_aug.report.page import Commands, Facts, Paragraph, Section

    plan, curves = trained.plan, trained.curves
    n = plan.epochs * plan.iterations
    skipped = ", ".join(f"{reason}: {count}" for reason, count in curves.skipped.most_common())
    rows = {
        "phantoms": f"{plan.cases} for training and validation (fold 0), {plan.held_out} held out",
        "training": f"{plan.epochs} epochs of {plan.iterations} iterations, 2 patches of "
        f"{' x '.join(map(str, plan.patch))} voxels each",
        "device": trained.device,
        "samples drawn for a synthetic tumor": f"{curves.drawn} of {curves.samples}",
        "samples painted": f"{curves.painted} of the {curves.drawn} drawn",
        "samples drawn that could not be painted": f"{sum(curves.skipped.values())}"
        + (f" ({skipped})" if skipped else ""),
        "do the weights fit?": curves.fit or "not asked",
    }
    if curves.injection_ms:
        rows["time an iteration, injection"] = f"{_mean(curves.injection_ms):.0f} ms"
        rows["time an iteration, nnU-Net's augmentation"] = (
            f"{_mean(curves.augmentation_ms):.0f} ms"
        )
    return Section(
        _TITLE,
        [
            Paragraph(
                f"A very small network, trained for {n} iterations on {plan.cases} "
                f"phantoms: this demonstrates that the parts work together, from pip install to a "
                f"score. It says nothing about what synthetic tumors gain.",
                "warning",
            ),
            Paragraph("What was run, as one would type it:"),
            Commands(as_typed(trained)),
            Paragraph(
                f"On your own data, leave out the SYNBT_NUM_* lines, the tiny plan (a network so "
                f"small that it trains on two cores), -p {_plans(trained)} and --disable_tta."
            ),
            Facts(rows),
        ],
    )  # fmt: skip


def _plans(trained: Trained) -> str:
    command = list(trained.commands[1])
    return command[command.index("-p") + 1]


def _examples(paths: Sequence[Path]) -> list[Section]:
    from PIL import Image

    from synbt_aug.report.page import Gallery, Paragraph, Section

    if not paths:
        return []
    pictures = []
    for path in paths:
        with Image.open(path) as picture:
            shown = picture.convert("RGB")
        words = f"Training patch {path.stem}, before and after injection, in three planes"
        pictures.append((path.stem, shown, words))
    return [
        Section(
            "Training patches before and after injection",
            [
                Paragraph(
                    "The patch as nnU-Net's worker gives it, cropped, rotated and scaled, and with "
                    "the tumor; noise, blur, contrast and the rest of nnU-Net's augmentation come "
                    "after, so that real and synthetic tumors get the same."
                ),
                Gallery(pictures, columns=1),
            ],
        )
    ]


def _curves(trained: Trained) -> Section:
    from synbt_aug.report.chart import LineChart
    from synbt_aug.report.page import Paragraph, Section

    curves = trained.curves
    lines = {"training loss": curves.train_loss, "validation loss": curves.val_loss}
    lines["pseudo Dice of validation patches"] = curves.dice
    return Section(
        "The training curve",
        [
            LineChart(lines, "epoch", "Losses and pseudo Dice by epoch, from nnU-Net's log"),
            Paragraph(
                "As nnU-Net logs them: its loss is cross-entropy minus Dice, and can be negative. "
                "Validation sees real phantoms alone, nothing is injected there."
            ),
        ],
    )


def _scores(trained: Trained) -> Section:
    from synbt_aug.report.page import Gallery, Grid, Paragraph, Section

    scores = trained.scores
    rows = [
        [case.name, *(_shown(name, getattr(case, name)) for name in _METRICS), case.kind]
        for case in scores.cases
    ]
    rows.append(["mean", *(_interval(name, scores.means[name]) for name in _METRICS), ""])
    counted = ", ".join(f"{kind}: {n}" for kind, n in scores.counts.items() if n)
    return Section(
        "Held-out phantoms: predictions beside references",
        [
            Paragraph(
                f"Never trained on. Green: the reference; orange: the prediction. Means with "
                f"{scores.confidence:.0%} bootstrap intervals, which mean little with "
                f"{len(scores.cases)} cases. Cases by kind: {counted}; where one mask is empty, "
                f"Dice is 0 and there is no distance. MSD one way: from the prediction's surface "
                f"to the reference's (MedPy's asd); both ways: from both (assd)."
            ),
            Grid(["case", *_METRICS.values(), "masks"], rows),
            Gallery(_slices(trained), columns=4),
        ],
    )


def _slices(trained: Trained) -> list[tuple[str, Image.Image, str]]:
    from synbt_aug.data.nifti import read_label, read_scan
    from synbt_aug.report.overlays import outlined_slices

    pictures = []
    for case in trained.scores.cases:
        scans = [
            read_scan(trained.held_out / "imagesTs" / f"{case.name}_{k:04d}.nii.gz") for k in (0, 1)
        ]
        reference, predicted = (
            read_label(place / f"{case.name}.nii.gz").stored > 0
            for place in (trained.held_out / "labelsTs", trained.predictions)
        )
        pre, post = (scan.values() for scan in scans)
        views = outlined_slices(pre, post, reference, predicted, scans[0].spacing)
        for caption, picture in views:
            words = f"{case.name}: {caption}, reference green, prediction orange"
            pictures.append((f"{case.name}, {caption}", picture, words))
    return pictures


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} mm" if name.endswith("_mm") else f"{value:.2f}"


def _interval(name: str, found: Interval | None) -> str:
    if found is None:
        return "-"
    low, high = _shown(name, found.low), _shown(name, found.high)
    return f"{_shown(name, found.mean)} ({low.removesuffix(' mm')} to {high}, n = {found.count})"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
