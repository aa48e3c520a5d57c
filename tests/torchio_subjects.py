"""Subjects of TorchIO made of the analytic breast."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torchio as tio
from torch import Tensor

from analytic import MM, breast, breast_image
from synbt_aug.volume import Spacing


def affine_of(spacing: Spacing = MM) -> np.ndarray:
    return np.diag((*spacing, 1.0))


def subject_of(
    image: Tensor | None = None,
    label: Tensor | None = None,
    spacing: Spacing = MM,
    **more: Any,
) -> tio.Subject:
    """`pre` and `post`, and a label map `tumor` where a label is given, shape (D, H, W)."""
    image = breast(spacing).image.clone() if image is None else image
    affine = affine_of(spacing)
    images: dict[str, Any] = {
        "pre": tio.ScalarImage(tensor=image[:1], affine=affine),
        "post": tio.ScalarImage(tensor=image[1:2], affine=affine),
    }
    if label is not None:
        images["tumor"] = tio.LabelMap(tensor=label[None], affine=affine)
    return tio.Subject(**images, **more)


def pair_of(subject: tio.Subject) -> Tensor:
    """Pre and post, shape (2, D, H, W)."""
    return torch.cat([subject["pre"].data, subject["post"].data])


def empty_label(spacing: Spacing = MM, dtype: torch.dtype = torch.uint8) -> Tensor:
    return torch.zeros(breast(spacing).shape, dtype=dtype)


def subjects(count: int) -> list[tio.Subject]:
    """Different breasts, tumor-free."""
    return [subject_of(breast_image(seed=k), index=k) for k in range(count)]
