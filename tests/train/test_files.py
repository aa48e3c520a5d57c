"""Training folders: what is read back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from analytic import TINY_VQVAE, small_bank, tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.networks import VQVAE
from synbt_aug.support.case_ids import case_key, case_keys
from synbt_aug.train.files import cases_seen, load_autoencoder, read_facts, save_network
from synbt_aug.weights import save_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    facts = {"cases": case_keys(["DUKE_001"]), "training": {"steps": 3}}
    save_network(VQVAE(TINY_VQVAE), tmp_path / "codec", "autoencoder", facts)
    return tmp_path / "codec"


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


def test_a_network_comes_back_with_what_is_known_of_it(folder: Path) -> None:
    assert load_autoencoder(folder).settings == TINY_VQVAE
    facts = read_facts(folder, "autoencoder")
    assert facts["training"] == {"steps": 3} and "Whoever holds an id" in facts["privacy"]


def test_cases_of_the_start_and_of_older_files_with_names_count_as_seen(folder: Path) -> None:
    path = folder / "autoencoder.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "cases": ["DUKE_001", "duke_002_phase1"]}))
    seen = cases_seen([Named("Duke_003"), object()], folder, "autoencoder")
    assert seen == case_keys(["duke_001", "duke_002", "duke_003"])


def test_cases_of_a_weights_folder_count_as_seen_its_bank_s_too(tmp_path: Path) -> None:
    weights = save_weights(tiny_weights(), tmp_path)
    sources = {case_key(template.source) for template in small_bank().templates}
    assert set(cases_seen([], weights, "denoiser")) == sources
    assert "phantom_0000003" in cases_seen([], "shipped", "autoencoder")


def test_what_an_earlier_part_of_the_run_has_seen_counts(folder: Path) -> None:
    assert cases_seen([], None, "autoencoder") == []
    assert cases_seen([], None, "autoencoder", resumed=folder) == case_keys(["duke_001"])


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ([], "was to be the settings of a trained autoencoder, an object"),
        ({"training": {}}, "but holds none"),
        ({"settings": "small"}, "VQVAESettings needs a JSON object, got 'small'"),
        ({"settings": {"channels": [10**12], "strides": [2]}}, "Each of channels needs a number"),
        ({"settings": {"codebook_size": -3}}, "codebook_size needs a number from 1"),
        ({"settings": {}}, "does not fit autoencoder.json beside it"),
    ],
)
def test_settings_that_no_training_wrote_are_refused(folder: Path, facts: Any, said: str) -> None:
    (folder / "autoencoder.json").write_text(json.dumps(facts))
    with pytest.raises(SynBTError, match=said):
        load_autoencoder(folder)


def test_a_file_of_another_network_is_refused_by_the_first_difference(folder: Path) -> None:
    save_network(torch_linear(), folder, "other", {})
    (folder / "other.safetensors").replace(folder / "autoencoder.safetensors")
    with pytest.raises(SynBTError, match=r"not fit autoencoder.json beside it \(.* is missing"):
        load_autoencoder(folder)


def torch_linear() -> Any:
    line = torch.nn.Linear(2, 2)
    line.settings = TINY_VQVAE  # type: ignore[assignment]
    return line
