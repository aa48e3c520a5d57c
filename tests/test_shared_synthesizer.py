"""One load a process: threads, forks, spawned processes, and what makes another one."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analytic import small_bank, tiny_weights
from synbt_aug import shared_synthesizer as module
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.shared_synthesizer import (
    forget_shared_synthesizers,
    settings_of_recipe,
    shared_synthesizer,
    warm_up,
)
from synbt_aug.weights import load_weights, save_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_weights(tiny_weights(), tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture
def settings(folder: Path) -> InjectionSettings:
    return InjectionSettings(weights=str(folder), steps=2)


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    forget_shared_synthesizers()
    yield
    forget_shared_synthesizers()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the weights loaded, in order."""
    names: list[str] = []

    def counted(name: str) -> object:
        names.append(name)
        return load_weights(name)

    monkeypatch.setattr(module, "load_weights", counted)
    return names


def first_parameter(settings: InjectionSettings) -> int:
    """Where the first weight lies in memory."""
    return next(shared_synthesizer(settings).weights.denoiser.parameters()).data_ptr()


def test_the_same_settings_share_one_synthesizer(
    settings: InjectionSettings, loads: list[str]
) -> None:
    one = shared_synthesizer(settings)
    assert shared_synthesizer(replace(settings, probability=0.1, diameter_mm=20.0)) is one
    assert shared_synthesizer(settings, torch.device("cpu")) is one
    assert loads == [settings.weights]


def test_the_synthesizer_is_what_the_settings_ask_for(settings: InjectionSettings) -> None:
    asked = replace(settings, steps=3, guidance=2.0, precision="bf16")
    synthesizer = shared_synthesizer(asked)
    recipe = synthesizer.texture.recipe()
    assert (recipe["steps"], recipe["guidance"], recipe["precision"]) == (3, 2.0, "bf16")
    assert synthesizer.bank.digest == synthesizer.weights.bank.digest


def test_other_steps_make_another_synthesizer_of_the_same_networks(
    settings: InjectionSettings, loads: list[str]
) -> None:
    one, other = shared_synthesizer(settings), shared_synthesizer(replace(settings, steps=3))
    assert one is not other and one.weights is other.weights
    assert loads == [settings.weights]


def test_generator_device_wins_over_the_images_device(settings: InjectionSettings) -> None:
    on_cpu = replace(settings, generator_device="cpu")
    assert shared_synthesizer(on_cpu, "meta").device == torch.device("cpu")


def test_weights_that_changed_on_disk_are_loaded_anew(
    folder: Path, tmp_path: Path, settings: InjectionSettings, loads: list[str]
) -> None:
    shutil.copytree(folder, tmp_path / "mine")
    mine = replace(settings, weights=str(tmp_path / "mine"))
    before = shared_synthesizer(mine)
    save_weights(replace(tiny_weights(), card={"trained": "longer"}), tmp_path / "mine")
    assert shared_synthesizer(mine) is not before
    assert len(loads) == 2


def test_a_bank_of_its_own_makes_another_synthesizer_and_changes_with_its_file(
    tmp_path: Path, settings: InjectionSettings, loads: list[str]
) -> None:
    path = small_bank().save(tmp_path / "bank.npz")
    mine = replace(settings, bank=str(path))
    first = shared_synthesizer(mine)
    assert first is not shared_synthesizer(settings)
    os.utime(path, ns=(1, 1))
    assert shared_synthesizer(mine) is not first
    assert len(loads) == 1


def test_threads_that_ask_at_once_get_one_load(
    settings: InjectionSettings, loads: list[str]
) -> None:
    barrier, got = threading.Barrier(6), []

    def ask() -> None:
        barrier.wait()
        got.append(shared_synthesizer(settings))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 6 and all(synthesizer is got[0] for synthesizer in got)
    assert len(loads) == 1


def _address(settings: InjectionSettings, queue: multiprocessing.Queue[int]) -> None:
    queue.put(first_parameter(settings))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_its_parents_networks(settings: InjectionSettings) -> None:
    warm_up(settings)
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[int] = context.Queue()
    child = context.Process(target=_address, args=(settings, queue))
    child.start()
    # The same virtual address: the pages are the parent's until someone writes.
    assert queue.get(timeout=60) == first_parameter(settings)
    child.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_loads_can_load_itself(
    settings: InjectionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(name: str) -> object:
        started.set()
        go_on.wait(60)
        return load_weights(name)

    monkeypatch.setattr(module, "load_weights", slow)
    loading = threading.Thread(target=shared_synthesizer, args=(settings,))
    loading.start()
    assert started.wait(60)
    # The fork waits for the load; it is let go on from here.
    threading.Timer(0.2, go_on.set).start()
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[int] = context.Queue()
    child = context.Process(target=_address, args=(settings, queue))
    child.start()
    assert queue.get(timeout=60) == first_parameter(settings)
    child.join()
    loading.join()


@pytest.mark.slow
def test_settings_travel_to_a_spawned_process_which_loads_its_own(
    settings: InjectionSettings, loads: list[str]
) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply_async(warm_up, (settings,)).get(timeout=120)
        nowhere = replace(settings, weights="nowhere")
        with pytest.raises(SynBTError, match="got 'nowhere'"):
            pool.apply_async(warm_up, (nowhere,)).get(timeout=120)
    assert loads == []


def test_missing_weights_and_banks_are_told(settings: InjectionSettings, tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="weights needs 'shipped' or the path"):
        shared_synthesizer(replace(settings, weights=str(tmp_path / "none")))
    with pytest.raises(SynBTError, match="none.npz"):
        shared_synthesizer(replace(settings, bank=str(tmp_path / "none.npz")))


def test_a_gpu_in_a_forked_process_is_refused_with_what_to_use(
    settings: InjectionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(SynBTError, match=r"forked worker.*ThreadDataLoader.*generator_device"):
        shared_synthesizer(settings, "cuda")


def test_a_recipe_brings_its_steps_guidance_and_precision(settings: InjectionSettings) -> None:
    texture = {"name": "diffusion", "steps": 7, "guidance": 1.5, "precision": "bf16"}
    found = settings_of_recipe({"texture": texture}, settings)
    assert found == replace(settings, steps=7, guidance=1.5, precision="bf16")
    assert settings_of_recipe({}, settings) == settings
