"""Keys that stand for cases in files, and the guard that compares them."""

from __future__ import annotations

import dataclasses

from analytic import small_bank, tiny_weights
from synbt_aug.data.leaks import cases_of, leaks
from synbt_aug.support.case_ids import case_key, case_keys, patient_of
from synbt_aug.tumor.bank import TumorBank


def test_names_of_one_patient_have_one_key_and_others_another() -> None:
    assert patient_of("Duke_001_phase2") == "duke_001"
    assert case_key("DUKE_001") == case_key("duke_001_phase12")
    assert len({case_key(f"DUKE_{k:03d}") for k in range(999)}) == 999


def test_a_key_holds_nothing_of_the_name_and_is_its_own_key() -> None:
    key = case_key("DUKE_001")
    assert key.startswith("sha256:") and len(key) == 23 and "duke" not in key
    assert case_key(key) == key and case_key(f"{key} (2)") == f"{key} (2)"


def test_phantoms_keep_their_names_which_are_their_seeds() -> None:
    assert case_key("PHANTOM_0000012") == "phantom_0000012"
    assert case_keys(["phantom_3", "phantom_1", "phantom_3"]) == ["phantom_1", "phantom_3"]


def test_held_out_cases_are_found_in_cards_with_keys_and_in_older_ones_with_names() -> None:
    for listed in (["DUKE_001"], [case_key("DUKE_001")]):
        card = {"denoiser": {"cases": listed}}
        weights = dataclasses.replace(tiny_weights(), card=card)
        assert case_key("duke_001") in cases_of(weights)
        assert leaks(weights, small_bank(), ["duke_001_phase2", "duke_002"]) == [
            ("The weights 'tiny' were trained on", ["duke_001_phase2"])
        ]


def test_held_out_cases_are_found_in_banks_with_keys_and_in_older_ones_with_names() -> None:
    for source in ("DUKE_001", case_key("DUKE_001")):
        bank = TumorBank((small_bank().templates[0]._replace(source=source),))
        assert leaks(tiny_weights(), bank, ["duke_001", "duke_002"]) == [
            ("The tumor bank holds tumors of", ["duke_001"])
        ]


def test_a_card_that_lists_no_cases_or_nonsense_leaks_nothing() -> None:
    for card in ({}, {"cases": 3}, {"autoencoder": "text", "denoiser": {"cases": None}}):
        weights = dataclasses.replace(tiny_weights(), card=card)
        assert leaks(weights, small_bank(), ["duke_001"]) == []
