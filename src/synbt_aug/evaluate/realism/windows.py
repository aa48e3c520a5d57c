"""Windows of 64 mm around tumors, real or synthetic: all that the comparisons look at.

Every image is mapped by its own references, as a network that reads it from a file would; where
a tumor was painted is not known to the image. The lesion lies in the middle of its window.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from synbt_aug.data.cohort import number_tumors
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import bounding_box
from synbt_aug.grid.window import Window, cube, cut, inside_host, window_around
from synbt_aug.host import Host
from synbt_aug.networks.tensor_files import save_tensors
from synbt_aug.signal.intensity import (
    IntensityReference,
    inverse_knee,
    knee,
    measure_reference,
    to_linear,
)
from synbt_aug.tumor.template import SMALLEST_VOXELS
from synbt_aug.volume import BreastVolume, Spacing

SIDE_MM = 64

#: Longer lesions would leave less than 6 mm of surroundings on either side.
LONGEST_MM = SIDE_MM - 12.0

#: Values of `Windows.label`. The third marks healthy tissue that is looked at, or was repainted.
LESION, OTHER_TUMOR, HEALTHY = 1, 2, 3


@dataclass(frozen=True)
class Windows:
    """Windows at 1 mm.

    Args:
        signal: Mapped pre and post, shape `(N, 2, n, n, n)`, float16.
        label: 1 on the lesion in the middle, 2 on other tumors, 3 where healthy tissue is looked
            at, uint8, shape `(N, n, n, n)`.
        cases: Where each comes from: windows of one case are never split between training and
            test.

    Raises:
        SynBTError: If the shapes do not belong together.
    """

    signal: Tensor
    label: Tensor
    cases: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.cases)
        right = self.signal.ndim == 5 and self.signal.shape[1] == 2
        if not right or self.label.shape != (n, *self.signal.shape[2:]) or len(self.signal) != n:
            raise SynBTError(
                f"Windows need signal (N, 2, n, n, n), label (N, n, n, n) and N cases, got "
                f"{tuple(self.signal.shape)}, {tuple(self.label.shape)} and {n}."
            )

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def lesion(self) -> Tensor:
        """The lesion in the middle, boolean, shape `(N, n, n, n)`."""
        return self.label == LESION

    @property
    def tumor(self) -> Tensor:
        """Every tumor in the window, boolean, shape `(N, n, n, n)`."""
        return (self.label == LESION) | (self.label == OTHER_TUMOR)

    def take(self, indices: Sequence[int]) -> Windows:
        """Some of them, in this order."""
        chosen = torch.tensor(list(indices), dtype=torch.long)
        return Windows(
            self.signal[chosen], self.label[chosen], tuple(self.cases[k] for k in indices)
        )

    def of_cases(self, names: Collection[str]) -> Windows:
        """Those of these cases."""
        return self.take([k for k, name in enumerate(self.cases) if name in names])

    def save(self, path: str | Path) -> Path:
        """Write a `.safetensors` file, whole or not at all."""
        names = "\n".join(self.cases)
        return save_tensors(path, {"signal": self.signal, "label": self.label}, {"cases": names})

    @classmethod
    def load(cls, path: str | Path) -> Windows:
        """Read what `save` wrote."""
        from safetensors import safe_open

        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            names = (file.metadata() or {}).get("cases", "")
        return cls(tensors["signal"], tensors["label"], tuple(names.split("\n")))


def join(parts: Iterable[Windows]) -> Windows:
    """Several sets of windows as one.

    Raises:
        SynBTError: If there is none.
    """
    found = [part for part in parts if len(part)]
    if not found:
        raise SynBTError("There is no window: no case has a tumor of 6 mm to 52 mm.")
    return Windows(
        torch.cat([part.signal for part in found]),
        torch.cat([part.label for part in found]),
        tuple(name for part in found for name in part.cases),
    )


def lesions_of(tumor: Tensor | None, spacing: Spacing) -> list[Tensor]:
    """The lesions that a window shows whole, largest first.

    Args:
        tumor: Boolean, shape `(D, H, W)`.
        spacing: Voxel size, in mm.

    Returns:
        Masks of the same shape, of at least the volume of a 6 mm ball and at most 52 mm long.
        Parts up to 4 voxels apart are one lesion.
    """
    if tumor is None or not bool(tumor.any()):
        return []
    box = tuple(slice(start, end) for start, end in bounding_box(tumor))
    numbers = number_tumors(tumor[box].cpu())
    lesions = []
    for number in range(1, int(numbers.max()) + 1):
        part = numbers == number
        volume_mm3 = int(part.sum()) * math.prod(spacing)
        sides = [(b - a) * mm for (a, b), mm in zip(bounding_box(part), spacing, strict=True)]
        if volume_mm3 < SMALLEST_VOXELS or max(sides) > LONGEST_MM:
            continue
        lesion = torch.zeros_like(tumor)
        lesion[box] = part.to(tumor.device)
        lesions.append(lesion)
    return lesions


def window_of(lesion: Tensor, spacing: Spacing, side: int = SIDE_MM) -> Window:
    """The window around the middle of a mask's box; `lesion` is boolean, `(D, H, W)`."""
    d, h, w = ((start + end - 1) / 2 for start, end in bounding_box(lesion))
    return window_around((d, h, w), cube(side), spacing)


