"""Devices: those that are there, and the sentence about those that are not."""

from __future__ import annotations

import pytest
import torch

from analytic import tiny_weights
from pretend_accelerator import FAR, PretendAccelerator
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.shared_synthesizer import shared_synthesizer
from synbt_aug.support.device import check_device, multiplies_bfloat16, sent, sent_together
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


def test_what_is_there_already_is_not_copied() -> None:
    values = torch.ones(3)
    assert sent(values, torch.device("cpu")) is values


@pytest.mark.parametrize("values", [torch.ones(2, 3), torch.ones(2, 3).T, torch.ones(1).expand(4)])
def test_a_gpu_gets_values_by_way_of_pinned_memory_and_is_not_waited_for(
    values: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def pinned(given: torch.Tensor) -> torch.Tensor:
        # Only memory that lies in one piece can be pinned.
        assert given.is_contiguous() and torch.equal(given, values)
        done.append("pinned")
        return given

    def copied(given: torch.Tensor, device: torch.device, **how: bool) -> torch.Tensor:
        done.append(f"to {device}, {how}")
        return given

    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda given: False)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
    monkeypatch.setattr(torch.Tensor, "to", copied)
    sent(values, torch.device("cuda", 0))
    assert done == ["pinned", "to cuda:0, {'non_blocking': True}"]


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_multiply_bfloat16_from_compute_capability_8_on(
    capability: tuple[int, int], fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bfloat16(torch.device("cuda")) is fast


def test_processors_multiply_bfloat16_where_torch_finds_the_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    for there in [(False, False), (True, False), (False, True)]:
        for name, found in zip(names, there, strict=True):
            monkeypatch.setattr(torch.cpu, name, lambda found=found: found, raising=False)
        assert multiplies_bfloat16(torch.device("cpu")) is any(there)


@pytest.mark.parametrize("kind", ["mps", "meta"])
def test_other_devices_are_not_taken_for_fast_at_bfloat16(kind: str) -> None:
    assert not multiplies_bfloat16(torch.device(kind))


def test_values_of_all_types_go_in_one_copy() -> None:
    values = [
        torch.tensor([[1.5, -2.0]]),
        torch.tensor(True),
        torch.arange(3, dtype=torch.int64).view(3, 1),
        torch.zeros((0, 2)),
        torch.tensor([[1, 2], [3, 4]], dtype=torch.float16).T,
    ]
    with PretendAccelerator() as there:
        already = there.put(torch.ones(2))
        found = sent_together([*values, already], FAR)
        assert there.waits == [] and there.launches == 0
        # 16 bytes each, as it is aligned, and 32 for three long numbers.
        assert there.to_device == 16 + 16 + 32 + 0 + 16
        for one, wanted in zip(found, [*values, torch.ones(2)], strict=True):
            assert one.device == FAR and one.dtype == wanted.dtype
            assert torch.equal(there.get(one), wanted)


def test_on_the_cpu_values_are_sent_as_they_are() -> None:
    values = [torch.ones(2), torch.arange(3)]
    found = sent_together(values, torch.device("cpu"))
    assert all(one is value for one, value in zip(found, values, strict=True))
