"""The shipped tumor bank: shapes of many phantoms, with the lesions of a case kept together.

    python pretrained/grow_bank.py --seeds 0:300 -o first.npz
    python pretrained/grow_bank.py --seeds 300:920 --varied --join first.npz -o bank.npz

give the bank that is shipped. Shape, appearance and how the tumors lay in their breasts, no voxels.
Shapes are smoothed (`tumor/body.py`): what is rough is drawn when they are painted.
Tissues are those that the shipped segmenter finds, as it does where tumors are painted: by known
ones tumors lie otherwise. Each phantom leaves a part in `bank.parts`, so that a run that was
stopped goes on where it was; the parts may be deleted once the bank is written. About 2 s of one
core a phantom and 1.1 templates. Seeds of 1,000,000 and above are for testing only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from synbt_aug.data.bank import templates_of
from synbt_aug.data.phantom_cohort import FIRST_TEST_SEED
from synbt_aug.errors import SynBTError
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.signal.intensity import measure_reference
from synbt_aug.support.files import check_output_folder, written_whole
from synbt_aug.support.workers import each_done
from synbt_aug.tissue.segmenter import TissueSegmenter, load_segmenter
from synbt_aug.tumor.bank import TumorBank, build_bank, join_banks, load_bank
from synbt_aug.tumor.body import smooth_bodies
from synbt_aug.tumor.template import Template
from synbt_aug.volume import BreastVolume

#: Fields of view in voxels of 1 mm, by the seed's last digit: six of ten as phantoms are made
#: otherwise, a cube, two with both breasts as a rule, and a small one.
VARIED_FIELDS = (
    *((192, 192, 128),) * 6,
    (160, 160, 160),
    (320, 192, 144),
    (320, 192, 128),
    (144, 176, 96),
)


def settings_of(seed: int, varied: bool) -> PhantomSettings:
    """The defaults, or those with the field of view of `VARIED_FIELDS`."""
    return PhantomSettings(shape=VARIED_FIELDS[seed % 10]) if varied else PhantomSettings()


@cache
def _segmenter() -> TissueSegmenter:
    return load_segmenter()


def templates_of_phantom(seed: int, settings: PhantomSettings) -> tuple[Template, ...]:
    """The templates of one phantom, a group where it has several lesions."""
    phantom = make_phantom(seed, settings)
    scans = np.stack([phantom.pre, phantom.post[0]]).astype(np.float32)
    volume = BreastVolume(
        torch.from_numpy(scans), phantom.spacing, tumor=torch.from_numpy(phantom.tumor)
    )
    reference = measure_reference(volume.image)
    templates = templates_of(volume, reference, f"phantom_{seed:07d}", segmenter=_segmenter())
    return smooth_bodies(templates, seed)


def write_part(folder: Path, seed: int, varied: bool) -> None:
    """Make one phantom's part; an empty file where it has no tumor of 6 mm."""
    part = _part(folder, seed)
    templates = templates_of_phantom(seed, settings_of(seed, varied))
    if templates:
        build_bank(templates).save(part)
    else:
        with written_whole(part) as unfinished:
            unfinished.touch()


def grow(folder: Path, seeds: Iterable[int], varied: bool, workers: int) -> Iterator[int]:
    """Make the parts that are missing, yielding each seed when it is done.

    A folder of parts belongs to one choice of `varied`: parts do not say how they were made.
    """
    todo = [seed for seed in seeds if not _part(folder, seed).is_file()]
    work = partial(write_part, folder, varied=varied)
    with closing(each_done(work, todo, workers)) as written:
        for seed, _ in written:
            yield seed


def joined(folder: Path, seeds: Iterable[int]) -> TumorBank:
    """One bank of the parts, in order of the seeds."""
    parts = (_part(folder, seed) for seed in seeds)
    return join_banks(load_bank(part) for part in parts if part.stat().st_size)


def _part(folder: Path, seed: int) -> Path:
    return folder / f"phantom_{seed:07d}.npz"


def _seeds(text: str) -> range:
    first, _, stop = text.partition(":")
    seeds = range(int(first), int(stop))
    if not seeds or not 0 <= seeds.start < seeds.stop <= FIRST_TEST_SEED:
        raise argparse.ArgumentTypeError(
            f"seeds are FIRST:STOP with 0 <= FIRST < STOP <= {FIRST_TEST_SEED}, got {text}"
        )
    return seeds


def main() -> None:
    """Read the arguments, make what is missing, join, and print one line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=_seeds, default=range(1000), metavar="FIRST:STOP")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--varied", action="store_true", help="fields of view of several sizes")
    parser.add_argument("--join", type=Path, nargs="*", default=[], help="banks that come first")
    parser.add_argument("-o", "--output", type=Path, default=Path("bank.npz"))
    wanted = parser.parse_args()
    try:
        folder = check_output_folder(wanted.output.with_suffix(".parts"))
        torch.set_num_threads(1)
        for done in grow(folder, wanted.seeds, wanted.varied, wanted.workers):
            print(f"phantom {done}", flush=True)
        bank = join_banks(
            [*(load_bank(other) for other in wanted.join), joined(folder, wanted.seeds)]
        )
        bank.save(wanted.output)
    except SynBTError as error:
        sys.exit(str(error))
    megabytes = wanted.output.stat().st_size / 1e6
    print(
        f"{len(bank)} templates in {wanted.output}, {len(bank.groups)} groups, {megabytes:.2f} MB"
    )


if __name__ == "__main__":
    main()
