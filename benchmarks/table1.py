"""Table 1 of the paper: three networks, with and without synthetic tumors, one configuration.

    python benchmarks/table1.py --size tiny -o FOLDER                          # a try, minutes
    python benchmarks/table1.py --size small --networks unet -o FOLDER         # phantoms, a CPU
    python benchmarks/table1.py --size paper --data MAMA_MIA -o FOLDER         # states GPU-hours

`--arm` picks what is held against what: `own` (the table: the generator and its bank have seen
nothing but the segmenter's labelled cases), `control` (nothing painted, two ways), `tuned` (the
shipped generator, trained further on those cases), `extra` (further real cases in place of painted
ones: an upper bound), `steps` (of the sampler), `sweep` (probabilities). Each training leaves one
JSON; a run that was stopped goes on where it was. Several runs may fill one folder with different
rows once phantoms and generators are there.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

import torch
from table1_config import SIZES, Configuration, Training, remember
from table1_cost import estimate
from table1_data import Data
from table1_report import to_markdown
from table1_rows import ARMS, METHODS, NETWORK_NAMES, rows_of
from table1_run import run_row

from synbt_aug.cli.console import log_to_screen
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import check_output_folder, read_json, written_whole
from synbt_aug.support.interruption import exit_code


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="MAMA-MIA, or where the phantoms are kept")
    parser.add_argument("--arm", choices=ARMS, nargs="+", default=["own"])
    parser.add_argument("--methods", choices=METHODS, nargs="+", help="in place of --arm")
    parser.add_argument("--networks", choices=NETWORK_NAMES, nargs="+", default=[*NETWORK_NAMES])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    for name in ("labelled", "validation", "test", "extra", "epochs", "steps-per-epoch"):
        parser.add_argument(f"--{name}", type=int, help="in place of the size's")
    steps = ("CROPS", "VOLUMES", "DENOISER")
    parser.add_argument("--own-steps", type=int, nargs=3, metavar=steps, help="of the generator")
    parser.add_argument("--tuned-steps", type=int, nargs=3, metavar=steps, help="likewise")
    parser.add_argument("--painting", choices=("fp32", "bf16"), help="in place of the size's")
    parser.add_argument("--workers", type=int, default=1, help="processes, for the phantoms")
    parser.add_argument("--estimate", action="store_true", help="state GPU-hours and stop")
    parser.add_argument("--table-only", action="store_true", help="of the rows that are there")
    return parser.parse_args(arguments)


def configuration_of(given: argparse.Namespace) -> Configuration:
    names = ("labelled", "validation", "test", "extra", "epochs", "steps_per_epoch", "painting")
    asked = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    for part in ("own", "tuned"):
        steps = getattr(given, f"{part}_steps")
        if steps is not None:
            asked[part] = Training(*steps)
    return dataclasses.replace(SIZES[given.size], **asked)


def write_table(folder: Path, configuration: Configuration) -> Path | None:
    """The table of all rows that are there, in Markdown."""
    found = [read_json(path) for path in sorted(folder.glob("*/*/seed*.json"))]
    if not found:
        return None
    path = folder / "table1.md"
    with written_whole(path) as unfinished:
        unfinished.write_text(to_markdown(found, configuration), encoding="utf-8")
    return path


def main(arguments: list[str] | None = None) -> None:
    given = parse(arguments)
    log_to_screen(logging.INFO)
    configuration = configuration_of(given)
    methods = given.methods or [method for arm in given.arm for method in ARMS[arm]]
    rows = rows_of(given.networks, methods, given.seeds)
    if given.size == "paper" or given.estimate:
        print(estimate(rows, configuration))
    if given.estimate:
        return
    # An estimate may be of any number; MAMA-MIA's own split is not to be miscounted in the table.
    if given.size == "paper" and (given.labelled or given.test or given.extra):
        raise SynBTError("--labelled, --test and --extra count phantoms: MAMA-MIA has its split.")
    if given.size == "paper" and given.data is None:
        raise SynBTError("The size `paper` is of MAMA-MIA: give its folder with --data.")
    folder = check_output_folder(given.output)
    remember(folder, configuration, str(given.data) if given.size == "paper" else None)
    data = Data(configuration, given.data or folder / "phantoms", given.workers)
    for done, row in enumerate(rows, 1):
        if not given.table_only:
            found = run_row(row, configuration, data, folder)
            dice = found["means"]["dice"]["mean"]
            said = f"{done} of {len(rows)}: {row.name}, seed {row.seed}: Dice {dice:.4f}"
            print(f"{said}, {found['seconds']:.0f} s", file=sys.stderr)
    table = write_table(folder, configuration)
    if table is not None:
        print(table.read_text(encoding="utf-8"))


if __name__ == "__main__":
    torch.set_num_threads(1 if not torch.cuda.is_available() else torch.get_num_threads())
    try:
        main()
    except KeyboardInterrupt as stop:
        print("Stopped before its end. The same command goes on with it.", file=sys.stderr)
        raise SystemExit(exit_code(stop)) from None
    except SynBTError as error:
        raise SystemExit(f"Error: {error}") from error
