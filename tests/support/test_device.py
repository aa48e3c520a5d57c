"""Devices: those that are there, and the sentence about those that are not."""

from __future__ import annotations

import pytest
import torch

from analytic import tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.shared_synthesizer import shared_synthesizer
from synbt_aug.support.device import check_device
from synbt_aug.synthesizer import TumorSynthesizer

MISSING = ["cuda:99", "meta", "hpu", "no such thing"]
if not torch.cuda.is_available():
    MISSING.append("cuda")


def test_the_cpu_is_there() -> None:
    assert check_device("cpu") == torch.device("cpu")
    assert check_device(torch.device("cpu", 0)).type == "cpu"


@pytest.mark.parametrize("name", MISSING)
def test_a_device_that_is_not_there_is_told_with_those_that_are(name: str) -> None:
    with pytest.raises(SynBTError, match=rf"^device needs a device .*\(cpu.*got '{name}'"):
        TumorSynthesizer(tiny_weights(), device=name)


@pytest.mark.parametrize("name", MISSING)
def test_a_setting_that_names_a_missing_device_is_told_by_its_name(name: str) -> None:
    with pytest.raises(SynBTError, match=r"^generator_device needs "):
        shared_synthesizer(InjectionSettings(generator_device=name))
