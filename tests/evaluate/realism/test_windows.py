from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analytic import breast, ellipsoid
from some_windows import some_windows
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.windows import (
    HEALTHY,
    OTHER_TUMOR,
    Windows,
    cut_windows,
    join,
    lesions_of,
    linear_of,
    split_cases,
)
from synbt_aug.signal.intensity import measure_reference, to_linear

MM = (1.0, 1.0, 1.0)


def two_balls() -> torch.Tensor:
    shape = (48, 64, 80)
    return ellipsoid(shape, (24, 20, 20), (5, 5, 5)) | ellipsoid(shape, (24, 44, 42), (8, 8, 8))


def test_lesions_come_apart_the_largest_first() -> None:
    large, small = lesions_of(two_balls(), MM)
    assert int(large.sum()) > int(small.sum())
    assert torch.equal(large | small, two_balls())
    assert not bool((large & small).any())


def test_clumps_that_nearly_touch_are_one_lesion() -> None:
    shape = (40, 40, 40)
    near = ellipsoid(shape, (20, 12, 20), (5, 5, 5)) | ellipsoid(shape, (20, 25, 20), (5, 5, 5))
    assert len(lesions_of(near, MM)) == 1


def test_fragments_and_lesions_that_a_window_does_not_show_are_left_out() -> None:
    shape = (40, 40, 80)
    assert lesions_of(ellipsoid(shape, (20, 20, 20), (2.5, 2.5, 2.5)), MM) == []
    assert lesions_of(ellipsoid(shape, (20, 20, 40), (4, 4, 30)), MM) == []
    assert len(lesions_of(ellipsoid(shape, (20, 20, 40), (4, 4, 25)), MM)) == 1
    assert lesions_of(torch.zeros(shape, dtype=torch.bool), MM) == []
    assert lesions_of(None, MM) == []


def test_a_size_is_in_mm_not_in_voxels() -> None:
    thin = (1.0, 0.5, 0.5)
    mask = ellipsoid((40, 80, 80), (20, 20, 20), (2.5, 2.5, 2.5), thin)
    assert int(mask.sum()) > 113
    assert lesions_of(mask, thin) == []


def test_the_lesion_lies_in_the_middle_of_its_window_and_others_are_told_apart() -> None:
    tumor = two_balls()
    image = torch.rand(2, *tumor.shape) + tumor
    volume = replace(breast(), image=image, tumor=tumor)
    first, second = lesions_of(tumor, MM)
    windows = cut_windows("a", volume, [first, second])
    assert windows.cases == ("a", "a")
    for k, lesion in enumerate((first, second)):
        where = windows.lesion[k].nonzero().float()
        assert where.mean(0).tolist() == pytest.approx([31.5] * 3, abs=1)
        assert int(windows.lesion[k].sum()) == int(lesion.sum())
        assert int((windows.label[k] == OTHER_TUMOR).sum()) > 0
    assert bool((windows.tumor == (windows.label > 0)).all())


def test_signal_is_mapped_and_can_be_taken_back() -> None:
    volume = breast()
    place = ellipsoid(volume.shape, (30, 36, 36), (6, 6, 6))
    windows = cut_windows("a", volume, [place])
    linear = to_linear(volume.image, measure_reference(volume.image))
    found = linear_of(windows, 0)[:, windows.lesion[0]]
    assert found.shape[1] == int(place.sum())
    assert torch.allclose(found, linear[:, place], atol=5e-3)


def test_a_healthy_place_is_no_tumor() -> None:
    place = ellipsoid(breast().shape, (30, 36, 36), (6, 6, 6))
    windows = cut_windows("a", breast(), [place], value=HEALTHY)
    assert not bool(windows.tumor.any())
    assert int((windows.label == HEALTHY).sum()) == int(place.sum())


def test_a_window_does_not_depend_on_the_voxel_size() -> None:
    coarse, fine = breast((2.0, 2.0, 2.0)), breast()
    place = [ellipsoid(v.shape, (30, 36, 36), (8, 8, 8), v.spacing) for v in (coarse, fine)]
    sizes = [int(cut_windows("a", v, [p]).lesion.sum()) for v, p in zip((coarse, fine), place)]
    diameters = [n ** (1 / 3) for n in sizes]
    assert diameters[0] == pytest.approx(diameters[1], rel=0.05)


def test_files_give_back_what_was_saved(tmp_path: Path) -> None:
    windows = some_windows(3, side=8, radius=2)
    again = Windows.load(windows.save(tmp_path / "w.safetensors"))
    assert torch.equal(again.signal, windows.signal)
    assert torch.equal(again.label, windows.label)
    assert again.cases == windows.cases


def test_parts_are_joined_and_taken_by_case() -> None:
    a, b = some_windows(2, side=8, names="a"), some_windows(1, side=8, names="b", seed=1)
    whole = join([a, a.take([]), b])
    assert whole.cases == ("a 0", "a 1", "b 0")
    assert torch.equal(whole.of_cases({"b 0"}).signal, b.signal)
    with pytest.raises(SynBTError, match="no window"):
        join([a.take([])])


def test_windows_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(SynBTError, match=r"\(N, 2, n, n, n\)"):
        Windows(torch.zeros(1, 2, 8, 8, 8), torch.zeros(2, 8, 8, 8), ("a",))


def test_cases_are_split_once_and_for_all() -> None:
    names = [f"c{k}" for k in range(30)]
    train, test = split_cases(names, 2 / 3)
    assert len(train) == 20
    assert train | test == set(names)
    assert not train & test
    assert split_cases(reversed(names), 2 / 3) == (train, test)
    assert split_cases(names, 2 / 3, seed=1)[0] != train
    assert [len(part) for part in split_cases(["a", "b"], 0.99)] == [1, 1]
    assert [len(part) for part in split_cases(["a", "b", "c", "d"], 0.99)] == [2, 2]
    with pytest.raises(SynBTError, match="at least 2 cases"):
        split_cases(["a", "a"], 0.5)
