"""What every dataset layout comes down to: cases, each with its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from synbt_aug.errors import SynBTError


@dataclass(frozen=True)
class CaseFiles:
    """The files of one examination.

    Args:
        name: The case's id, as the dataset spells it.
        pre: The pre-contrast scan.
        posts: Post-contrast scans in order of time; at least one.
        label: Mask of the tumors, or None where there is none.
        tumor_label: The value in `label` that is tumor; None counts every value above 0.
        split: "train" or "test" where the dataset says so.
    """

    name: str
    pre: Path
    posts: tuple[Path, ...]
    label: Path | None = None
    tumor_label: int | None = None
    split: str | None = None


@dataclass(frozen=True)
class DatasetFiles:
    """The cases of one folder, sorted by name.

    Args:
        folder: Where they lie.
        layout: "nnunet" or "mama-mia".
        cases: The cases.
        skipped: One line for each case that cannot be used, with the reason.
    """

    folder: Path
    layout: str
    cases: tuple[CaseFiles, ...]
    skipped: tuple[str, ...] = ()

    def only(self, names: set[str] | frozenset[str]) -> DatasetFiles:
        """The cases of these names.

        Raises:
            SynBTError: If a name is not there.
        """
        known = {case.name for case in self.cases}
        if missing := sorted(set(names) - known):
            raise SynBTError(
                f"{self.folder} has no case {', '.join(missing[:5])}"
                f"{f' and {len(missing) - 5} more' if len(missing) > 5 else ''}; "
                f"it has {len(known)}, such as {', '.join(sorted(known)[:3])}."
            )
        cases = tuple(case for case in self.cases if case.name in names)
        return DatasetFiles(self.folder, self.layout, cases, self.skipped)


# What lies at the top of a dataset in either layout, in the order in which it is told.
_PARTS = (
    *("dataset.json", "imagesTr", "labelsTr", "imagesTs", "labelsTs", "splits_final.json"),
    *("images", "segmentations", "train_test_splits.csv"),
)


def refuse_foreign_dataset(folder: Path, what: str) -> None:
    """See that a folder that a dataset is to be written to holds no other one.

    Args:
        folder: The output folder.
        what: What is to be written; opens the message.

    Raises:
        SynBTError: If something there would be replaced, or would count as a case of ours.
    """
    if there := [name for name in _PARTS if (folder / name).exists()]:
        raise SynBTError(
            f"{what} needs a folder of its own, but {folder} holds {shorten(there)}. Name "
            f"another one with -o."
        )


def shorten(names: list[str], most: int = 8) -> str:
    """`a, b, c and 12 more`: a list for an error message."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "") or "nothing"
