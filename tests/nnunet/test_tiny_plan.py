from __future__ import annotations

from pathlib import Path

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.support.files import read_json, write_json
from synbt_aug_nnunet.tiny_plan import write_tiny_plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fullres = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "patch_size": [96, 160, 160],
        "batch_size": 2,
        "spacing": [2.0, 0.7, 0.7],
        "architecture": {"network_class_name": "large"},
    }
    plans = {
        "plans_name": "nnUNetPlans",
        "configurations": {"2d": {"patch_size": [512, 512]}, "3d_fullres": fullres},
    }
    write_json(tmp_path / "nnUNetPlans.json", plans)
    return tmp_path


def test_only_patch_batch_and_network_shrink(folder: Path) -> None:
    before = read_json(folder / "nnUNetPlans.json")["configurations"]["3d_fullres"]
    path = write_tiny_plan(folder, patch=(16, 32, 32), features=(4, 8), batch_size=3)
    assert path == folder / "nnUNetPlansTiny.json"
    plans = read_json(path)
    assert plans["plans_name"] == "nnUNetPlansTiny"
    assert list(plans["configurations"]) == ["3d_fullres"]
    after = plans["configurations"]["3d_fullres"]
    assert after["patch_size"] == [16, 32, 32] and after["batch_size"] == 3
    changed = {"patch_size", "batch_size", "architecture"}
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }


def test_the_network_is_one_that_nnunet_can_build(folder: Path) -> None:
    pytest.importorskip("dynamic_network_architectures")
    import importlib

    import torch

    plan = read_json(write_tiny_plan(folder))["configurations"]["3d_fullres"]["architecture"]
    where, what = plan["network_class_name"].rsplit(".", 1)
    arguments = dict(plan["arch_kwargs"])
    for key in plan["_kw_requires_import"]:
        if arguments[key] is not None:
            module, attribute = arguments[key].rsplit(".", 1)
            arguments[key] = getattr(importlib.import_module(module), attribute)
    network = getattr(importlib.import_module(where), what)(
        input_channels=2, num_classes=2, deep_supervision=False, **arguments
    )
    assert network(torch.zeros(1, 2, 32, 32, 32)).shape == (1, 2, 32, 32, 32)


def test_a_patch_that_the_stages_cannot_halve_is_refused(folder: Path) -> None:
    with pytest.raises(SynBTError, match="4 stages need a patch of three multiples of 8, 32 or"):
        write_tiny_plan(folder, patch=(32, 32, 20))


def test_a_missing_plan_names_the_command_that_makes_it(folder: Path) -> None:
    with pytest.raises(SynBTError, match="nnUNetv2_plan_and_preprocess -c 3d_fullres"):
        write_tiny_plan(folder, source="nnUNetResEncUNetMPlans")


def test_the_source_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(SynBTError, match="a name of its own"):
        write_tiny_plan(folder, name="nnUNetPlans")
