"""nnU-Net's training augmentation in two parts: in the workers, and on the training device.

Workers crop, rotate and zoom. Everything after that runs on the training device, behind the
injection: a synthetic tumor gets the same noise, gamma and blur as a real one, and the generator
sees the intensities that the case's references were measured on. The labels are still plain
numbers there, with -1 outside the image, so regions, the ignore label and deep supervision need
no code of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform, ImageOnlyTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from batchgeneratorsv2.transforms.utils.seg_to_regions import ConvertSegmentationToRegionsTransform
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug_nnunet.planning import DecideSample, TakeWhereabouts


@dataclass(frozen=True)
class SplitAugmentation:
    """The two parts.

    Args:
        in_workers: On the CPU, per sample: crop, rotation, zoom.
        on_device: The rest, per sample, after the injection.
    """

    in_workers: BasicTransform
    on_device: BasicTransform

    @torch.no_grad()
    def finish(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Any]:
        """Run the second part.

        Args:
            images: Shape `(B, C, D, H, W)`; may be written to.
            labels: Shape `(B, 1, D, H, W)`; may be written to.

        Returns:
            Data and target as nnU-Net's `train_step` takes them: the target is a list, finest
            first, under deep supervision.
        """
        done = [
            self.on_device(image=image, segmentation=label)
            for image, label in zip(images, labels, strict=True)
        ]
        targets = [sample["segmentation"] for sample in done]
        data = torch.stack([sample["image"] for sample in done])
        if isinstance(targets[0], list):
            return data, [torch.stack(scale) for scale in zip(*targets, strict=True)]
        return data, torch.stack(targets)


def split(
    transforms: BasicTransform, device: torch.device, decide: DecideSample | None = None
) -> SplitAugmentation:
    """Cut nnU-Net's training transforms behind the last spatial one.

    Args:
        transforms: As `get_training_transforms` returns them. Where none is spatial, as in
            nnU-Net's trainers without augmentation, everything runs on the device.
        device: Where the second part runs.
        decide: Ends the first part, in workers whose dataset brings site maps; None decides
            nothing there.

    Raises:
        SynBTError: If intensities are changed before the spatial transforms.
    """
    steps = _flat(transforms)
    spatial = (SpatialTransform, Convert2DTo3DTransform)
    last = max((k for k, step in enumerate(steps) if isinstance(_inner(step), spatial)), default=-1)
    if early := [step for step in steps[:last] if isinstance(_inner(step), ImageOnlyTransform)]:
        raise SynBTError(
            f"{type(_inner(early[0])).__name__} changes intensities before the spatial transforms, "
            f"and with that before the injection, which needs them as they were measured. Put it "
            f"behind the spatial transforms in get_training_transforms."
        )
    behind = [_for_device(step, device) for step in steps[last + 1 :]]
    before = steps[: last + 1]
    if decide is not None:
        before = [TakeWhereabouts(), *before, decide]
    return SplitAugmentation(ComposeTransforms(before), ComposeTransforms(behind))


def _flat(transforms: BasicTransform) -> list[BasicTransform]:
    """The steps of nested compositions, in order."""
    if not isinstance(transforms, ComposeTransforms):
        return [transforms]
    return [step for part in transforms.transforms for step in _flat(part)]


def _inner(step: BasicTransform) -> BasicTransform:
    return step.transform if isinstance(step, RandomTransform) else step


def _for_device(step: BasicTransform, device: torch.device) -> BasicTransform:
    """The same transform, where it would otherwise mix tensors of two devices."""
    if device.type == "cpu":
        return step
    if isinstance(step, GaussianBlurTransform):
        return _BlurOnDevice(step)
    if isinstance(step, ConvertSegmentationToRegionsTransform):
        step.regions = [region.to(device) for region in step.regions]
    # Choices and chances hold transforms of their own.
    if isinstance(inner := getattr(step, "transform", None), BasicTransform):
        step.transform = _for_device(inner, device)
    for name in ("transforms", "list_of_transforms"):
        if isinstance(inner := getattr(step, name, None), list):
            setattr(step, name, [_for_device(one, device) for one in inner])
    return step


class _BlurOnDevice(BasicTransform):
    """nnU-Net's blur with its kernel on the image's device, where it otherwise makes it on the CPU.

    Its benchmark of two kinds of convolution is left out: it times the CPU.
    """

    def __init__(self, blur: GaussianBlurTransform) -> None:
        super().__init__()
        self.blur = blur
        self.blur.benchmark = False

    def get_parameters(self, **data_dict: Any) -> dict[str, Any]:
        parameters: dict[str, Any] = self.blur.get_parameters(**data_dict)
        return parameters

    def apply(self, data_dict: dict[str, Any], **params: Any) -> dict[str, Any]:
        with torch.device(data_dict["image"].device):
            done: dict[str, Any] = self.blur.apply(data_dict, **params)
        return done
