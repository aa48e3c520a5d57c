"""A sample as MONAI holds it -> plain tensors, and back.

Arrays may be NumPy arrays, tensors or MetaTensors, and come back as what they were.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data.meta_obj import get_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import affine_to_spacing, to_affine_nd
from monai.utils import TraceKeys, convert_to_dst_type, convert_to_tensor
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.injector import Injected
from synbt_aug.volume import Spacing

#: Entries that `LoadImage` leaves in a MetaTensor, which an array turned MetaTensor lacks.
_FROM_A_FILE = ("filename_or_obj", "original_affine", "pixdim", "spacing")

_said: set[str] = set()


def warn_once(text: str) -> None:
    """Warn, unless this process has said the same already."""
    if text not in _said:
        _said.add(text)
        warnings.warn(text, stacklevel=2)


@dataclass(frozen=True)
class Scan:
    """One sample in plain tensors that share the sample's memory.

    Args:
        image: All channels, shape `(C, H, W, D)`.
        label: Shape `(1, H, W, D)`, no boolean.
        spacing: Voxel size along H, W and D, in mm.
        cropped: Whether MONAI's record says that it is a crop.
        roi: Where tumors may go, shape `(H, W, D)`; None: nobody said.
    """

    image: Tensor
    label: Tensor
    spacing: Spacing
    cropped: bool
    roi: Tensor | None = None


def read_scan(
    who: str,
    images: Sequence[NdarrayOrTensor],
    label: NdarrayOrTensor,
    spacing: Spacing | None,
    roi: NdarrayOrTensor | None = None,
) -> Scan:
    """Read a sample.

    Args:
        who: The transform's name, for errors.
        images: One image that holds pre and post, or the two of one channel each.
        label: Shape `(1, H, W, D)`.
        spacing: In mm; None takes it from the affine.
        roi: Shape `(1, H, W, D)`; None: nobody said.

    Raises:
        SynBTError: If shapes or types do not fit each other.
    """
    tensors = [_plain(image, "an image", who) for image in images]
    plain_label = _plain(label, "a label", who)
    for tensor in tensors:
        if tensor.ndim != 4:
            raise SynBTError(
                f"{who} needs a channel-first 3D image of shape (C, H, W, D), got "
                f"{tuple(tensor.shape)}. Put EnsureChannelFirst before it, and paint before "
                f"batches are made."
            )
    if len(tensors) == 2:
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if shapes[0] != shapes[1] or shapes[0][0] != 1:
            raise SynBTError(
                f"{who} needs pre and post of one shape (1, H, W, D), got {shapes[0]} and "
                f"{shapes[1]}. Resample one to the other, for example with ResampleToMatchd."
            )
        if tensors[0].dtype != tensors[1].dtype:
            raise SynBTError(
                f"{who} needs pre and post of one type, got {tensors[0].dtype} and "
                f"{tensors[1].dtype}. Convert them, for example with CastToTyped."
            )
    image = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
    expected = (1, *image.shape[1:])
    if tuple(plain_label.shape) != expected:
        raise SynBTError(
            f"{who} needs a label of shape {expected}, got {tuple(plain_label.shape)}. Paint "
            f"before one-hot encodings, on the image's grid."
        )
    if plain_label.dtype == torch.bool:
        plain_label = plain_label.to(torch.uint8)
    first = images[0]
    where = None if roi is None else _plain(roi, "a roi", who)
    if where is not None and tuple(where.shape) != expected:
        raise SynBTError(
            f"{who} needs a roi of shape {expected}, got {tuple(where.shape)}. Crop and resample "
            f"it with the image."
        )
    return Scan(
        image,
        plain_label,
        spacing or _spacing(first, who),
        _cropped(first),
        None if where is None else where[0],
    )


def write_scan(
    injected: Injected, images: Sequence[NdarrayOrTensor], label: NdarrayOrTensor
) -> tuple[list[Any], Any]:
    """Images and label after painting, in the types that they came in.

    Args:
        injected: A batch of one.
        images: As they came.
        label: As it came.

    Returns:
        New images and a new label; the ones that came where nothing was painted.
    """
    if not injected.painted[0]:
        return [give_back(image) for image in images], give_back(label)
    (image,) = injected.images
    parts = [image] if len(images) == 1 else list(image.split(1))
    new = [give_back(there, part) for there, part in zip(images, parts, strict=True)]
    return new, give_back(label, injected.labels[0])


def give_back(there: Any, new: Tensor | None = None) -> Any:
    """`new` as what `there` is (array, tensor, MetaTensor); None: `there`.

    As everywhere in MONAI, without tracking a MetaTensor comes back as a plain tensor.
    """
    if isinstance(there, MetaTensor) and not get_track_meta():
        there = there.as_tensor()
    if new is None:
        return there
    # NumPy's unsigned integers are painted as wider ones, which torch knows: cut to their range.
    wider = isinstance(there, np.ndarray) and there.dtype.kind == "u"
    return convert_to_dst_type(new, dst=there, safe=wider)[0]


def _plain(array: NdarrayOrTensor, what: str, who: str) -> Tensor:
    tensor = convert_to_tensor(array, track_meta=False)
    if not isinstance(tensor, Tensor):
        raise SynBTError(
            f"{who} needs {what} as an array or tensor, got {type(array).__name__}. Put "
            f"LoadImage before it."
        )
    return tensor


def _spacing(image: NdarrayOrTensor, who: str) -> Spacing:
    if isinstance(image, MetaTensor):
        affine = to_affine_nd(3, image.affine)
        mm = [round(float(v), 6) for v in affine_to_spacing(affine, r=3)]
        told = any(name in image.meta for name in _FROM_A_FILE)
        if told or not torch.equal(affine, torch.eye(4, dtype=affine.dtype, device=affine.device)):
            return mm[0], mm[1], mm[2]
    warn_once(
        f"SynBT: {who} takes 1 mm voxels, since the image brings no affine. Pass spacing=(h, w, "
        f"d) in mm, or images as LoadImage reads them."
    )
    return 1.0, 1.0, 1.0


def _cropped(image: NdarrayOrTensor) -> bool:
    """Whether a patch was cut out; what is cropped to the foreground is still the whole case."""
    done = image.applied_operations if isinstance(image, MetaTensor) else []
    names = [str(step.get(TraceKeys.CLASS_NAME, "")) for step in done if isinstance(step, dict)]
    return any("Crop" in name and "Foreground" not in name for name in names)
