"""Train the tissue segmenter on images drawn from label maps.

Every example is a new contrast, so there is nothing to learn by heart but anatomy. Examples come
from worker processes; each is used a few times, since drawing one costs as much as a step. The
result is a folder with `tissue.safetensors`, the running average of the weights, and
`tissue.json`.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from types import FrameType

import torch
from monai.losses import DiceCELoss
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from synbt_aug.errors import SynBTError
from synbt_aug.loop.training_loop import TrainingRun, fresh_weights, make_fabric, seeded_generator
from synbt_aug.loop.training_step import AveragedWeights, descend, learning_rate, set_learning_rate
from synbt_aug.support.case_ids import PRIVACY, case_key
from synbt_aug.support.workers import end_with_parent
from synbt_aug.tissue.labels_to_image import LabelMap, draw_crop, draw_image
from synbt_aug.tissue.network import TissueNetwork
from synbt_aug.tissue.segmenter import TissueSegmenter, load_segmenter
from synbt_aug.train.identity import identity_of_maps, identity_of_network
from synbt_aug.train.tissue_preset import TissuePreset

Example = tuple[Tensor, Tensor]
"""Image and answer, shape `(d, h, w)` each."""


class Examples(Dataset[Example]):
    """Example number k, a function of seed, rank and k.

    Args:
        maps: To draw from.
        sides_mm: Of the crops.
        seed: Numbers that tell these examples from others, the rank among them.
    """

    def __init__(
        self, maps: Sequence[LabelMap], sides_mm: tuple[int, int, int], seed: tuple[int, ...]
    ) -> None:
        self.maps, self.sides_mm, self.seed = maps, sides_mm, seed

    def __getitem__(self, number: int) -> Example:
        generator = seeded_generator(*self.seed, number)
        case = self.maps[int(torch.randint(len(self.maps), (), generator=generator))]
        labels, scan = draw_crop(case, self.sides_mm, generator=generator)
        image, answer = draw_image(labels, scan, generator=generator)
        # A byte a voxel between processes, where the loss wants eight.
        return image.half(), answer.to(torch.uint8)


class ExamplePool:
    """The latest examples of one size, of which steps draw batches.

    Args:
        examples: Where they come from.
        most: Kept.
        added: New ones a step of this pool.
        workers: Processes that draw ahead; 0 draws in this one.
        uses: Steps of this pool so far, of a resumed run.
    """

    def __init__(
        self, examples: Examples, most: int, added: float, workers: int, uses: int = 0
    ) -> None:
        self.added, self.uses = added, uses
        self.made = max(0, self._wanted(most) - most)
        self._ending = multiprocessing.Event()
        self._kept: deque[Example] = deque(maxlen=most)
        self._most = most
        self._ahead: Iterator[Example] = iter(
            DataLoader(
                examples,
                batch_size=None,
                sampler=range(self.made, 2**31),
                num_workers=workers,
                prefetch_factor=4 if workers else None,
                worker_init_fn=partial(_leave_signals_to_the_trainer, self._ending),
            )
        )

    def close(self) -> None:
        """Let the workers end, whatever still refers to them, such as a traceback."""
        self._ending.set()
        self._ahead = iter(())

    def _wanted(self, most: int) -> int:
        return most // 2 + int(self.added * self.uses)

    @property
    def missing(self) -> int:
        """How many examples are to be drawn before the next batch."""
        return self._wanted(self._most) - self.made

    def fill(self) -> Iterator[int]:
        """Draw what is missing, an example at a time."""
        while self.missing > 0:
            self._kept.append(next(self._ahead))
            self.made += 1
            yield self.made

    def batch(self, count: int, generator: torch.Generator) -> Example:
        """Draw images `(B, 1, d, h, w)`, float32, and answers, int64, same shape."""
        for _ in self.fill():
            pass
        self.uses += 1
        picked = torch.randint(len(self._kept), (count,), generator=generator).tolist()
        images, answers = zip(*(self._kept[k] for k in picked), strict=True)
        return torch.stack(images)[:, None].float(), torch.stack(answers)[:, None].long()


def _leave_signals_to_the_trainer(ending: Event, _worker: int) -> None:
    """Signals reach the whole process group; the trainer ends well, and its workers after it.

    A trainer that is killed takes its workers along.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if ending.is_set():  # by the trainer, which waits for this process
            os._exit(0)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop)
    end_with_parent()


