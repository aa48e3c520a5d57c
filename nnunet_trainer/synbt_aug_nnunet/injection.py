"""One training batch: to the device, tumors into it, the rest of the augmentation.

Knows nothing of nnU-Net's trainer, only of its batches.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synbt_aug.injector import Injected, SynBTInjector
from synbt_aug.intensity import IntensityReference
from synbt_aug.pictures import BeforeAfter, preview
from synbt_aug.series import is_out_of_memory
from synbt_aug.volume import Spacing, Synthesis
from synbt_aug_nnunet.augmentation import SplitAugmentation

# Counts that are no failures.
_FINE = ("injected", "null", "distractor", "not drawn", "satellite", "satellite left out")


class BatchInjection:
    """What happens to a batch between the workers and `train_step`.

    Args:
        injector: None injects nothing; the augmentation is the same.
        augmentation: nnU-Net's, in two parts.
        references: Intensity references by case; None for a case that has none, which is left
            alone. Of cases that are not there, the patch is measured.
        spacing: Voxel size along the batch's axes, in mm.
        device: Where all this runs.
    """

    def __init__(
        self,
        injector: SynBTInjector | None,
        augmentation: SplitAugmentation,
        references: Mapping[str, IntensityReference | None],
        spacing: Spacing,
        device: torch.device,
    ) -> None:
        self.injector = injector
        self.augmentation = augmentation
        self.references = references
        self.spacing = spacing
        self.device = device
        self.iterations = 0
        self.seconds = {"injection": 0.0, "augmentation": 0.0}

    def __call__(
        self, batch: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[dict[str, Any], Injected | None]:
        """Inject and augment.

        Args:
            batch: As the data loader gives it: "data" `(B, C, D, H, W)`, "target"
                `(B, 1, D, H, W)` with -1 outside the image, "keys".
            generator: On the CPU.

        Returns:
            The batch as nnU-Net's own `train_step` takes it, and what was injected, before the
            augmentation.
        """
        start = time.perf_counter()
        data, target = _to(batch["data"], self.device), _to(batch["target"], self.device)
        injected = None
        if self.injector is not None:
            injected = self._inject(data, target, [str(key) for key in batch["keys"]], generator)
            data, target = injected.images, injected.labels
        between = time.perf_counter()
        data, target = self.augmentation.finish(data, target)
        self.iterations += 1
        self.seconds["injection"] += between - start
        self.seconds["augmentation"] += time.perf_counter() - between
        return {**batch, "data": data, "target": target}, injected

    def _inject(
        self, data: Tensor, target: Tensor, keys: list[str], generator: torch.Generator
    ) -> Injected:
        """Inject into the samples of cases that can take tumors."""
        assert self.injector is not None
        usable = [k for k, key in enumerate(keys) if self.references.get(key, True) is not None]
        if len(usable) == len(keys):
            cases = [self.references.get(key) for key in keys]
            try:
                return self.injector(
                    data, target, self.spacing, generator=generator, references=cases
                )
            except (RuntimeError, MemoryError) as error:
                # What fails while painting is counted by the injector; this is around it.
                if not is_out_of_memory(error):
                    raise
                self.injector.counts["out of memory"] += len(keys)
                return Injected(data, target, (None,) * len(keys))
        self.injector.counts["case without intensity references"] += len(keys) - len(usable)
        results: list[Synthesis | None] = [None] * len(keys)
        if usable:
            part = self._inject(data[usable], target[usable], [keys[k] for k in usable], generator)
            data, target = data.clone(), target.clone()
            data[usable], target[usable] = part.images, part.labels
            for k, result in zip(usable, part.results, strict=True):
                results[k] = result
        return Injected(data, target, tuple(results))

    def pop_counts(self) -> Counter[str]:
        """What became of the samples since the last call."""
        if self.injector is None:
            return Counter()
        counts = Counter(self.injector.counts)
        self.injector.counts.clear()
        return counts

    def pop_milliseconds(self) -> dict[str, float]:
        """Mean time an iteration since the last call, in ms.

        Of the augmentation on a GPU it is what asking for it takes: the GPU works on meanwhile.
        """
        mean = {k: 1000 * s / max(self.iterations, 1) for k, s in self.seconds.items()}
        self.iterations = 0
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        return mean


def _to(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, non_blocking=True)


def epoch_line(counts: Mapping[str, int], milliseconds: Mapping[str, float]) -> str:
    """An epoch's line for the log: injected, skipped and why, ms an iteration."""
    parts = [f"{counts.get('injected', 0)} injected"]
    if counts.get("satellite"):
        parts.append(f"{counts['satellite']} satellites")
    if counts.get("null"):
        parts.append(f"{counts['null']} null paints")
    if counts.get("distractor"):
        parts.append(f"{counts['distractor']} distractors")
    why = {name: n for name, n in counts.items() if name not in _FINE}
    if why:
        reasons = ", ".join(f"{name} {n}" for name, n in sorted(why.items(), key=lambda x: -x[1]))
        parts.append(f"{sum(why.values())} skipped ({reasons})")
    parts.append(f"{counts.get('not drawn', 0)} left as they are")
    times = " + ".join(f"{name} {ms:.0f} ms" for name, ms in milliseconds.items())
    return f"SynBT: {', '.join(parts)}; {times} an iteration"


def step_seed(*parts: int | str) -> int:
    """A seed of 63 bits from whatever tells two steps apart: fold, rank, epoch, iteration."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def save_examples(
    folder: Path,
    injected: Injected,
    before: Tensor,
    keys: Sequence[Any],
    spacing: Spacing,
    channels: tuple[int, int],
    most: int,
) -> int:
    """Save pictures of what was injected.

    Args:
        folder: Made if it is not there.
        injected: Of one batch.
        before: The images as they were, shape `(B, C, D, H, W)`.
        keys: The cases.
        spacing: Voxel size, in mm.
        channels: Pre and post.
        most: At most so many.

    Returns:
        How many were saved.
    """
    saved = 0
    for k, result in enumerate(injected.results):
        if saved >= most or result is None or not result.painted:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        shown = BeforeAfter(
            title=f"{keys[k]}, a training patch before and after",
            before=before[k, list(channels)].cpu().numpy(),
            after=result.image.cpu().numpy(),
            tumor=result.tumor.cpu().numpy(),
            support=result.support.cpu().numpy(),
            spacing=spacing,
        )
        number = len(list(folder.glob("*.png"))) + 1
        preview(shown).save(folder / f"{number:02d}-{keys[k]}.png")
        saved += 1
    return saved
