"""Folders of predictions, one a method, all measured against one folder of references."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.segmentation import Scores, pair_masks, score_folders


def name_methods(folders: Sequence[str], names: Sequence[str] | None = None) -> dict[str, Path]:
    """Give each folder of predictions the name of its method.

    Args:
        folders: Each `FOLDER` or `NAME=FOLDER`. Without a name, a method is called as its folder,
            with as many folders above it as tell it from the others.
        names: Names of all of them, in order, instead.

    Raises:
        SynBTError: If two methods have one name, or there are not as many names as folders.
    """
    if names is None:
        pairs = [_split(words) for words in folders]
    elif len(names) == len(folders):
        pairs = [(name.strip(), Path(words)) for name, words in zip(names, folders)]
    else:
        raise SynBTError(
            f"Each folder of predictions needs one name, got {len(names)} names for "
            f"{len(folders)} folders: --names {','.join(names)}."
        )
    unnamed = [Path(os.path.abspath(folder)).parts for name, folder in pairs if not name]
    taken = [name for name, _ in pairs if name]
    called: list[str] = []
    for depth in range(1, max(map(len, unnamed), default=0) + 1):
        called = ["/".join(parts[-depth:]) for parts in unnamed]
        if len({*called, *taken}) == len(called) + len(taken):
            break
    rest = iter(called)
    methods = [(name or next(rest), folder) for name, folder in pairs]
    counted = Counter(name for name, _ in methods)
    if twice := [name for name, count in counted.items() if count > 1]:
        raise SynBTError(
            f"Methods need different names, but {counted[twice[0]]} are called {twice[0]}. "
            f"Name them as in first={methods[0][1]}."
        )
    return dict(methods)


def score_methods(
    methods: Mapping[str, str | os.PathLike[str]],
    references: str | os.PathLike[str],
    *,
    label: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    on_case: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """Measure every method. All folders are looked through before the first mask is read.

    Args:
        methods: Name -> folder of CASE.nii.gz or CASE.nii.
        references: The same cases.
        label: The value that counts; None counts every value above 0.
        confidence: Of the intervals, between 0 and 1.
        seed: Of the bootstrap.
        on_case: Called with (masks done, all masks of all methods).

    Raises:
        SynBTError: If there is no method, a folder lacks a case, a mask cannot be read or lies on
            another grid than its reference, or no mask holds anything.
        ExtraMissingError: If MedPy is not installed.
    """
    if not methods or not 0 < confidence < 1:
        raise SynBTError(
            f"score_methods needs a method and a confidence between 0 and 1, got {len(methods)} "
            f"methods and {confidence}."
        )
    cases = [len(pair_masks(folder, references)) for folder in methods.values()]
    scores: dict[str, Scores] = {}
    before = 0

    def tell(done: int, _: int) -> None:
        if on_case is not None:
            on_case(before + done, sum(cases))

    for count, (name, folder) in zip(cases, methods.items()):
        scores[name] = score_folders(
            folder, references, label=label, confidence=confidence, seed=seed, on_case=tell
        )
        before += count
    kinds = {case.kind for found in scores.values() for case in found.cases}
    if kinds == {"correctly empty"}:
        # Each Dice would be 1: a wrong label must not look like a perfect method.
        what = "a value above 0" if label is None else f"label {label}"
        raise SynBTError(
            f"No mask holds {what}, neither the references nor the predictions, so there is "
            f"nothing to measure. Name the tumor's value with --label."
        )
    return scores


def _split(words: str) -> tuple[str, Path]:
    name, sign, folder = words.partition("=")
    named = sign and folder and "/" not in name and os.sep not in name and not Path(words).exists()
    return (name.strip(), Path(folder)) if named else ("", Path(words))
