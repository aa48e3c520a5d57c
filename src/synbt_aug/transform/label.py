"""A host's label -> whole numbers, with a word about values that no setting names.

A mask of 0 and 255, a label interpolated to .9999, a 255 read as -1: painted without a look, they
would end as a second class beside the tumor's. They are read as the command line reads masks (the
nearest whole number), and what remains unclear is told with the setting that would settle it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.transform.arrays import calculable
from synbt_aug.transform.notices import Notices

#: A label this far from a whole number was interpolated, not rounded.
_ROUNDING = 0.01


def read_label(
    label: Tensor, signal: Tensor, settings: InjectionSettings, notices: Notices
) -> Tensor:
    """Read a label.

    Args:
        label: Shape `(D, H, W)`, any type.
        signal: An image on the same grid, of a type that torch calculates with.
        settings: They name values: `tumor_label`, `paint_over`, `roi_labels`.
        notices: Are given what values are unclear.

    Returns:
        Whole numbers, int32, shape `(D, H, W)`.

    Raises:
        SynBTError: If a value is complex, NaN or infinite.
    """
    if label.is_complex():
        raise SynBTError(f"A label needs whole numbers, got {label.dtype}.")
    label = calculable(label)
    if label.is_floating_point():
        label = _rounded(label, notices)
    whole = label.to(torch.int32)
    _tell_negative(whole, signal, notices)
    _tell_unnamed(whole, settings, notices)
    return whole


def _rounded(label: Tensor, notices: Notices) -> Tensor:
    if not bool(torch.isfinite(label).all()):
        raise SynBTError("A label needs whole numbers, got NaN or infinite values.")
    rounded = label.round()
    off = (label - rounded).abs()
    if float(off.max()) > _ROUNDING:
        example = float(label.flatten()[off.argmax()])
        notices.warn(
            f"SynBT: the label holds values between whole numbers, such as {example:.3g}: they "
            f"are read as the nearest. If it was resampled, do that by nearest neighbour."
        )
    return rounded


def _tell_negative(label: Tensor, signal: Tensor, notices: Notices) -> None:
    outside = label < 0
    if not bool(outside.any()):
        return
    there = signal[outside]
    # Padding is constant; a tumor is not.
    if bool((there != there[0]).any()):
        notices.warn(
            f"SynBT: the label is {int(label.min())} where the image has signal. Negative values "
            f"mark voxels without signal, so that nothing is painted there. If it is a value such "
            f"as 255 kept in 8 bits, convert the label: label.to(torch.uint8)."
        )


def _tell_unnamed(label: Tensor, settings: InjectionSettings, notices: Notices) -> None:
    named = torch.tensor((0, settings.tumor_label, *settings.open_labels), dtype=torch.int32)
    unnamed = label[(label > 0) & torch.isin(label, named.to(label.device), invert=True)]
    for value in unnamed.unique().tolist():
        notices.warn(
            f"SynBT: the label holds {value}, which no setting names: it is left alone and counts "
            f"as no tumor (tumor_label is {settings.tumor_label}). If it marks tumors, set "
            f"tumor_label={value}; if tumors may replace it, paint_over=({value},)."
        )
