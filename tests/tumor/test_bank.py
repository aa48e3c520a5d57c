"""The tumor bank: what becomes a template, and what the file keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from analytic import ball, ellipsoid, seeded, small_bank
from synbt_aug.errors import SynBTError
from synbt_aug.mask import signed_distance_mm
from synbt_aug.tumor.appearance import Appearance, measure_appearance
from synbt_aug.tumor.bank import (
    SMALLEST_VOXELS,
    Template,
    TumorBank,
    build_bank,
    cut_template,
    load_bank,
    template_distance,
)

SHAPE = (60, 50, 40)
SIGNAL = torch.rand((2, *SHAPE), generator=seeded())


def test_an_empty_bank_is_refused() -> None:
    with pytest.raises(
        SynBTError, match="at least one template, got none. Build one with `synbt b"
    ):
        TumorBank(())


def test_a_bank_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    saved = small_bank()
    loaded = load_bank(saved.save(tmp_path / "bank.npz"))
    assert loaded.digest == saved.digest
    for before, after in zip(saved.templates, loaded.templates, strict=True):
        assert torch.equal(before.mask, after.mask)
        assert torch.allclose(after.appearance.to_model()[0], before.appearance.to_model()[0])
        assert after.source == before.source


def test_what_is_not_known_of_a_template_is_still_unknown_after_loading(tmp_path: Path) -> None:
    bank = TumorBank((Template(ball(8, 4), Appearance(enhancement=0.5), "a"),))
    (loaded,) = load_bank(bank.save(tmp_path / "bank.npz")).templates
    assert loaded.appearance == Appearance(enhancement=0.5)


@pytest.mark.parametrize("what", ["mask", "appearance", "order", "count"])
def test_the_digest_tells_banks_apart(what: str) -> None:
    one, two, *rest = small_bank().templates
    changed = {
        "mask": (one._replace(mask=one.mask.flip(0) & (torch.arange(8) > 0)), two, *rest),
        "appearance": (one._replace(appearance=replace(one.appearance, rim=1.2)), two, *rest),
        "order": (two, one, *rest),
        "count": (one, two),
    }[what]
    assert TumorBank(changed).digest != small_bank().digest
    assert TumorBank((one, two, *rest)).digest == small_bank().digest


def test_a_missing_bank_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="mine.npz is not there. Build one with `synbt bank build"):
        load_bank(tmp_path / "mine.npz")


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_a_damaged_bank_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = small_bank().save(tmp_path / "bank.npz")
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    with pytest.raises(SynBTError, match="was to be a tumor bank, but cannot be read"):
        load_bank(path)


def test_a_bank_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    np.savez(path, bits=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SynBTError, match="cannot be read .*allow_pickle=False"):
        load_bank(path)


def test_a_bank_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = small_bank().save(tmp_path / "bank.npz")
    assert len(load_bank(path)) == 6
    TumorBank(small_bank().templates[:2]).save(path)
    assert len(load_bank(path)) == 2


def test_templates_of_a_category_are_found() -> None:
    assert small_bank().of_category("mass") == [0, 1, 2, 3]
    assert small_bank().of_category("rim") == [4]
    assert small_bank().of_category("cyst") == []


def test_a_template_knows_its_diameter() -> None:
    assert small_bank().templates[1].diameter_mm == pytest.approx(14.0, abs=0.2)


# --- cutting templates ---


def test_a_template_is_the_tumor_cropped_with_its_appearance() -> None:
    mask = ellipsoid(SHAPE, (30, 22, 18), (9, 6, 5))
    template = cut_template(mask, SIGNAL, source="case 7")
    assert template is not None
    assert template.mask.shape == (18, 12, 10)
    assert int(template.mask.sum()) == int(mask.sum())
    assert template.appearance == measure_appearance(SIGNAL, mask)
    assert template.source == "case 7"


def test_a_fragment_is_no_template() -> None:
    small = torch.zeros(SHAPE, dtype=torch.bool)
    small.view(-1)[: SMALLEST_VOXELS - 1] = True
    assert cut_template(small, SIGNAL) is None
    assert cut_template(torch.zeros(SHAPE, dtype=torch.bool), SIGNAL) is None
    small.view(-1)[SMALLEST_VOXELS - 1] = True
    assert cut_template(small, SIGNAL) is not None


def test_stray_parts_are_dropped_and_large_ones_kept() -> None:
    main = ellipsoid(SHAPE, (20, 20, 20), (8, 8, 8))
    second = ellipsoid(SHAPE, (40, 20, 20), (5, 5, 5))
    stray = ellipsoid(SHAPE, (50, 40, 30), (2, 2, 2))
    template = cut_template(main | second | stray, SIGNAL)
    assert template is not None
    assert int(template.mask.sum()) == int((main | second).sum())


def test_surroundings_that_do_not_count_are_left_out() -> None:
    mask = ellipsoid(SHAPE, (30, 22, 18), (9, 6, 5))
    around = torch.zeros(SHAPE, dtype=torch.bool)
    around[:30] = True
    template = cut_template(mask, SIGNAL, around)
    assert template is not None
    assert template.appearance == measure_appearance(SIGNAL, mask, around=around)
    assert template.appearance != measure_appearance(SIGNAL, mask)


def test_fragments_are_left_out_of_a_bank() -> None:
    one = small_bank().templates[0]
    assert len(build_bank([one, None, one])) == 2


def test_a_template_s_distance_has_two_millimetres_around_it() -> None:
    bank = small_bank()
    distance = template_distance(bank, 3)
    mask = bank.templates[3].mask
    assert distance.shape == tuple(n + 4 for n in mask.shape)
    padded = torch.nn.functional.pad(mask, (2,) * 6)
    assert torch.equal(distance, signed_distance_mm(padded, limit_mm=16.0))
    assert template_distance(bank, 3) is distance
