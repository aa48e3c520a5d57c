"""A second plans file for a network that trains on two CPU cores in seconds.

It reuses the data that nnU-Net preprocessed for its own plan, so only the patch, the batch and the
network shrink. For demos, tests and trying an installation; not for results.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json

_CONFIGURATION = "3d_fullres"
_SMALLEST_EDGE = 4  # voxels at the deepest stage; instance norm needs more than one


def write_tiny_plan(
    preprocessed_dataset_folder: str | os.PathLike[str],
    source: str = "nnUNetPlans",
    name: str = "nnUNetPlansTiny",
    patch: Sequence[int] = (32, 32, 32),
    features: Sequence[int] = (8, 16, 32, 32),
    batch_size: int = 2,
) -> Path:
    """Write the tiny plan beside the plan it derives from; train with `-p nnUNetPlansTiny`.

    Args:
        preprocessed_dataset_folder: `nnUNet_preprocessed/DatasetXXX_Name`, after
            `nnUNetv2_plan_and_preprocess -c 3d_fullres`.
        source: Name of the plan whose preprocessed data are reused.
        name: Name of the new plan.
        patch: Voxels along nnU-Net's axes.
        features: Channels of each stage; each stage after the first halves the patch.
        batch_size: Patches per iteration.

    Raises:
        SynBTError: If there is no such plan, or `patch` and `features` do not fit each other.
    """
    if name == source:
        raise SynBTError(f"The tiny plan needs a name of its own, not {source!r}.")
    step = 2 ** (len(features) - 1)
    if len(patch) != 3 or any(n % step or n // step < _SMALLEST_EDGE for n in patch):
        raise SynBTError(
            f"{len(features)} stages need a patch of three multiples of {step}, "
            f"{_SMALLEST_EDGE * step} or more, got {tuple(patch)}."
        )
    folder = Path(preprocessed_dataset_folder)
    plans = read_json(
        folder / f"{source}.json", "a plan made by nnUNetv2_plan_and_preprocess -c 3d_fullres"
    )
    if _CONFIGURATION not in plans["configurations"]:
        raise SynBTError(
            f"{folder / source}.json has no configuration {_CONFIGURATION} "
            f"(it has {', '.join(plans['configurations'])}): the data may be two-dimensional."
        )
    configuration = plans["configurations"][_CONFIGURATION]
    configuration["patch_size"] = list(patch)
    configuration["batch_size"] = batch_size
    configuration["architecture"] = _plain_unet(features)
    # `data_identifier` stays as it is: the preprocessed files of the source are used.
    plans["configurations"] = {_CONFIGURATION: configuration}
    plans["plans_name"] = name
    return write_json(folder / f"{name}.json", plans)


def _plain_unet(features: Sequence[int]) -> dict[str, object]:
    """nnU-Net's plain 3D U-Net with these features, in the words of a plans file."""
    stages = len(features)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [1] * stages,
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
