"""The tumor bank: what the file keeps, groups, and banks that are joined."""

from __future__ import annotations

import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analytic import ball, seeded, small_bank
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import signed_distance_mm
from synbt_aug.support.case_ids import case_key
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import (
    FORMAT,
    Template,
    TumorBank,
    build_bank,
    join_banks,
    load_bank,
    template_distance,
    template_signal,
)
from synbt_aug.tumor.places import ELSEWHERE, STATISTICS
from synbt_aug.tumor.template import SIGNAL_MARGIN_MM, StoredSignal

#: Of a ball of 4 voxels, as the first release named it.
FIRST_DIGEST = "bbf7f06e111e73f06e1463e572258f40c4c86d93b09825a24fd03914adf9d6f2"


def with_signal(template: Template, seed: int = 0) -> Template:
    """The template with noise for its signal."""
    shape = (2, *(n + 2 * SIGNAL_MARGIN_MM for n in template.mask.shape))
    return template._replace(signal=torch.randn(shape, generator=seeded(seed)).half())


def bank_with_signals() -> TumorBank:
    return TumorBank(tuple(with_signal(t, k) for k, t in enumerate(small_bank().templates)))


CASE, OTHER = case_key("case"), case_key("other")


def as_group(templates: tuple[Template, ...], name: str = CASE) -> tuple[Template, ...]:
    """Lesions 20 mm apart along the first axis."""
    return tuple(
        t._replace(group=name, offset_mm=(20.0 * k, 0.5, -3.0)) for k, t in enumerate(templates)
    )


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


def test_templates_of_a_category_are_found() -> None:
    assert small_bank().of_category("mass") == [0, 1, 2, 3]
    assert small_bank().of_category("rim") == [4]
    assert small_bank().of_category("cyst") == []


def test_a_template_knows_its_diameter() -> None:
    assert small_bank().templates[1].diameter_mm == pytest.approx(14.0, abs=0.2)


def test_fragments_are_left_out_of_a_bank() -> None:
    one = small_bank().templates[0]
    assert len(build_bank([one, None, one])) == 2


def test_a_template_s_distance_has_two_millimetres_around_it() -> None:
    bank = small_bank()
    distance = template_distance(bank, 3)
    mask = bank.templates[3].mask
    assert distance.shape == tuple(n + 4 for n in mask.shape)
    padded = torch.nn.functional.pad(mask, (2,) * 6)
    assert torch.equal(distance, signed_distance_mm(padded))
    assert template_distance(bank, 3) is distance


def test_a_template_s_cavities_are_filled_and_its_notches_are_not() -> None:
    mask = torch.ones(12, 12, 12, dtype=torch.bool)
    mask[4:7, 4:7, 4:7] = False
    mask[:3, 8, 8] = False
    bank = TumorBank((small_bank().templates[0]._replace(mask=mask),))
    distance = template_distance(bank, 0)[2:-2, 2:-2, 2:-2]
    assert bool((distance[4:7, 4:7, 4:7] < -2.5).all())
    assert bool((distance[:3, 8, 8] > 0).all())
    assert bool((bank.templates[0].mask == mask).all())


# --- groups ---


def test_lesions_of_one_case_know_each_other_largest_first() -> None:
    small, middle, large, *_ = small_bank().templates
    bank = TumorBank((small, *as_group((middle, large))))
    assert bank.groups == {CASE: (2, 1)}
    assert bank.companions(0) == (0,)
    assert bank.companions(1) == bank.companions(2) == (2, 1)


def test_groups_and_offsets_are_loaded_as_they_were_saved(tmp_path: Path) -> None:
    saved = TumorBank((*as_group(small_bank().templates[:2]), small_bank().templates[2]))
    loaded = load_bank(saved.save(tmp_path / "bank.npz"))
    assert [t.group for t in loaded.templates] == [CASE, CASE, ""]
    assert loaded.templates[1].offset_mm == (20.0, 0.5, -3.0)
    assert loaded.templates[2].offset_mm == (0.0, 0.0, 0.0)
    assert loaded.digest == saved.digest


def test_the_digest_tells_groups_offsets_and_voxels_apart() -> None:
    plain = small_bank().templates[:2]
    grouped = as_group(plain)
    moved = (grouped[0], grouped[1]._replace(offset_mm=(21.0, 0.5, -3.0)))
    signal = (with_signal(plain[0]), plain[1])
    other = (with_signal(plain[0], seed=1), plain[1])
    banks = [TumorBank(t) for t in (plain, grouped, moved, signal, other)]
    assert len({bank.digest for bank in banks}) == 5


