from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analytic import diffusion_painter
from small_datasets import write_dataset
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.from_disk import SYNTHETIC, read_sets
from synbt_aug.evaluate.realism.windows import Windows


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("real") / "d", 60, count=5)


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cases 3 to 7: two of them have the names of real ones."""
    return write_dataset(tmp_path_factory.mktemp("painted") / "d", 120, count=5, first=3)


def cases(*windows: Windows) -> set[str]:
    return {name for w in windows for name in w.cases}


def test_a_case_is_on_one_side_whatever_the_dataset(real: Path, painted: Path) -> None:
    done: list[tuple[int, int]] = []
    for seed in range(3):
        found = read_sets(
            real, painted, seed=seed, on_case=lambda k, total: done.append((k, total))
        )
        learnt = cases(found.training.real, found.training.synthetic[SYNTHETIC])
        tested = cases(found.test.real, found.test.synthetic[SYNTHETIC])
        assert not learnt & tested
        assert learnt | tested == {f"case{k}" for k in range(8)}
        assert found.skipped == ()
        assert found.test.rebuilt is None
    assert done[:10] == [(k, 10) for k in range(1, 11)]


def test_no_more_windows_are_cut_than_asked_for(real: Path, painted: Path) -> None:
    found = read_sets(real, painted, max_training=2, max_test=2)
    assert len(found.training.real) == len(found.test.synthetic[SYNTHETIC]) == 2


def test_with_a_generator_real_tumors_are_shown_in_two_more_ways(real: Path, painted: Path) -> None:
    found = read_sets(real, painted, max_training=2, max_test=2, synthesizer=diffusion_painter())
    for part in (found.training, found.test):
        assert part.rebuilt is not None
        control = part.synthetic["syntumor"]
        assert part.rebuilt.cases == control.cases == part.real.cases
        for other in (part.rebuilt, control):
            assert torch.equal(other.label, part.real.label)
            inside = part.real.lesion
            differ = (other.signal - part.real.signal).abs().amax(1)
            # References are measured again, so a little changes all over.
            assert float(differ[inside].mean()) > 5 * float(differ[~inside].mean())


def test_a_case_that_cannot_be_read_is_left_out_by_name(painted: Path, tmp_path: Path) -> None:
    real = write_dataset(tmp_path / "real", 60, count=7)
    (real / "imagesTr" / "case1_0000.nii.gz").write_bytes(b"no image")
    found = read_sets(real, painted)
    assert [line.split(":")[0] for line in found.skipped] == ["case1"]
    assert "case1" not in cases(found.training.real, found.test.real)


def test_a_side_without_tumors_is_refused(painted: Path, tmp_path: Path) -> None:
    tiny = write_dataset(tmp_path / "tiny", 60, count=4, radius_mm=2.0)
    with pytest.raises(SynBTError, match="real tumors of 6 to 52 mm in at least 2 cases"):
        read_sets(tiny, painted)