def cut_windows(
    name: str,
    volume: BreastVolume,
    lesions: Sequence[Tensor],
    *,
    reference: IntensityReference | None = None,
    value: int = LESION,
) -> Windows:
    """Cut a window around each lesion, or other place, of one case.

    Args:
        name: The case's id.
        volume: The scan; `volume.tumor` holds all of its tumors.
        lesions: Boolean, not empty, shape `(D, H, W)` each.
        reference: Intensity references; None measures them.
        value: What they are: `LESION`, or `HEALTHY` for places without a tumor.

    Returns:
        N windows; what overhangs the scan is edge-padded and unlabelled.
    """
    reference = reference or measure_reference(volume.image, volume.valid)
    signals, labels = [], []
    for lesion in lesions:
        window = window_of(lesion, volume.spacing)
        signals.append(knee(to_linear(cut(volume.image, window), reference)).half())
        inside = inside_host(window, volume.shape, volume.image.device)
        label = torch.zeros(window.shape, dtype=torch.uint8, device=volume.image.device)
        if volume.tumor is not None:
            label[_at_one_mm(volume.tumor, window) & inside] = OTHER_TUMOR
        label[_at_one_mm(lesion, window) & inside] = value
        labels.append(label)
    if not signals:
        empty = torch.zeros((0, 2, SIDE_MM, SIDE_MM, SIDE_MM), dtype=torch.float16)
        return Windows(empty, empty[:, 0].to(torch.uint8), ())
    return Windows(torch.stack(signals).cpu(), torch.stack(labels).cpu(), (name,) * len(signals))


def _at_one_mm(mask: Tensor, window: Window) -> Tensor:
    return cut(mask.to(torch.float32), window) >= 0.5


def linear_of(windows: Windows, index: int) -> Tensor:
    """One window before the knee, in half reference ranges, float32, `(2, n, n, n)`."""
    return inverse_knee(windows.signal[index].float())


def windows_of_host(name: str, host: Host, most: int | None = None) -> Windows:
    """Windows around a host's own tumors, the largest first, at most so many."""
    lesions = lesions_of(host.volume.tumor, host.volume.spacing)[:most]
    return cut_windows(name, host.volume, lesions, reference=host.reference)


def split_cases(names: Iterable[str], share: float, seed: int = 0) -> tuple[set[str], set[str]]:
    """Cases for training and for test, drawn by a generator of its own.

    Args:
        names: Of the cases, in any order.
        share: Of the cases that train, above 0 and below 1; each side gets two cases
            where there are four, and one at least.
        seed: Of the draw.

    Raises:
        SynBTError: If there are fewer than two cases.
    """
    known = sorted(set(names))
    if len(known) < 2:
        raise SynBTError(
            f"A comparison needs windows of at least 2 cases, one to train on and one to test, "
            f"got {len(known)}."
        )
    order = np.random.default_rng(seed).permutation(len(known))
    least = min(2, len(known) // 2)
    count = min(max(round(share * len(known)), least), len(known) - least)
    train = {known[k] for k in order[:count]}
    return train, set(known) - train