def test_a_bank_without_groups_and_voxels_keeps_the_name_that_recipes_know() -> None:
    # As the manifest of the first weights names it, and recipes made with them.
    ball_bank = TumorBank((Template(ball(4, 2), Appearance(0.5, 0.25, 1.0, 0.0, "mass"), "a"),))
    assert ball_bank.digest == FIRST_DIGEST


# --- voxels ---


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


def test_a_bank_of_masks_alone_says_how_to_get_voxels() -> None:
    assert not small_bank().has_signal
    with pytest.raises(SynBTError, match="holds masks alone. Build one with `synbt bank build"):
        template_signal(small_bank(), 0)


def test_a_file_without_voxels_has_the_members_of_older_ones(tmp_path: Path) -> None:
    with zipfile.ZipFile(small_bank().save(tmp_path / "bank.npz")) as archive:
        assert sorted(archive.namelist()) == [
            f"{name}.npy" for name in ("bits", "categories", "numbers", "shapes", "sources")
        ]


def test_the_same_bank_gives_the_same_file(tmp_path: Path) -> None:
    one = bank_with_signals().save(tmp_path / "one.npz").read_bytes()
    assert bank_with_signals().save(tmp_path / "two.npz").read_bytes() == one


# --- joining banks ---


def test_joined_banks_hold_what_either_holds_once() -> None:
    all_six = small_bank().templates
    joined = join_banks([TumorBank(all_six[:4]), TumorBank(all_six[2:]), TumorBank(all_six[:1])])
    assert joined.digest == small_bank().digest


def test_a_bank_joined_with_nothing_is_itself() -> None:
    bank = TumorBank((*as_group(small_bank().templates[:3][::-1]), small_bank().templates[4]))
    assert join_banks([bank]).digest == bank.digest


def test_lesions_of_a_case_are_joined_as_one() -> None:
    one, two, three = small_bank().templates[:3]
    pair, more = as_group((two, one)), as_group((three, one), OTHER)
    joined = join_banks([TumorBank(pair), TumorBank(more), TumorBank(pair), TumorBank((one,))])
    assert [t.group for t in joined.templates] == [CASE, CASE, OTHER, OTHER, ""]


def test_groups_of_one_name_and_other_lesions_stay_apart() -> None:
    one, two, three = small_bank().templates[:3]
    joined = join_banks([TumorBank(as_group((two, one))), TumorBank(as_group((three, one)))])
    assert joined.groups == {CASE: (0, 1), f"{CASE} (2)": (2, 3)}


def test_of_two_that_differ_in_voxels_alone_the_one_with_voxels_is_kept() -> None:
    masks, voxels = small_bank(), bank_with_signals()
    for order in ([masks, voxels], [voxels, masks]):
        assert join_banks(order).digest == voxels.digest


def test_joining_nothing_is_refused() -> None:
    with pytest.raises(SynBTError, match="at least one template, got none"):
        join_banks([])


def test_joined_voxels_are_read_from_their_own_files(tmp_path: Path) -> None:
    banks = bank_with_signals().templates[:2], bank_with_signals().templates[2:]
    files = [TumorBank(b).save(tmp_path / f"{k}.npz") for k, b in enumerate(banks)]
    joined = join_banks(load_bank(file) for file in files)
    assert all(isinstance(t.signal, StoredSignal) for t in joined.templates)
    whole = load_bank(joined.save(tmp_path / "joined.npz"))
    assert whole.digest == bank_with_signals().digest
    assert torch.equal(template_signal(whole, 5), template_signal(bank_with_signals(), 5))


def with_places(template: Template, seed: int = 0) -> Template:
    """The template with places of no meaning; the nipple is not in view."""
    places = 50 * torch.rand(1 + ELSEWHERE, len(STATISTICS), generator=seeded(seed))
    places[:, STATISTICS.index("nipple_mm")] = torch.nan
    return template._replace(places=places.half())


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


def test_a_recipe_s_bank_is_the_same_with_and_without_places_and_surroundings() -> None:
    bank = small_bank()
    told = (with_places(t)._replace(surroundings=(0.25, 0.5)) for t in bank.templates)
    assert TumorBank(tuple(told)).digest == bank.digest


def test_a_bank_of_a_later_format_says_to_update(tmp_path: Path) -> None:
    bank = TumorBank((with_places(small_bank().templates[0]),))
    path = bank.save(tmp_path / "bank.npz")
    with np.load(path) as file:
        content = dict(file)
    np.savez(path, **content | {"format": np.array([FORMAT + 1])})
    with pytest.raises(SynBTError, match=f"of format {FORMAT + 1}, .* up to {FORMAT}. Update it"):
        load_bank(path)
