"""`synbt realism`: how real the tumors of one dataset are beside those of another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synbt_aug.cli import generator
from synbt_aug.cli.console import counting, note
from synbt_aug.support.number import MAX_SEED


def realism(
    real: Annotated[
        Path, typer.Argument(help="Dataset with real tumors: nnU-Net raw, or MAMA-MIA.")
    ],
    synthetic: Annotated[Path, typer.Argument(help="Dataset with synthetic tumors, likewise.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for realism.html, .md and .json.")
    ],
    train: Annotated[
        int, typer.Option(min=2, help="Windows of each kind that the networks learn from.")
    ] = 400,
    test: Annotated[int, typer.Option(min=2, help="Windows of each kind to be judged.")] = 200,
    steps: Annotated[
        int, typer.Option(min=1, help="Of each training; 1000 take 20 minutes of a CPU each.")
    ] = 1000,
    weights: Annotated[
        str,
        typer.Option(
            help="Whose codec real tumors are shown through: shipped, a weights folder, or none."
        ),
    ] = "shipped",
    device: generator.Device = "auto",
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Of split, networks and intervals.")
    ] = 0,
    slices: Annotated[
        bool,
        typer.Option(
            "--slices",
            help="Compare one 80 mm slice a case by features of tumor and surroundings instead: "
            "no networks, minutes. Folders of PNG slices with cases.csv will do, too.",
        ),
    ] = False,
) -> None:
    """Hold synthetic tumors against real ones, and write one table of figures.

    Can a classifier tell them apart? Does a segmenter of real tumors find them? Do radiomics and
    features agree? Every tumor in a dataset's masks counts as one of its kind. Training and test
    are split by case: a case of one name in both datasets stays on one side.

    With --slices: medians, distances and the AUC of a boosted tree over features of slices, beside
    those of the two halves of REAL against each other.
    """
    if slices:
        from synbt_aug.cli.realism_slices import compare_slices

        compare_slices(real, synthetic, output)
        return
    from dataclasses import replace

    from synbt_aug import __version__
    from synbt_aug.evaluate.realism import RealismSettings, compare
    from synbt_aug.evaluate.realism.compare import too_few
    from synbt_aug.evaluate.realism.from_disk import SYNTHETIC, read_sets
    from synbt_aug.evaluate.realism.pictures import gallery_of
    from synbt_aug.evaluate.realism.radiomics import needs_skimage
    from synbt_aug.evaluate.realism.table import (
        distances_section,
        in_one_line,
        summary,
        write_tables,
    )
    from synbt_aug.support.files import check_output_folder, write_json

    needs_skimage()
    place = generator.pick_device(device)
    check_output_folder(output)
    synthesizer = None
    if weights != "none":
        synthesizer = generator.make_synthesizer(weights, device=device)
    with counting("Reading cases") as tell:
        found = read_sets(
            real,
            synthetic,
            max_training=train,
            max_test=test,
            synthesizer=synthesizer,
            seed=seed,
            on_case=tell,
        )
    for line in found.skipped[:10]:
        note(f"left out: {line}")
    defaults = RealismSettings(seed=seed)
    settings = replace(
        defaults,
        classifier=replace(defaults.classifier, steps=steps),
        segmenter=replace(defaults.segmenter, steps=steps),
    )
    # The last one, of tumors that show, is left out where all do.
    trainings = (6 if synthesizer is not None else 4) * steps
    finished = 0
    with counting("Training networks") as tell:

        def told(what: str, done: int, total: int) -> None:
            nonlocal finished
            finished += 1
            tell(finished, trainings)

        comparison = compare(
            found.training,
            found.test,
            settings,
            judged=SYNTHETIC,
            device=place,
            tell=told,
        )
    windows = [
        (len(found.training.real), len(found.test.real)),
        (len(found.training.synthetic[SYNTHETIC]), len(found.test.synthetic[SYNTHETIC])),
    ]
    real_part, synthetic_part = (f"{a} windows to learn from, {b} to test on" for a, b in windows)
    facts = {
        "real": f"{real}, {real_part}",
        "synthetic": f"{synthetic}, {synthetic_part}",
        "weights": weights if synthesizer is None else synthesizer.weights.digest[:12],
        "steps of each training": steps,
        "seed": seed,
        "synbt-aug": __version__,
        "cases left out": len(found.skipped),
    }
    shown = {"real": found.test.real}
    if found.test.rebuilt is not None:
        shown["same codec and blend"] = found.test.rebuilt
    shown |= found.test.synthetic
    title = f"Realism of {synthetic.name} beside {real.name}"
    few = too_few(found.training, found.test)
    page, _ = write_tables(
        output,
        title,
        comparison.groups,
        facts,
        [gallery_of(shown), distances_section(comparison.distances)],
        [] if few is None else [few],
    )
    write_json(
        output / "realism.json",
        {"facts": facts, "groups": [group.to_dict() for group in comparison.groups]},
    )
    for group in comparison.groups:
        note(group.title)
        for figure in group.figures:
            note(f"  {in_one_line(figure)}")
    if few is not None:
        note(few)
    note(summary(comparison.groups))
    note(f"Table in {page}")
