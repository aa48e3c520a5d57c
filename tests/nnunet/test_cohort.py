from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from analytic import small_bank, tiny_weights
from nnunet_dataset import CASES, PLANS, Dataset, write_dataset
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import bounding_box
from synbt_aug.signal.intensity import measure_reference, to_linear
from synbt_aug.support.case_ids import case_key, case_keys
from synbt_aug.tumor.appearance import measure_appearance
from synbt_aug.tumor.bank import TumorBank, template_signal
from synbt_aug.tumor.template import StoredSignal
from synbt_aug_nnunet.cohort import (
    CohortCache,
    PreprocessedCases,
    measured_cohort,
    refuse_leaks,
)

Cases = Callable[..., PreprocessedCases]


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    def make(dataset: Dataset | None = None, **changes: Any) -> PreprocessedCases:
        folder = write_dataset(tmp_path, dataset or Dataset())
        spacing = (dataset or Dataset()).spacing
        found = PreprocessedCases(
            folder / f"{PLANS}_3d_fullres", nnUNetDatasetBlosc2, spacing, (0, 1), 1
        )
        return dataclasses.replace(found, **changes)

    return make


def cohort_of(cases: PreprocessedCases, names: tuple[str, ...] = CASES, **how: Any) -> Any:
    how = {
        "fallback": cases.folder.with_name("fallback"),
        "measures": True,
        "workers": 2,
        "say": lambda line: None,
        **how,
    }
    return measured_cohort(cases, names, **how)


def test_references_and_templates_are_those_of_the_preprocessed_cases(cases: Cases) -> None:
    found = cases()
    cohort = cohort_of(found)
    volume = found.read("a")
    reference = measure_reference(volume.image)
    assert cohort.references["a"] == reference
    assert [t.source for t in cohort.templates] == [case_key(name) for name in CASES]
    template = cohort.templates[0]
    assert volume.tumor is not None
    assert int(template.mask.sum()) == int(volume.tumor.sum())
    whole = measure_appearance(to_linear(volume.image, reference), volume.tumor)
    assert template.appearance.enhancement == pytest.approx(whole.enhancement, abs=0.02)


def test_templates_bring_their_courses_where_the_dataset_has_further_phases(cases: Cases) -> None:
    made = cases(Dataset(channels=("pre", "post 1", "T2", "post 2")), scans=(0, 1, 3))
    cohort = cohort_of(made)
    for template in cohort.templates:
        assert template.course == pytest.approx((1.0, 0.92), abs=0.1)
    assert {r.channels for r in cohort.references.values() if r is not None} == {3}
    # Measured anew where another phase counts.
    again = cohort_of(dataclasses.replace(made, scans=(0, 1)))
    assert [t.course for t in again.templates] == [()] * len(cohort.templates)


def test_templates_are_at_a_millimetre_whatever_the_spacing(cases: Cases) -> None:
    cohort = cohort_of(cases(Dataset(spacing=(2.0, 0.8, 0.8), radius_mm=8.0)))
    for template in cohort.templates:
        assert template.diameter_mm == pytest.approx(16.0, abs=0.8)


def test_voxels_outside_the_image_are_not_valid(cases: Cases) -> None:
    volume = cases(Dataset(outside=True)).read("a")
    assert volume.valid is not None
    assert not bool(volume.valid[:, :, :6].any()) and bool(volume.valid[:, :, 6:].all())


def test_a_fold_holds_its_training_cases_and_no_others(cases: Cases) -> None:
    found = cases()
    cohort_of(found)
    fold = cohort_of(found, ("a", "c"))
    assert sorted(fold.references) == ["a", "c"]
    assert {t.source for t in fold.bank().templates} == set(case_keys("ac"))


