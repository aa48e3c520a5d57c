"""A preprocessed nnU-Net dataset of analytic breasts, made without planning, and trainers on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("nnunetv2")

from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from analytic import breast_image, ellipsoid, painter
from synbt_aug_nnunet.trainers import nnUNetTrainerSynBT

PLANS = "nnUNetPlans"
CASES = ("a", "b", "c", "d")
SHAPE = (56, 72, 72)
"""Of a case at 1 mm, and of the patches: a smaller patch may hold no site."""


@dataclass
class Dataset:
    """What a test wants to be different."""

    channels: tuple[str, ...] = ("pre", "post")
    labels: dict[str, Any] = field(default_factory=lambda: {"background": 0, "tumor": 1})
    regions_class_order: list[int] | None = None
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    patch: tuple[int, ...] = SHAPE
    batch_size: int = 2
    batch_dice: bool = False
    tumor: int = 1
    radius_mm: float = 6.0
    """Of every case's tumor; 0 for none."""
    outside: bool = False
    """A slab without signal, -1 in the segmentations."""
    previous_stage: str | None = None
    synbt: dict[str, Any] = field(default_factory=dict)
    changes: Callable[[np.ndarray, np.ndarray], None] | None = None
    """Edits data (C, D, H, W) and segmentation (D, H, W) of every case in place."""


def write_dataset(root: Path, dataset: Dataset) -> Path:
    """Write the preprocessed folder; returns that of the dataset."""
    folder = root / "preprocessed" / "Dataset900_Analytic"
    data_folder = folder / f"{PLANS}_3d_fullres"
    data_folder.mkdir(parents=True)
    for number, name in enumerate(CASES):
        _write_case(data_folder, name, number, dataset)
    described: dict[str, Any] = {
        "channel_names": {str(k): n for k, n in enumerate(dataset.channels)},
        "labels": dataset.labels,
        "numTraining": len(CASES),
        "file_ending": ".nii.gz",
    }
    if dataset.regions_class_order:
        described["regions_class_order"] = dataset.regions_class_order
    if dataset.synbt:
        described["synbt"] = dataset.synbt
    for name, content in {
        "dataset.json": described,
        f"{PLANS}.json": plans_of(dataset),
        "dataset_fingerprint.json": {},
        "splits_final.json": [{"train": ["a", "b", "c"], "val": ["d"]}],
    }.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def _write_case(folder: Path, name: str, number: int, dataset: Dataset) -> None:
    image = breast_image(dataset.spacing, seed=number)
    shape = tuple(image.shape[1:])
    later = breast_image(dataset.spacing, seed=number + 50)[1] * 1.5
    scans = {"pre": image[0], "post": image[1], "post 1": image[1], "post 2": later}
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(number))
    data = torch.stack([scans.get(c, noise) for c in dataset.channels]).numpy()
    segmentation = np.zeros(shape, np.int16)
    if dataset.radius_mm:
        centre = (34.0, 30.0, 36.0)
        radii = (dataset.radius_mm,) * 3
        tumor = ellipsoid(shape, centre, radii, dataset.spacing).numpy()
        segmentation[tumor] = dataset.tumor
        for k, channel in enumerate(dataset.channels):
            if channel in scans:
                # It washes out: (112 - 20) / (120 - 20) of the enhancement is left in post 2.
                data[k][tumor] += {"pre": 20.0, "post 2": 1.5 * 112.0}.get(channel, 120.0)
    if "sub" in dataset.channels:
        pre, post = (dataset.channels.index(name) for name in ("pre", "post 1"))
        data[dataset.channels.index("sub")] = data[post] - data[pre]
    if dataset.changes is not None:
        dataset.changes(data, segmentation)
    mean = data.mean((1, 2, 3), keepdims=True)
    sd = np.maximum(data.std((1, 2, 3), keepdims=True), 1e-6)
    data = ((data - mean) / sd).astype(np.float32)
    if dataset.outside:
        segmentation[:, :, :6] = -1
        data[:, :, :, :6] = 0
    found = np.argwhere(segmentation[None] == dataset.tumor)
    keys: list[Any] = [v for n, v in dataset.labels.items() if n not in ("background", "ignore")]
    locations = {tuple(k) if isinstance(k, list) else k: found for k in keys}
    if "ignore" in dataset.labels:
        known = [np.ravel(v).tolist() for n, v in dataset.labels.items() if n != "ignore"]
        annotated = np.argwhere(segmentation[None] >= 0)[:500]
        locations[(-1, *sorted({v for values in known for v in values}))] = annotated
    nnUNetDatasetBlosc2.save_case(
        data, segmentation[None].astype(np.int8), {"class_locations": locations},
        str(folder / name), chunks=data.shape, blocks=data.shape,
        chunks_seg=(1, *shape), blocks_seg=(1, *shape),
    )  # fmt: skip


_RESAMPLING = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}


def plans_of(dataset: Dataset) -> dict[str, Any]:
    conv = {"conv_op": "torch.nn.modules.conv.Conv3d", "norm_op": "torch.nn.InstanceNorm3d"}
    configuration = {
        "data_identifier": f"{PLANS}_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": dataset.batch_size,
        "patch_size": list(dataset.patch),
        "median_image_size_in_voxels": list(SHAPE),
        "spacing": list(dataset.spacing),
        "normalization_schemes": ["ZScoreNormalization"] * len(dataset.channels),
        "use_mask_for_norm": [False] * len(dataset.channels),
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": _RESAMPLING,
        "resampling_fn_seg_kwargs": _RESAMPLING | {"is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": _RESAMPLING,
        "batch_dice": dataset.batch_dice,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": 3,
                "features_per_stage": [4, 8, 8],
                "kernel_sizes": [[3, 3, 3]] * 3,
                "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
                "n_conv_per_stage": [1, 1, 1],
                "n_conv_per_stage_decoder": [1, 1],
                "conv_bias": True,
                **conv,
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    if dataset.previous_stage:
        configuration["previous_stage"] = dataset.previous_stage
    return {
        "dataset_name": "Dataset900_Analytic",
        "plans_name": PLANS,
        "original_median_spacing_after_transp": list(dataset.spacing),
        "original_median_shape_after_transp": list(SHAPE),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(channel): {} for channel in range(len(dataset.channels))
        },
    }


class FlatSynBT(nnUNetTrainerSynBT):
    """The trainer with a texture whose paint is known, for tests."""

    def _synbt_generator(self, weights: Any, cohort: Any, validation: Any) -> Any:
        return painter()
