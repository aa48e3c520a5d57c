"""The trainers of the textures that SynBT is compared with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from analytic import find_tissue, small_bank
from synbt_aug.errors import SynBTError
from synbt_aug.support.case_ids import case_keys
from synbt_aug.texture import CopyPaste, SynTumor
from synbt_aug.tissue.segmenter import shipped_segmenter
from synbt_aug.weights import WithoutNetworks
from synbt_aug_nnunet.trainers import (
    TRAINERS,
    nnUNetTrainerSynBT_CopyPaste,
    nnUNetTrainerSynBT_SynTumor,
)

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def bright_and_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tumors of 9 mm in every patch, by the rule that knows the analytic breast."""
    monkeypatch.setenv("SYNBT_PROBABILITY", "1")
    monkeypatch.setenv("SYNBT_DIAMETER_MM", "9")
    monkeypatch.setenv("SYNBT_ENHANCEMENT", "1.5")
    monkeypatch.setenv("SYNBT_FIT_CASES", "1")


@pytest.mark.parametrize(
    "trainer, texture",
    [(nnUNetTrainerSynBT_SynTumor, SynTumor), (nnUNetTrainerSynBT_CopyPaste, CopyPaste)],
)
def test_they_paint_with_their_texture_and_the_folds_own_tumors_and_load_no_network(
    nnunet: Make, trainer: type[Any], texture: type[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    one = nnunet(trainer=trainer)
    one.on_train_start()
    painter = one._synbt_injection.injector.synthesizer(torch.device("cpu"))
    assert isinstance(painter.texture, texture) and isinstance(painter.weights, WithoutNetworks)
    names, _ = one.do_split()
    assert {t.source for t in painter.bank.templates} <= set(case_keys(names))
    assert painter.bank.has_signal is (texture is CopyPaste)
    # Whether weights fit data is asked of networks alone.
    assert "SynBT fit" not in capsys.readouterr().out
    painter.segmenter = find_tissue
    for _ in range(4):
        one.train_step(next(one.dataloader_train))
    counts = one._synbt_injection.pop_counts()
    assert counts.things["injected"] >= 1 and "error" not in counts.why
    record = json.loads((Path(one.output_folder) / "synbt.json").read_text())
    assert record["settings"]["texture"] == one.synbt_settings.texture


def test_the_tissue_segmenter_of_the_settings_is_the_one_that_paints(
    nnunet: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = shutil.copytree(shipped_segmenter(), tmp_path / "mine")
    facts = json.loads((mine / "tissue.json").read_text())
    (mine / "tissue.json").write_text(json.dumps({**facts, "card": {"made by": "me"}}))
    monkeypatch.setenv("SYNBT_TISSUE", str(mine))
    trainer = nnunet(trainer=nnUNetTrainerSynBT_SynTumor)
    trainer.on_train_start()
    painter = trainer._synbt_injection.injector.synthesizer(torch.device("cpu"))
    assert painter.segmenter.card["made by"] == "me"


def test_a_trainers_texture_is_not_overridden(
    nnunet: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_TEXTURE", "diffusion")
    for name, texture in (("SynTumor", "syntumor"), ("CopyPaste", "copy_paste")):
        trainer = nnunet(trainer=TRAINERS[f"nnUNetTrainerSynBT_{name}"])
        trainer.initialize()
        assert trainer.synbt_settings.texture == texture


def test_pasting_from_a_bank_of_shapes_is_refused_before_anything_is_measured(
    nnunet: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bank in ("shipped", str(small_bank().save(tmp_path / "shapes.npz"))):
        monkeypatch.setenv("SYNBT_BANK", bank)
        trainer = nnunet(trainer=nnUNetTrainerSynBT_CopyPaste)
        with pytest.raises(SynBTError, match="holds shapes only.*synbt bank build DATASET"):
            trainer.on_train_start()
        assert not list(tmp_path.rglob("synbt_nnUNetPlans*"))
