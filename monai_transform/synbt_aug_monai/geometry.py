"""Where a MONAI image lies and how large its voxels are, as far as it can still tell.

An affine says so as long as it is kept. Caches (`PersistentDataset`), `EnsureTyped(
track_meta=False)` and `set_track_meta(False)` drop it, and what comes next starts anew from an
identity: 1 mm voxels that nobody measured. `RecordIntensityd` keeps the voxel size in the sample
for that case.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import affine_to_spacing, to_affine_nd
from monai.utils import TraceKeys
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.grid.same_grid import Grid, grid_difference
from synbt_aug.transform import Notices
from synbt_aug.volume import Spacing

#: Entry of a MetaTensor whose affine was known to `RecordIntensityd`: lost with the affine.
MARK = "synbt_recorded"

#: Entries that `LoadImage` leaves in a MetaTensor, which an array turned MetaTensor lacks.
_FROM_A_FILE = ("filename_or_obj", "original_affine", "pixdim", "spacing")

#: Voxel sizes that differ by more were resampled on purpose; augmentations zoom by less.
_RESAMPLED = 0.1


@dataclass(frozen=True)
class RecordedGrid:
    """The grid of a case when it was recorded.

    Args:
        spacing: Voxel size along the axes of the array, in mm.
        shape: Voxels along them.
    """

    spacing: Spacing
    shape: tuple[int, int, int]

    def to_tensor(self) -> Tensor:
        """Rows spacing and shape: `(2, 3)`, float64. See `recorded_grid_of`."""
        return torch.tensor([self.spacing, self.shape], dtype=torch.float64)


def recorded_grid(image: Any, name: Hashable) -> RecordedGrid | None:
    """The grid of an image.

    Args:
        image: Shape `(C, H, W, D)`.
        name: For errors.

    Returns:
        None where its voxel size is not known.

    Raises:
        SynBTError: If its affine is degenerate.
    """
    if not knows_its_place(image):
        return None
    grid = _grid(image, name)
    return RecordedGrid(_rounded(grid.spacing), grid.shape)


def marked(image: Any) -> Any:
    """An image that knows its place with `MARK` among its entries; it shares the memory."""
    if not knows_its_place(image):
        return image
    new = copy.copy(image)
    new.meta = {**image.meta, MARK: True}
    return new


def recorded_grid_of(values: Any) -> RecordedGrid | None:
    """What `RecordedGrid.to_tensor` gave; None where it is NaN or nothing.

    Raises:
        SynBTError: If it is that of a batch, or something else.
    """
    if values is None:
        return None
    found = torch.as_tensor(values)
    if tuple(found.shape) != (2, 3):
        raise SynBTError(
            f"A recorded grid of one sample needs shape (2, 3), got {tuple(found.shape)}. Paint "
            f"before batches are made."
        )
    if bool(found.isnan().any()):
        return None
    (a, b, c), (d, h, w) = found.tolist()
    return RecordedGrid((a, b, c), (int(d), int(h), int(w)))


def knows_its_place(image: Any) -> bool:
    """Whether the affine of an image is more than the identity that arrays are given."""
    if not isinstance(image, MetaTensor):
        return False
    if _kept_its_affine(image) or any(abs(mm - 1) > 1e-4 for mm in _voxel_sizes(_affine(image))):
        return True
    # Crops and flips of an array leave a record, and an affine that began as the identity.
    return not image.applied_operations and not np.array_equal(_affine(image), np.eye(4))


def check_grids(who: str, arrays: Mapping[Hashable, Any]) -> None:
    """See that images, label and roi lie on one grid, as far as they know where they lie.

    Args:
        who: The transform's name, for errors.
        arrays: By name, of one shape; the first is what the others are held against.

    Raises:
        SynBTError: If one lies elsewhere, or an affine is degenerate.
    """
    for group in (True, False):
        # Arrays turned MetaTensors began together as identities: their affines tell what was
        # done to one of them alone.
        alike = [
            (name, _grid(array, name))
            for name, array in arrays.items()
            if isinstance(array, MetaTensor) and knows_its_place(array) is group
        ]
        for name, grid in alike[1:]:
            first, like = alike[0]
            if difference := grid_difference(grid, like):
                raise SynBTError(
                    f"{who} needs {name!r} on the grid of {first!r}, but it {difference}. Load "
                    f"and transform them together, or put ResampleToMatchd(keys={name!r}, "
                    f"key_dst={first!r}) before {who}."
                )


def voxel_size(
    image: Any, shape: tuple[int, int, int], recorded: RecordedGrid | None, notices: Notices
) -> tuple[Spacing | None, bool]:
    """Voxel size along the axes of an image.

    Args:
        image: As it came.
        shape: Its voxels along the three axes.
        recorded: The case's grid, if `RecordIntensityd` ran.
        notices: Are told where the record does not fit the image.

    Returns:
        In mm, None where nobody knows; and whether what was recorded is still of this image.
    """
    if _kept_its_affine(image) if recorded else knows_its_place(image):
        mm = _rounded(_voxel_sizes(_affine(image)))
        if recorded is None or _same_sizes(mm, recorded.spacing):
            return mm, True
        notices.warn(
            f"SynBT: voxels were {_shown(recorded.spacing)} at RecordIntensityd and are "
            f"{_shown(mm)} now: the image was resampled in between, and the recorded intensity "
            f"references are not used. Put RecordIntensityd after the resampling."
        )
        return mm, False
    if recorded is None:
        return None, True
    return _from_record(image, shape, recorded, notices)


def _from_record(
    image: Any, shape: tuple[int, int, int], recorded: RecordedGrid, notices: Notices
) -> tuple[Spacing | None, bool]:
    """For an image that has lost its affine since it was recorded."""
    since = _affine(image) if isinstance(image, MetaTensor) else np.eye(4)
    began = _first_shape(image) or shape
    if any(now > then for now, then in zip(began, recorded.shape, strict=True)):
        notices.warn(
            f"SynBT: the image lost its affine after RecordIntensityd, and has {began} voxels, "
            f"more than the {recorded.shape} there: it was turned, padded or resampled in "
            f"between, and neither the recorded voxel size nor the references are used. Put "
            f"RecordIntensityd after those steps, or pass spacing=(h, w, d) in mm."
        )
        return None, False
    if began != recorded.shape:
        notices.warn(
            f"SynBT: the image lost its affine after RecordIntensityd. Its voxels are taken as "
            f"{_shown(recorded.spacing)}, as they were there: right for a crop. If the image was "
            f"resampled or turned in between, put RecordIntensityd after that."
        )
    return _rounded(_voxel_sizes(np.diag([*recorded.spacing, 1.0]) @ since)), True


def affine_since_recorded(
    image: Any, then: np.ndarray | None, shape: tuple[int, int, int]
) -> np.ndarray | str:
    """From an image's voxels to those that its case had when it was recorded.

    Args:
        image: As it is now.
        then: Its affine when it was recorded, shape `(4, 4)`.
        shape: Its voxels along the axes then.

    Returns:
        Shape `(4, 4)`, or why nobody can tell.
    """
    if then is not None and _kept_its_affine(image):
        return np.asarray(np.linalg.solve(then, _affine(image)))
    # Without its affine an image begins anew from an identity: if it was whole then, what its
    # affine is now is what was done since.
    began = _first_shape(image) or tuple(int(n) for n in image.shape[-3:])
    if began != shape:
        return (
            f"it had {shape} voxels then, has lost its affine since, and MONAI's record of it "
            f"begins with {began}"
        )
    return _affine(image) if isinstance(image, MetaTensor) else np.eye(4)


def was_cropped(image: Any) -> bool:
    """Whether a patch was cut out; what is cropped to the foreground is still the whole case."""
    names = [str(step.get(TraceKeys.CLASS_NAME, "")) for step in _steps(image)]
    return any("Crop" in name and "Foreground" not in name for name in names)


def _kept_its_affine(image: Any) -> bool:
    names = (MARK, *_FROM_A_FILE)
    return isinstance(image, MetaTensor) and any(name in image.meta for name in names)


def _steps(image: Any) -> list[dict[str, Any]]:
    done = image.applied_operations if isinstance(image, MetaTensor) else []
    return [step for step in done if isinstance(step, dict)]


def _first_shape(image: Any) -> tuple[int, ...] | None:
    """Voxels along the axes when MONAI's record of the image began; None: it holds nothing."""
    for step in _steps(image):
        if (size := step.get(TraceKeys.ORIG_SIZE)) is not None:
            return tuple(int(n) for n in size)
    return None


def _affine(image: MetaTensor) -> np.ndarray:
    affine: np.ndarray = to_affine_nd(3, image.affine).detach().cpu().numpy().astype(np.float64)
    return affine


def _grid(image: MetaTensor, name: Hashable) -> Grid:
    x, y, z = (int(n) for n in image.shape[-3:])
    return Grid((x, y, z), _affine(image), f"{name!r}")


def _voxel_sizes(affine: np.ndarray) -> Spacing:
    a, b, c = (float(mm) for mm in affine_to_spacing(affine, r=3))
    return a, b, c


def _rounded(mm: Spacing) -> Spacing:
    a, b, c = (round(v, 6) for v in mm)
    return a, b, c


def _same_sizes(mm: Spacing, others: Spacing) -> bool:
    """In any order: an image that was turned has not been resampled."""
    pairs = zip(sorted(mm), sorted(others), strict=True)
    return all(abs(a / b - 1) <= _RESAMPLED for a, b in pairs)


def _shown(mm: Spacing) -> str:
    return " x ".join(f"{v:.3g}" for v in mm) + " mm"
