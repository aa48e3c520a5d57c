"""Which case is made of which source, with which seed: the same whoever makes it, and when.

Case number k is made of one source; where nothing can be painted there, of the next one. Names
and seeds follow from the number and the settings alone, so that shards cannot collide and a run
that was stopped makes the rest as it would have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from synbt_aug.data.layout import CaseFiles, DatasetFiles

#: Sources and seeds that are tried for one case.
ATTEMPTS = 10


@dataclass(frozen=True)
class Candidate:
    """One try at a case.

    Args:
        number: Of the case, from 0 on.
        attempt: From 0 on.
        source: The case that is painted into.
        seed: All that is random follows from it.
    """

    number: int
    attempt: int
    source: CaseFiles
    seed: int


@dataclass(frozen=True)
class CasePlan:
    """What every case of a folder follows from.

    Args:
        sources: The cases that may be painted into, in the order in which they are used.
        seed: The folder's.
        digest: Of all settings, in hexadecimal.
    """

    sources: tuple[CaseFiles, ...]
    seed: int
    digest: str

    def name(self, number: int) -> str:
        """A case's id. It holds the settings' digest: folders of other settings can be merged."""
        return f"synbt_{self.digest[:6]}_{number:05d}"

    def candidate(self, number: int, attempt: int = 0) -> Candidate:
        """One try at a case."""
        source = self.sources[(number + attempt) % len(self.sources)]
        key = hashlib.sha256(f"{self.seed}/{number}/{attempt}".encode()).digest()
        return Candidate(number, attempt, source, int.from_bytes(key[:8], "big"))

    def by_source(self, numbers: Sequence[int]) -> list[int]:
        """Numbers in the order in which each source is read once."""
        return sorted(numbers, key=lambda number: (number % len(self.sources), number))


def plan_of(files: DatasetFiles, seed: int, settings: Mapping[str, Any]) -> CasePlan:
    """The plan of a folder.

    Args:
        files: The cases that may be painted into.
        seed: The folder's.
        settings: All that decides what is made, JSON-ready.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(files.cases), generator=generator).tolist()
    content = json.dumps(dict(settings), sort_keys=True).encode()
    sources = tuple(files.cases[k] for k in order)
    return CasePlan(sources, seed, hashlib.sha256(content).hexdigest())


def digest_of_sources(files: DatasetFiles) -> str:
    """What tells one set of sources from another: their names and the sizes of their files."""
    lines = []
    for case in files.cases:
        paths: list[Path] = [case.pre, *case.posts, *([case.label] if case.label else [])]
        lines.append(" ".join([case.name, *(str(path.stat().st_size) for path in paths)]))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