def train_tissue(
    maps: Sequence[LabelMap],
    preset: TissuePreset,
    output_dir: str | Path,
    *,
    max_time_s: float | None = None,
    resume: bool = False,
    init: str | Path | None = None,
    seed: int = 0,
    devices: int = 1,
    num_nodes: int = 1,
    precision: str | None = None,
    accelerator: str = "auto",
    workers: int = 1,
    save_every_s: float = 300.0,
) -> Path:
    """Train and write the segmenter.

    Args:
        maps: What to learn from.
        preset: Every number of the training.
        output_dir: Folder of checkpoints, logs and the result.
        max_time_s: Time box of the steps; rates fall over it. None: steps alone.
        resume: Continue an interrupted run of the same settings, maps and start.
        init: Folder of a segmenter to start from, or "shipped".
        seed: Of everything drawn.
        devices: Devices a node.
        num_nodes: Nodes.
        precision: As Lightning Fabric names it; None picks it.
        accelerator: As Lightning Fabric names it.
        workers: Processes that draw examples, for each size of crop.
        save_every_s: Seconds between checkpoints.

    Returns:
        The path of `tissue.safetensors`, written at every checkpoint.

    Raises:
        SynBTError: If there are no maps, `init` is of another shape, the folder holds another
            run, or the time ends before `preset.min_steps`.
        Interrupted: After Ctrl-C or SIGTERM, when the checkpoint is written.
    """
    output_dir = Path(output_dir)
    if not maps:
        raise SynBTError("The tissue segmenter needs label maps, got none. Leave --data out.")
    fabric = make_fabric(
        devices=devices, num_nodes=num_nodes, precision=precision, accelerator=accelerator
    )
    with fresh_weights(seed):
        net = TissueNetwork(preset.network) if init is None else load_segmenter(init).network
    if net.settings != preset.network:
        raise SynBTError(
            f"The segmenter in {init} has other settings than the preset {preset.name!r}: "
            f"{net.settings}. Start from one of that preset, or without --init."
        )
    learned_from = {
        "maps": identity_of_maps(maps),
        "init": identity_of_network(None if init is None else net),
    }
    net = net.train().requires_grad_(True)
    net = net.to(fabric.device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    average = AveragedWeights(net, preset.average)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=preset.learning_rate, weight_decay=preset.weight_decay
    )
    network, optimizer = fabric.setup(net, optimizer)
    measure = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)
    shares = torch.tensor([size.share for size in preset.crops])

    def write(run: TrainingRun) -> None:
        saved = copy.deepcopy(net)
        average.copy_to(saved)
        card = {
            "preset": preset.to_dict(),
            "training": {
                "steps": run.step,
                "seconds": round(run.elapsed_s, 1),
                "finished": run.finished,
            },
            "seed": seed,
            "cases": len(maps),
            "first_and_last_case": [case_key(maps[0].name), case_key(maps[-1].name)],
            "privacy": PRIVACY,
        }
        TissueSegmenter(saved, card).save(output_dir)

    run = TrainingRun(
        fabric,
        output_dir,
        name="tissue",
        parts={"network": net, "average": average, "optimizer": optimizer},
        settings={"preset": preset.to_dict(), "seed": seed, **learned_from},
        max_steps=preset.steps,
        min_steps=preset.min_steps,
        max_time_s=max_time_s,
        seed=seed,
        resume=resume,
        save_every_s=save_every_s,
        on_save=write,
    )
    with run, contextlib.ExitStack() as stack:
        pools = [
            ExamplePool(
                Examples(maps, size.sides_mm, (seed, fabric.global_rank, index)),
                preset.pool,
                size.batch / preset.uses,
                workers,
                uses=round(size.share * run.step),
            )
            for index, size in enumerate(preset.crops)
        ]
        for pool in pools:
            stack.callback(pool.close)
        drawn = itertools.chain.from_iterable(pool.fill() for pool in pools)
        run.prepare("drawing examples", drawn, sum(pool.missing for pool in pools))
        for step in run:
            generator = run.generator()
            rate = learning_rate(
                preset.learning_rate,
                step,
                run.progress,
                warmup_steps=preset.warmup_steps,
                decay_from=preset.decay_from,
            )
            set_learning_rate(optimizer, rate)
            which = int(torch.multinomial(shares, 1, generator=generator))
            image, answer = pools[which].batch(preset.crops[which].batch, generator)
            image = image.to(fabric.device, memory_format=torch.channels_last_3d)
            loss = measure(network(image).float(), answer.to(fabric.device))
            run.log(loss=loss, skipped=not descend(fabric, loss, network, optimizer))
            average.update(net)
    return output_dir / "tissue.safetensors"