def test_cases_are_measured_once_and_again_only_when_their_files_change(
    cases: Cases, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cases()
    cache = CohortCache(found.folder.with_name("cache"), found)
    told: list[tuple[int, int]] = []
    cache.measure(CASES, workers=1, on_case=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert cache.missing(CASES) == []
    os.utime(found.folder / "b.b2nd", (1, 1))
    assert cache.missing(CASES) == ["b"]
    other = CohortCache(cache.folder, dataclasses.replace(found, tumor_label=2))
    assert other.missing(CASES) == list(CASES)


def test_voxels_are_kept_on_request_in_a_folder_of_their_own(cases: Cases) -> None:
    found = cases()
    masks = cohort_of(found)
    assert not masks.bank().has_signal
    voxels = cohort_of(found, voxels=True)
    bank = voxels.bank()
    assert bank.has_signal
    beside = found.folder.parent
    names = {path.name for path in beside.glob(f"synbt_{found.folder.name}*")}
    assert names == {f"synbt_{found.folder.name}", f"synbt_{found.folder.name}_voxels"}
    # Shape, appearance and the bank's name without voxels are the same either way.
    assert cohort_of(found).bank().digest == masks.bank().digest != bank.digest
    bare = TumorBank(tuple(t._replace(signal=None) for t in bank.templates))
    assert bare.digest == masks.bank().digest


def test_a_template_s_voxels_are_those_of_the_preprocessed_case(cases: Cases) -> None:
    found = cases()
    bank = cohort_of(found, ("a",), voxels=True).bank()
    volume = found.read("a")
    assert volume.tumor is not None
    linear = to_linear(volume.image, measure_reference(volume.image))
    box = (slice(None), *(slice(a - 6, b + 6) for a, b in bounding_box(volume.tumor)))
    assert torch.equal(template_signal(bank, 0), linear[box].half())


def test_a_fold_keeps_no_voxels_in_memory(cases: Cases) -> None:
    bank = cohort_of(cases(), voxels=True).bank()
    assert all(isinstance(t.signal, StoredSignal) for t in bank.templates)


def test_a_measurement_without_voxels_is_not_taken_for_one_with(cases: Cases) -> None:
    found = cases()
    folder = found.folder.with_name("cache")
    plain, full = (CohortCache(folder, found, voxels=voxels) for voxels in (False, True))
    plain.measure(CASES, workers=1)
    assert plain.missing(CASES) == []
    assert full.missing(CASES) == list(CASES)


def test_lesions_of_a_case_stay_a_group(cases: Cases) -> None:
    def second(data: Any, segmentation: Any) -> None:
        segmentation[28:38, 44:54, 30:40] = 1

    cohort = cohort_of(cases(Dataset(changes=second)))
    assert len(cohort.templates) == 2 * len(CASES)
    bank = cohort.bank()
    assert sorted(bank.groups) == case_keys(CASES)
    largest, other = (bank.templates[k] for k in bank.groups[case_key("a")])
    assert largest.offset_mm == (0.0, 0.0, 0.0)
    assert largest.mask.sum() > other.mask.sum()
    # The block's middle is at (32.5, 48.5, 34.5), the ball's voxels are 28-39, 24-35 and 30-41.
    assert other.offset_mm == (1.0, -19.0, 1.0)


def test_an_interrupted_measurement_goes_on(cases: Cases) -> None:
    found = cases()
    cache = CohortCache(found.folder.with_name("cache"), found)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.measure(CASES, workers=1, on_case=stop)
    left = cache.missing(CASES)
    assert 1 <= len(left) <= 2
    cache.measure(left, workers=1)
    assert len(cache.load(CASES).references) == 4


def test_a_half_written_note_is_measured_anew(cases: Cases) -> None:
    found = cases()
    cache = CohortCache(found.folder.with_name("cache"), found)
    cache.measure(CASES, workers=1)
    (cache.folder / "c.json").write_text('{"stamp"')
    assert cache.missing(CASES) == ["c"]


def test_other_ranks_wait_for_the_one_that_measures(cases: Cases) -> None:
    import threading

    found = cases()
    waiting = threading.Thread(target=lambda: got.append(cohort_of(found, measures=False)))
    got: list[Any] = []
    waiting.start()
    time.sleep(0.2)
    assert not got
    cohort_of(found)
    waiting.join(timeout=20)
    assert sorted(got[0].references) == list(CASES)


def test_a_case_without_signal_is_told_and_does_not_stop_the_others(cases: Cases) -> None:
    def empty_one(data: Any, segmentation: Any, seen: list[int] = []) -> None:  # noqa: B006
        seen.append(1)
        if len(seen) == 1:
            data[:] = 0
            segmentation[:] = 0

    said: list[str] = []
    cohort = cohort_of(cases(Dataset(changes=empty_one)), say=said.append)
    assert cohort.references["a"] is None
    assert [t.source for t in cohort.templates] == [case_key(name) for name in "bcd"]
    assert any("a: BreastVolume needs signal" in s for s in said)


def test_validation_cases_in_weights_or_bank_are_refused_by_name() -> None:
    weights = dataclasses.replace(
        tiny_weights(), card={"cases": ["x"], "autoencoder": {"cases": ["y", "z"]}}
    )
    refuse_leaks(weights, small_bank(), ["p", "q"])
    with pytest.raises(SynBTError, match=r"trained on 2 validation cases of this fold \(x, y\)"):
        refuse_leaks(weights, small_bank(), ["y", "p", "x"])
    # The analytic bank names its templates by their category.
    with pytest.raises(SynBTError, match=r"'tiny' were trained on 1 validation cases.*\(rim\)"):
        refuse_leaks(weights, small_bank(), ["rim"])
    other = TumorBank((small_bank().templates[0]._replace(source="q"),))
    with pytest.raises(SynBTError, match=r"bank holds tumors of 1 validation cases.*\(q\)"):
        refuse_leaks(weights, other, ["p", "q"])


def test_the_shipped_weights_name_the_phantoms_they_saw() -> None:
    from synbt_aug.weights import load_weights

    weights = load_weights()
    with pytest.raises(SynBTError, match="phantom_0000007"):
        refuse_leaks(weights, weights.bank, ["phantom_0000007"])
    refuse_leaks(weights, weights.bank, ["phantom_1000007"])


def test_a_measurement_is_json_and_a_bank(cases: Cases) -> None:
    found = cases()
    cohort_of(found)
    folder = found.folder.with_name(f"synbt_{found.folder.name}")
    note = json.loads((folder / "a.json").read_text())
    assert note["templates"] == 1 and note["problem"] is None
    assert (folder / "a.npz").is_file()
    assert torch.tensor(note["reference"]["low"]).shape == (2,)
