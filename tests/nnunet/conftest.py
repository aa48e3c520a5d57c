"""A trainer on a preprocessed dataset of analytic breasts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("nnunetv2")

from nnunet_dataset import PLANS, Dataset, FlatSynBT, write_dataset


@pytest.fixture
def nnunet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Make a dataset and a trainer on it: `nnunet(Dataset(...), SomeTrainer)`."""
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    monkeypatch.setenv("SYNBT_FIT_CASES", "0")

    def make(
        dataset: Dataset | None = None,
        trainer: type[Any] = FlatSynBT,
        fold: int | str = 0,
        configuration: str = "3d_fullres",
    ) -> Any:
        folder = tmp_path / "preprocessed" / "Dataset900_Analytic"
        if not folder.is_dir():
            write_dataset(tmp_path, dataset or Dataset())
        plans = json.loads((folder / f"{PLANS}.json").read_text())
        plans["continue_training"] = False
        described = json.loads((folder / "dataset.json").read_text())
        return trainer(
            plans=plans, configuration=configuration, fold=fold, dataset_json=described,
            device=torch.device("cpu"),
        )  # fmt: skip

    return make
