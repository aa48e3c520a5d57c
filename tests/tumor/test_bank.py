"""The tumor bank: its templates, groups, and banks that are joined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analytic import ball, small_bank
from some_banks import CASE, OTHER, as_group, bank_with_signals, with_places, with_signal
from synbt_aug.errors import SynBTError
from synbt_aug.grid.mask import signed_distance_mm
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import (
    Template,
    TumorBank,
    build_bank,
    join_banks,
    load_bank,
    template_distance,
    template_signal,
)
from synbt_aug.tumor.template import StoredSignal

#: Of a ball of 4 voxels, as the first release named it.
FIRST_DIGEST = "bbf7f06e111e73f06e1463e572258f40c4c86d93b09825a24fd03914adf9d6f2"


def test_an_empty_bank_is_refused() -> None:
    with pytest.raises(
        SynBTError, match="at least one template, got none. Build one with `synbt b"
    ):
        TumorBank(())


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


def test_lesions_of_one_case_know_each_other_largest_first() -> None:
    small, middle, large, *_ = small_bank().templates
    bank = TumorBank((small, *as_group((middle, large))))
    assert bank.groups == {CASE: (2, 1)}
    assert bank.companions(0) == (0,)
    assert bank.companions(1) == bank.companions(2) == (2, 1)


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


def test_a_bank_of_masks_alone_says_how_to_get_voxels() -> None:
    assert not small_bank().has_signal
    with pytest.raises(SynBTError, match="holds masks alone. Build one with `synbt bank build"):
        template_signal(small_bank(), 0)


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


def test_a_recipe_s_bank_is_the_same_with_and_without_places_and_surroundings() -> None:
    bank = small_bank()
    told = (with_places(t)._replace(surroundings=(0.25, 0.5)) for t in bank.templates)
    assert TumorBank(tuple(told)).digest == bank.digest
