"""The file of a tumor bank: what it keeps, and what is refused."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analytic import ball, small_bank
from some_banks import CASE, as_group, bank_with_signals, with_places, with_signal
from synbt_aug.errors import SynBTError
from synbt_aug.support.case_ids import case_key
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import Template, TumorBank, load_bank, template_signal
from synbt_aug.tumor.bank_file import FORMAT


def test_a_bank_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    saved = small_bank()
    loaded = load_bank(saved.save(tmp_path / "bank.npz"))
    assert loaded.digest == saved.digest
    for before, after in zip(saved.templates, loaded.templates, strict=True):
        assert torch.equal(before.mask, after.mask)
        assert torch.allclose(after.appearance.to_model()[0], before.appearance.to_model()[0])
        assert after.source == case_key(before.source)


def test_what_is_not_known_of_a_template_is_still_unknown_after_loading(tmp_path: Path) -> None:
    bank = TumorBank((Template(ball(8, 4), Appearance(enhancement=0.5), "a"),))
    (loaded,) = load_bank(bank.save(tmp_path / "bank.npz")).templates
    assert loaded.appearance == Appearance(enhancement=0.5)


def test_courses_are_kept_beside_templates_that_have_none_and_change_no_digest(
    tmp_path: Path,
) -> None:
    one, two, three, *_ = small_bank().templates
    courses = ((1.0, 0.75), (), (1.0, 1.25, 1.5))
    followed = [t._replace(course=c) for t, c in zip((one, two, three), courses, strict=True)]
    bank = TumorBank(tuple(followed))
    loaded = load_bank(bank.save(tmp_path / "bank.npz"))
    assert tuple(t.course for t in loaded.templates) == courses
    assert loaded.digest == bank.digest == TumorBank((one, two, three)).digest


def test_a_missing_bank_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="mine.npz is not there. Build one with `synbt bank build"):
        load_bank(tmp_path / "mine.npz")


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_a_damaged_bank_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = small_bank().save(tmp_path / "bank.npz")
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    with pytest.raises(SynBTError, match="was to be a tumor bank, but cannot be read"):
        load_bank(path)


OTHER_ARRAYS = {
    "one array, no archive": lambda path: np.save(path, np.arange(3)),
    "an archive of something else": lambda path: np.savez(path, x=np.arange(3)),
    "numbers in place of lists": lambda path: np.savez(
        path, **dict.fromkeys(("bits", "shapes", "numbers", "categories", "sources"), 3)
    ),
}


@pytest.mark.parametrize("kind", OTHER_ARRAYS)
def test_other_arrays_are_no_bank(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bank.npz"
    with path.open("wb") as file:
        OTHER_ARRAYS[kind](file)
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


def test_groups_and_offsets_are_loaded_as_they_were_saved(tmp_path: Path) -> None:
    saved = TumorBank((*as_group(small_bank().templates[:2]), small_bank().templates[2]))
    loaded = load_bank(saved.save(tmp_path / "bank.npz"))
    assert [t.group for t in loaded.templates] == [CASE, CASE, ""]
    assert loaded.templates[1].offset_mm == (20.0, 0.5, -3.0)
    assert loaded.templates[2].offset_mm == (0.0, 0.0, 0.0)
    assert loaded.digest == saved.digest


def test_voxels_are_loaded_as_they_were_saved(tmp_path: Path) -> None:
    saved = bank_with_signals()
    loaded = load_bank(saved.save(tmp_path / "bank.npz"))
    assert loaded.has_signal and loaded.digest == saved.digest
    for index, template in enumerate(saved.templates):
        assert isinstance(template.signal, torch.Tensor)
        found = template_signal(loaded, index)
        assert found.dtype == torch.float16 and torch.equal(found, template.signal)


def test_voxels_stay_in_the_file_until_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bank_with_signals().save(tmp_path / "bank.npz")
    opened: list[str] = []
    read = zipfile.ZipFile.open

    def watched(archive: zipfile.ZipFile, name: Any, *rest: Any, **more: Any) -> Any:
        opened.append(str(name))
        return read(archive, name, *rest, **more)

    monkeypatch.setattr(zipfile.ZipFile, "open", watched)
    bank = load_bank(path)
    assert "bits.npy" in opened and not any(name.startswith("signal_") for name in opened)
    template_signal(bank, 2)
    assert [name for name in opened if name.startswith("signal_")] == ["signal_00002.npy"]


def test_stored_voxels_travel_to_another_process_as_a_name(tmp_path: Path) -> None:
    bank = load_bank(bank_with_signals().save(tmp_path / "bank.npz"))
    sent = pickle.dumps(bank.templates[5])
    assert len(sent) < 20_000 < bank_with_signals().templates[5].signal.nbytes  # type: ignore[union-attr]
    assert torch.equal(pickle.loads(sent).signal.read(), template_signal(bank, 5))


def test_stored_voxels_are_found_from_another_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank_with_signals().save(tmp_path / "bank.npz")
    monkeypatch.chdir(tmp_path)
    bank = load_bank("bank.npz")
    monkeypatch.chdir(os.sep)
    assert template_signal(bank, 0).dtype == torch.float16


def test_voxels_of_a_file_that_was_written_anew_are_refused(tmp_path: Path) -> None:
    path = bank_with_signals().save(tmp_path / "bank.npz")
    bank = load_bank(path)
    TumorBank((with_signal(small_bank().templates[0], seed=9),)).save(path)
    with pytest.raises(SynBTError, match="has been written anew since. Load the bank again"):
        template_signal(bank, 0)
    path.unlink()
    with pytest.raises(SynBTError, match="bank.npz, which can no longer be read"):
        template_signal(bank, 1)


def test_a_file_without_voxels_has_the_members_of_older_ones(tmp_path: Path) -> None:
    with zipfile.ZipFile(small_bank().save(tmp_path / "bank.npz")) as archive:
        assert sorted(archive.namelist()) == [
            f"{name}.npy" for name in ("bits", "categories", "numbers", "shapes", "sources")
        ]


def test_the_same_bank_gives_the_same_file(tmp_path: Path) -> None:
    one = bank_with_signals().save(tmp_path / "one.npz").read_bytes()
    assert bank_with_signals().save(tmp_path / "two.npz").read_bytes() == one


def test_places_are_loaded_as_they_were_saved_and_only_where_they_are_known(tmp_path: Path) -> None:
    first, *others = small_bank().templates
    bank = TumorBank((with_places(first), *others))
    loaded = load_bank(bank.save(tmp_path / "bank.npz"))
    assert first.places is None and bank.templates[0].places is not None
    there = loaded.templates[0].places
    assert there is not None and there.dtype == torch.float16
    assert torch.equal(there.nan_to_num(-1), bank.templates[0].places.nan_to_num(-1))
    assert [t.places for t in loaded.templates[1:]] == [None] * len(others)


def test_surroundings_are_loaded_as_they_were_saved_and_only_where_they_are_known(
    tmp_path: Path,
) -> None:
    first, *others = (t._replace(surroundings=None) for t in small_bank().templates)
    bank = TumorBank((first._replace(surroundings=(0.25, 0.5)), *others))
    loaded = load_bank(bank.save(tmp_path / "bank.npz"))
    assert [t.surroundings for t in loaded.templates] == [(0.25, 0.5), *[None] * len(others)]


def test_a_bank_of_a_later_format_says_to_update(tmp_path: Path) -> None:
    bank = TumorBank((with_places(small_bank().templates[0]),))
    path = bank.save(tmp_path / "bank.npz")
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **content | {"format": np.array([FORMAT + 1])})
    with pytest.raises(SynBTError, match=f"of format {FORMAT + 1}, .* up to {FORMAT}. Update it"):
        load_bank(path)
