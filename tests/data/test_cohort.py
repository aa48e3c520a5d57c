from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from small_scans import save, signal
from synbt_aug.data.cohort import instances, load_cohort, number_tumors, to_one_mm
from synbt_aug.errors import SynBTError
from synbt_aug.signal.intensity import measure_reference, to_model
from synbt_aug.support.files import write_json


def test_a_case_holds_what_training_reads(nnunet_folder: Callable[..., Path]) -> None:
    case = load_cohort(nnunet_folder(), workers=1)[0]
    assert case.q.shape == (2, 16, 18, 20) and case.q.dtype == torch.float16
    assert case.valid.shape == (16, 18, 20) and case.valid.dtype == torch.bool
    assert case.tumor.dtype == torch.uint8 and int((case.tumor == 1).sum()) == 24
    assert case.body.shape[1] == 3 and case.body.dtype == torch.int16
    (tumor,) = case.instances
    assert tumor.box == (slice(7, 9), slice(6, 9), slice(5, 9))
    assert tumor.volume_mm3 == 24


def test_q_is_the_contracts_map_of_the_file(nnunet_folder: Callable[..., Path]) -> None:
    case = load_cohort(nnunet_folder(), workers=1)[0]
    image = torch.from_numpy(np.stack([signal(0).T, signal(1).T]).astype(np.float32))
    expected = to_model(image, measure_reference(image))
    assert torch.equal(case.q, expected.to(torch.float16))


def test_the_post_phase_is_drawn_by_case_and_seed_alone(mama_mia_folder: Path) -> None:
    def phases(seed: int) -> list[int]:
        return [case.phase for case in load_cohort(mama_mia_folder, seed=seed)]

    drawn = [phases(seed) for seed in range(8)]
    assert drawn == [phases(seed) for seed in range(8)]
    assert {phase for pair in drawn for phase in pair} == {1, 2}
    assert [c.phase for c in load_cohort(mama_mia_folder, first_post=True)] == [1, 1]


def test_names_fold_and_split_choose_cases(
    nnunet_folder: Callable[..., Path], mama_mia_folder: Path
) -> None:
    folder = nnunet_folder()
    write_json(folder / "splits_final.json", [{"train": ["b"], "val": ["a"]}])
    assert [case.name for case in load_cohort(folder, names=["a"])] == ["a"]
    assert [case.name for case in load_cohort(folder, fold=0)] == ["b"]
    assert [case.name for case in load_cohort(mama_mia_folder, split="test")] == ["ISPY1_1001"]
    with pytest.raises(SynBTError, match="has no case z; it has 2, such as a, b"):
        load_cohort(folder, names=["z"])


def test_a_broken_case_costs_that_case_only(nnunet_folder: Callable[..., Path]) -> None:
    folder = nnunet_folder()
    save(folder / "imagesTr/a_0001.nii.gz", np.zeros((20, 18, 16), np.int16))
    cohort = load_cohort(folder)
    assert [case.name for case in cohort] == ["b"]
    assert "a_0001.nii.gz is empty" in cohort.skipped[0]
    save(folder / "imagesTr/b_0001.nii.gz", np.zeros((20, 18, 16), np.int16))
    with pytest.raises(SynBTError, match=r"No case of .* can be used\. The first one: "):
        load_cohort(folder)


def test_progress_counts_every_case(nnunet_folder: Callable[..., Path]) -> None:
    seen: list[tuple[int, int]] = []
    load_cohort(nnunet_folder(), on_case=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_a_ramp_stays_a_ramp_at_one_mm() -> None:
    ramp = torch.arange(10.0).view(1, 10, 1, 1).expand(1, 10, 6, 6)
    fine = to_one_mm(ramp, (2.0, 1.0, 1.0))
    assert fine.shape == (1, 20, 6, 6)
    assert torch.allclose(fine[0, :19, 3, 3], torch.arange(19) / 2, atol=1e-4)


def test_tumors_are_numbered_from_the_largest() -> None:
    mask = torch.zeros(16, 16, 16, dtype=torch.bool)
    mask[0, 0, 0] = True
    mask[8:10, 8:10, 8:10] = True
    mask[12, 9, 9] = True  # two voxels of gap: a part of the cube's lesion
    tumor = number_tumors(mask)
    assert int((tumor == 1).sum()) == 9 and tumor[0, 0, 0] == 2
    assert torch.equal(tumor > 0, mask)
    assert [t.volume_mm3 for t in instances(tumor)] == [9, 1]


def test_the_diameter_is_that_of_the_sphere_of_equal_volume(real_case: Path) -> None:
    (case,) = load_cohort(real_case)
    (tumor,) = case.instances
    assert tumor.volume_mm3 == pytest.approx(4 / 3 * torch.pi * (tumor.diameter_mm / 2) ** 3)
    assert 10 < tumor.diameter_mm < 40
