"""What tests of the trainer run in processes of their own: importable by spawned ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from nnunet_dataset import FlatSynBT
from synbt_aug.packed_plans import unpack
from synbt_aug.sample_plans import SamplePlans
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug_nnunet.planning import packed_plans


def draw_one(loader: Any, answers: Any) -> None:
    torch.set_num_threads(1)
    batch = next(loader)
    labels, plans = packed_plans(batch)
    decided = [] if plans is None else [unpack(row, no_shape) for row in plans]
    answers.put((tuple(batch["data"].shape), str(labels.dtype), list(batch["keys"]), len(decided)))


def no_shape(recipe: TumorRecipe) -> LabelShape:
    raise AssertionError("a shape was left out")


class RankedSynBT(FlatSynBT):
    """Trains on the CPU in two processes, where nnU-Net itself insists on GPUs."""

    def initialize(self) -> None:
        # nnU-Net's own `initialize`, but for DDP's device ids, which a CPU does not have.
        import nnunetv2.training.nnUNetTrainer.nnUNetTrainer as module

        class Wrapped(torch.nn.parallel.DistributedDataParallel):
            def __init__(self, network: Any, device_ids: Any = None) -> None:
                super().__init__(network)

        module.DDP = Wrapped
        self.device = torch.device("cpu")
        self.grad_scaler = None
        super().initialize()


def train_one_rank(rank: int, port: int, root: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "nnUNet_preprocessed": f"{root}/preprocessed", "nnUNet_results": f"{root}/results",
        "nnUNet_raw": f"{root}/raw", "nnUNet_n_proc_DA": "0", "nnUNet_compile": "f",
        "SYNBT_FIT_CASES": "0", "SYNBT_PROBABILITY": "1", "SYNBT_DIAMETER_MM": "9",
    }  # fmt: skip
    dist.init_process_group("gloo", rank=rank, world_size=2)
    folder = Path(root) / "preprocessed/Dataset900_Analytic"
    plans = json.loads((folder / "nnUNetPlans.json").read_text()) | {"continue_training": False}
    trainer = RankedSynBT(
        plans=plans, configuration="3d_fullres", fold=0,
        dataset_json=json.loads((folder / "dataset.json").read_text()),
        device=torch.device("cpu"),
    )  # fmt: skip
    trainer.on_train_start()
    injector = trainer._synbt_injection.injector
    seeds: list[int] = []

    class Spy:
        counts = injector.counts
        settings = injector.settings

        def __call__(self, *args: Any, plans: list[SamplePlans], **more: Any) -> Any:
            seeds.extend(one.seed for one in plans if one.plans)
            return injector(*args, plans=plans, **more)

        def synthesizer(self, device: torch.device) -> Any:
            return injector.synthesizer(device)

    trainer._synbt_injection.injector = Spy()
    trainer.on_train_epoch_start()
    outputs = [trainer.train_step(next(trainer.dataloader_train)) for _ in range(2)]
    trainer.on_train_epoch_end(outputs)
    weights = torch.cat([p.detach().flatten() for p in trainer.network.parameters()])
    everyone: list[Any] = [None, None]
    dist.all_gather_object(everyone, (seeds, float(weights.double().sum())))
    if rank == 0:
        (Path(root) / "answer.json").write_text(json.dumps(everyone))
    dist.barrier()
    dist.destroy_process_group()
