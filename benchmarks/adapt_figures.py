"""Figures of `synbt adapt` on further cases that no weights have seen, a column a set of weights.

    synbt phantom -o TEST -n 12 --seed 1000200 ...    # the look that was adapted to
    python benchmarks/adapt_figures.py TEST shipped NAME

The same figures as in the command's report, which has a few held-back cases alone. 12 cases give
36 slices and more on either side, enough for an AUC. A case takes 15 CPU-seconds a set.
"""

from __future__ import annotations

import argparse
import sys

from synbt_aug.adapt.figures import measure_generator
from synbt_aug.adapt.page import figure_rows
from synbt_aug.data import read_dataset
from synbt_aug.evaluate import read_fit_case
from synbt_aug.evaluate.slices.table import to_markdown
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.segmenter import load_segmenter


def tell(done: int, total: int) -> None:
    """Show progress where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total}", end="", file=sys.stderr)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("weights", nargs="+", help="shipped, paths or names")
    options = parser.parse_args()
    files, segmenter = read_dataset(options.dataset).cases, load_segmenter()
    found = {
        name: measure_generator(
            lambda: map(read_fit_case, files),
            len(files),
            TumorSynthesizer(name, tissue=segmenter),
            tell,
        )
        for name in options.weights
    }
    print(to_markdown(figure_rows(found)))


if __name__ == "__main__":
    main()
