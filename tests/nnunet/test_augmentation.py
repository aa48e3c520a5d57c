from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import OneOfTransform, RandomTransform
from batchgeneratorsv2.transforms.utils.seg_to_regions import ConvertSegmentationToRegionsTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from synbt_aug.errors import SynBTError
from synbt_aug_nnunet.augmentation import _BlurOnDevice, split

CPU = torch.device("cpu")
SCALES = [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]


def nnunet_transforms(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "patch_size": (16, 16, 16),
        "rotation_for_DA": (-0.5, 0.5),
        "deep_supervision_scales": SCALES,
        "mirror_axes": (0, 1, 2),
        "do_dummy_2d_data_aug": False,
        "use_mask_for_norm": [True, False],
    }
    return nnUNetTrainer.get_training_transforms(**(values | changes))


def names(compose: Any) -> list[str]:
    return [type(getattr(t, "transform", t)).__name__ for t in compose.transforms]


def test_workers_keep_the_spatial_part_and_the_device_gets_the_rest_in_order() -> None:
    whole = nnunet_transforms()
    parts = split(whole, CPU)
    assert names(parts.in_workers) == ["SpatialTransform"]
    assert names(parts.in_workers) + names(parts.on_device) == names(whole)


def test_dummy_2d_augmentation_stays_in_one_piece() -> None:
    parts = split(nnunet_transforms(do_dummy_2d_data_aug=True), CPU)
    expected = ["Convert3DTo2DTransform", "SpatialTransform", "Convert2DTo3DTransform"]
    assert names(parts.in_workers) == expected


def test_without_a_spatial_transform_everything_runs_on_the_device() -> None:
    parts = split(nnUNetTrainer.get_validation_transforms(SCALES), CPU)
    assert names(parts.in_workers) == []
    assert names(parts.on_device) == ["RemoveLabelTransform", "DownsampleSegForDSTransform"]


def test_both_parts_one_after_the_other_are_the_whole() -> None:
    whole = nnunet_transforms()
    parts = split(copy.deepcopy(whole), CPU)
    image = torch.randn(2, 20, 20, 20)
    label = torch.randint(-1, 2, (1, 20, 20, 20)).to(torch.int16)
    results = []
    for run in (whole, lambda **d: parts.on_device(**parts.in_workers(**d))):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            np.random.seed(0)  # noqa: NPY002 (nnU-Net draws from it)
            results.append(run(image=image.clone(), segmentation=label.clone()))
    expected, got = results
    assert torch.equal(expected["image"], got["image"])
    assert all(torch.equal(a, b) for a, b in zip(expected["segmentation"], got["segmentation"]))


def test_a_batch_becomes_data_and_a_list_of_scales() -> None:
    parts = split(nnunet_transforms(), CPU)
    data, target = parts.finish(
        torch.randn(3, 2, 16, 16, 16), torch.randint(-1, 2, (3, 1, 16, 16, 16)).to(torch.int16)
    )
    assert data.shape == (3, 2, 16, 16, 16)
    assert [tuple(t.shape) for t in target] == [(3, 1, 16, 16, 16), (3, 1, 8, 8, 8)]


def test_without_deep_supervision_the_target_is_one_tensor() -> None:
    parts = split(nnunet_transforms(deep_supervision_scales=None), CPU)
    _, target = parts.finish(
        torch.randn(2, 2, 16, 16, 16), torch.zeros(2, 1, 16, 16, 16, dtype=torch.int16)
    )
    assert isinstance(target, torch.Tensor) and target.shape == (2, 1, 16, 16, 16)


def test_the_blur_for_devices_is_nnunets_blur() -> None:
    image = torch.randn(2, 12, 12, 12)
    blur = GaussianBlurTransform((0.5, 1.0), p_per_channel=1.0, benchmark=False)
    parameters = blur.get_parameters(image=image)
    expected, got = (
        transform.apply({"image": image.clone()}, **parameters)["image"]
        for transform in (blur, _BlurOnDevice(copy.deepcopy(blur)))
    )
    assert torch.equal(expected, got)
    assert not torch.equal(expected, image)


def test_another_device_gets_regions_and_blur_of_its_own() -> None:
    whole = nnunet_transforms(regions=[[1, 2], [2]])
    meta = torch.device("meta")
    steps = [getattr(t, "transform", t) for t in split(whole, meta).on_device.transforms]
    (regions,) = [s for s in steps if isinstance(s, ConvertSegmentationToRegionsTransform)]
    assert {r.device.type for r in regions.regions} == {"meta"}
    assert any(isinstance(s, _BlurOnDevice) for s in steps)
    assert not any(isinstance(s, GaussianBlurTransform) for s in steps)


def test_choices_and_compositions_are_prepared_for_the_device_too() -> None:
    blur = GaussianBlurTransform((0.5, 1.0))
    nested = ComposeTransforms([OneOfTransform([blur]), RandomTransform(copy.deepcopy(blur))])
    (choice, chance) = split(nested, torch.device("meta")).on_device.transforms
    assert isinstance(choice.list_of_transforms[0], _BlurOnDevice)
    assert isinstance(chance.transform, _BlurOnDevice)


def test_nested_compositions_are_cut_where_flat_ones_are() -> None:
    whole = nnunet_transforms()
    parts = split(ComposeTransforms([copy.deepcopy(whole)]), CPU)
    assert names(parts.in_workers) == ["SpatialTransform"]


def test_intensities_changed_before_the_spatial_part_are_refused() -> None:
    steps = [GaussianBlurTransform((0.5, 1.0)), *nnunet_transforms().transforms]
    with pytest.raises(SynBTError, match="GaussianBlurTransform changes intensities before"):
        split(ComposeTransforms(steps), CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_whole_chain_runs_on_a_gpu() -> None:
    parts = split(nnunet_transforms(regions=[[1, 2], [2]], ignore_label=3), torch.device("cuda"))
    for _ in range(20):
        data, target = parts.finish(
            torch.randn(2, 2, 32, 32, 32, device="cuda"),
            torch.randint(-1, 4, (2, 1, 32, 32, 32), device="cuda").to(torch.int16),
        )
        assert data.is_cuda and all(t.is_cuda for t in target)
