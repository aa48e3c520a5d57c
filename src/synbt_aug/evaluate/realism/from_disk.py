"""Windows of two datasets on disk: one of real tumors, one of synthetic ones.

Every tumor that a dataset's masks hold counts as one of its kind. With a generator, the real
tumors are shown through its codec, too, and covered by the crude texture that a classifier must
find. Cases of one name in both datasets stay together; what was painted into a real case of
another name cannot be known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from synbt_aug.data.detect import read_dataset
from synbt_aug.data.layout import CaseFiles
from synbt_aug.data.nifti import read_mask, read_pair
from synbt_aug.errors import SynBTError, first_line
from synbt_aug.evaluate.realism.repaint import rebuilt, repainted
from synbt_aug.evaluate.realism.sets import CONTROL, Sets
from synbt_aug.evaluate.realism.windows import (
    Windows,
    cut_windows,
    join,
    lesions_of,
    split_cases,
)
from synbt_aug.host import Host
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import SynTumor
from synbt_aug.volume import Synthesis

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class FromDisk:
    """What two datasets hold.

    Args:
        training: To learn from.
        test: To be judged.
        skipped: One line for each case left out, with the reason.
    """

    training: Sets
    test: Sets
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class _Drawn:
    """Windows of one case's tumors: as they are, and covered in the two ways."""

    own: Windows
    rebuilt: Windows
    control: Windows


def read_sets(
    real: str | os.PathLike[str],
    synthetic: str | os.PathLike[str],
    *,
    max_training: int = 400,
    max_test: int = 200,
    synthesizer: TumorSynthesizer | None = None,
    seed: int = 0,
    on_case: Callable[[int, int], None] | None = None,
) -> FromDisk:
    """Read both datasets and cut the windows, training and test from different cases.

    Args:
        real: A dataset in nnU-Net's raw or MAMA-MIA's layout.
        synthetic: Likewise.
        max_training: Windows of each kind to learn from.
        max_test: Windows of each kind to test on.
        synthesizer: With networks; None leaves out what needs them.
        seed: Of the split and of what is left out.
        on_case: Called with (cases read, all cases).

    Raises:
        SynBTError: If a dataset cannot be read, or one side has tumors of fewer than two cases
            for training or test.
    """
    share = max_training / (max_training + max_test)
    kept: dict[str, tuple[CaseFiles, ...]] = {}
    skipped: list[str] = []
    for kind, folder in (("real", real), (SYNTHETIC, synthetic)):
        files = read_dataset(folder)
        skipped += files.skipped
        kept[kind] = tuple(case for case in files.cases if case.label is not None)
        if len(kept[kind]) < 4:
            raise SynBTError(
                f"{folder} needs masks of at least 4 cases, 2 to learn from and 2 to test on, "
                f"and has {len(kept[kind])}."
            )
    training_names = _training_names(kept, share, seed)
    found: dict[tuple[str, bool], list[_Drawn]] = {}
    done, total = 0, sum(len(cases) for cases in kept.values())
    most = {True: max_training, False: max_test}
    for kind, cases in kept.items():
        for case in _mixed(cases, seed):
            learns = case.name in training_names
            enough = found.setdefault((kind, learns), [])
            if sum(len(d.own) for d in enough) < most[learns]:
                try:
                    covered = synthesizer if kind == "real" else None
                    enough.append(_windows_of(case, covered, seed))
                except ValueError as error:
                    skipped.append(f"{case.name}: {first_line(error)}")
            done += 1
            if on_case is not None:
                on_case(done, total)
    training, test = (
        _sets(found, learns, most[learns], synthesizer is not None) for learns in (True, False)
    )
    return FromDisk(training, test, tuple(skipped))


def _training_names(
    kept: dict[str, tuple[CaseFiles, ...]], share: float, seed: int
) -> frozenset[str]:
    """Cases to learn from; a name in both datasets is on one side."""
    ours, theirs = ({case.name for case in kept[kind]} for kind in ("real", SYNTHETIC))
    names: set[str] = set()
    for part in (ours & theirs, ours - theirs, theirs - ours):
        names |= split_cases(part, share, seed)[0] if len(part) > 1 else part
    return frozenset(names)


def _mixed(cases: tuple[CaseFiles, ...], seed: int) -> Iterator[CaseFiles]:
    for k in np.random.default_rng(seed).permutation(len(cases)):
        yield cases[k]


def _windows_of(files: CaseFiles, synthesizer: TumorSynthesizer | None, seed: int) -> _Drawn:
    assert files.label is not None
    pair = read_pair(files.pre, files.posts[0])
    tumor = read_mask(files.label, pair.pre, "The tumor mask", label=files.tumor_label)
    host = Host.of(replace(pair.volume, tumor=tumor))
    lesions = lesions_of(tumor, host.volume.spacing)
    own = cut_windows(files.name, host.volume, lesions, reference=host.reference)
    if synthesizer is None:
        return _Drawn(own, own.take([]), own.take([]))
    control = SynTumor(hole_margin_mm=synthesizer.texture.hole_margin_mm)

    def covered(paint: Callable[[Tensor], Synthesis | None]) -> Windows:
        windows = [own.take([])]
        for lesion in lesions:
            result = paint(lesion)
            if result is not None:
                volume = replace(host.volume, image=result.image)
                windows.append(cut_windows(files.name, volume, [lesion]))
        return join(windows) if len(windows) > 1 else windows[0]

    return _Drawn(
        own,
        covered(lambda lesion: rebuilt(host, lesion, synthesizer)),
        covered(lambda lesion: repainted(host, lesion, synthesizer, seed=seed, texture=control)),
    )


def _sets(
    found: dict[tuple[str, bool], list[_Drawn]], learns: bool, most: int, covered: bool
) -> Sets:
    part = "to learn from" if learns else "to test on"

    def of(kind: str, which: Callable[[_Drawn], Windows]) -> Windows:
        windows = [which(drawn) for drawn in found.get((kind, learns), [])]
        cases = {name for w in windows for name in w.cases}
        if len(cases) < 2:
            raise SynBTError(
                f"A comparison needs {kind} tumors of 6 to 52 mm in at least 2 cases {part}, "
                f"got {len(cases)}. Give it more cases, or another --seed."
            )
        whole = join(windows)
        return whole.take(range(min(most, len(whole))))

    synthetic = {SYNTHETIC: of(SYNTHETIC, lambda d: d.own)}
    if not covered:
        return Sets(of("real", lambda d: d.own), synthetic)
    synthetic[CONTROL] = of("real", lambda d: d.control)
    return Sets(of("real", lambda d: d.own), synthetic, of("real", lambda d: d.rebuilt))
