"""One training batch: to the device, tumors into it, the rest of the augmentation.

Knows nothing of nnU-Net's trainer, only of its batches.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synbt_aug.decide.decide import plan_of_recipe
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import LeftOut
from synbt_aug.errors import is_out_of_memory
from synbt_aug.injector import Injected, SynBTInjector, in_short
from synbt_aug.packed_plans import unpack
from synbt_aug.report.pictures import BeforeAfter
from synbt_aug.report.sheets import preview
from synbt_aug.runner import Fate
from synbt_aug.sample_plans import NOT_DRAWN, REAL_TUMOR, SamplePlans
from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.support.device import sent
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.recipe import TumorRecipe
from synbt_aug.volume import Spacing
from synbt_aug_nnunet.augmentation import SplitAugmentation
from synbt_aug_nnunet.epoch_counts import NO_REFERENCES, OUT_OF_MEMORY, EpochCounts
from synbt_aug_nnunet.planning import packed_plans

#: Reasons that no other sample takes the turn for: it would fail alike.
_NO_TURN = (OUT_OF_MEMORY, "error")

#: Counts batches that ran out of memory before anything was painted.
_AROUND = "out of memory around the painting"


class BatchInjection:
    """What happens to a batch between the workers and `train_step`.

    A sample that is drawn and has no room for a tumor passes its turn on to the next one that was
    not drawn and has room, in its own batch or, until the counts are popped, in a later one.

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
        self.counts = EpochCounts()
        self._pending: list[_Sample] = []
        self.iterations = 0
        self.seconds = {"injection": 0.0, "augmentation": 0.0}
        self._turns_left = 0

    def __call__(
        self, batch: Mapping[str, Any], generator: torch.Generator
    ) -> tuple[dict[str, Any], Injected | None]:
        """Inject and augment.

        Args:
            batch: As the data loader gives it: "data" `(B, C, D, H, W)`, "target"
                `(B, 1, D, H, W)` with -1 outside the image, or a list of that and the plans that
                its workers packed, "keys".
            generator: On the CPU; what workers decided does not depend on it.

        Returns:
            The batch as nnU-Net's own `train_step` takes it, and what was injected, before the
            augmentation.
        """
        start = time.perf_counter()
        target, packed = packed_plans(batch)
        data, target = sent(batch["data"], self.device), sent(target, self.device)
        injected = None
        if self.injector is not None:
            keys = [str(key) for key in batch["keys"]]
            if packed is None:
                injected = self._inject(self.injector, data, target, keys, generator)
            else:
                injected = self._paint_plans(self.injector, data, target, keys, packed)
            data, target = injected.images, injected.labels
        between = time.perf_counter()
        data, target = self.augmentation.finish(data, target)
        self.iterations += 1
        self.counts.samples += len(data)
        self.seconds["injection"] += between - start
        self.seconds["augmentation"] += time.perf_counter() - between
        return {**batch, "data": data, "target": target}, injected

    def _inject(
        self,
        injector: SynBTInjector,
        data: Tensor,
        target: Tensor,
        keys: list[str],
        generator: torch.Generator,
    ) -> Injected:
        """Inject into the samples that are drawn, then pass on the turns of those without room."""
        usable = [k for k, key in enumerate(keys) if self.references.get(key, True) is not None]
        done = Injected(data, target, ((),) * len(keys), lambda: (None,) * len(keys))
        done, counts = self._paint(injector, done, usable, keys, generator)
        results = [result for result in done.results if result is not None]
        why = Counter(in_short(str(result.reason)) for result in results if not result.painted)
        if counts[REAL_TUMOR]:
            why[REAL_TUMOR] += counts[REAL_TUMOR]
        drawn = len(usable) - counts[NOT_DRAWN]
        if counts[_AROUND]:
            why[OUT_OF_MEMORY] += drawn
        # The others draw, too: the share that was asked for is one of all samples.
        chances = torch.rand(len(keys) - len(usable), generator=generator)
        if lost := int((chances < injector.settings.probability).sum()):
            why[NO_REFERENCES] += lost
        self.counts.take(counts)
        self.counts.drawn += drawn + lost
        self.counts.why += why
        self._turns_left += sum(n for reason, n in why.items() if reason not in _NO_TURN)
        if not counts[_AROUND]:
            done = self._pass_on(injector, done, usable, keys, generator)
        self.counts.painted += sum(done.painted)
        return done

    def _pass_on(
        self,
        injector: SynBTInjector,
        done: Injected,
        usable: list[int],
        keys: list[str],
        generator: torch.Generator,
    ) -> Injected:
        """Give the turns of samples without room to samples that were not drawn."""
        spare = [k for k in usable if done.results[k] is None][: self._turns_left]
        if not spare:
            return done
        always = dataclasses.replace(injector.settings, probability=1.0)
        second = SynBTInjector(always, injector.synthesizer(self.device))
        done, counts = self._paint(second, done, spare, keys, generator)
        took = sum(done.painted[k] for k in spare)
        self.counts.take(counts)
        self.counts.passed_on += took
        self._turns_left -= took
        return done

    def _paint(
        self,
        injector: SynBTInjector,
        done: Injected,
        which: list[int],
        keys: list[str],
        generator: torch.Generator,
    ) -> tuple[Injected, Counter[str]]:
        """Hand some samples of a batch to an injector.

        Returns:
            The batch, in which the other samples are as they were, and the injector's counts.
        """
        if not which:
            return done, Counter()
        everyone = len(which) == len(keys)
        images, labels = done.images, done.labels
        try:
            part = injector(
                images if everyone else images[which],
                labels if everyone else labels[which],
                self.spacing,
                generator=generator,
                references=[self.references.get(keys[k]) for k in which],
            )
        except (RuntimeError, MemoryError) as error:
            # What fails while painting is counted by the injector; this is around it.
            if not is_out_of_memory(error):
                raise
            return done, _popped(injector.counts) + Counter({_AROUND: 1})
        results = list(done.results)
        for k, result in zip(which, part.results, strict=True):
            results[k] = result
        if everyone:
            images, labels = part.images, part.labels
        elif any(part.painted):
            images, labels = images.clone(), labels.clone()
            images[which], labels[which] = part.images, part.labels
        return Injected(images, labels, part.fates, lambda: tuple(results)), _popped(
            injector.counts
        )

    def _paint_plans(
        self,
        injector: SynBTInjector,
        data: Tensor,
        target: Tensor,
        keys: list[str],
        packed: Tensor,
    ) -> Injected:
        """Paint what workers decided; what becomes of it is read once an epoch."""
        plans = []
        for key, row in zip(keys, packed, strict=True):
            one = unpack(row, partial(self._shape_of, injector, target.shape))
            if self.references.get(key, True) is None:
                lost = one.why_not != NOT_DRAWN and not one.passed_on
                one = SamplePlans(why_not=NO_REFERENCES if lost else NOT_DRAWN)
            plans.append(one)
        try:
            done = injector(
                data,
                target,
                self.spacing,
                references=[self.references.get(key) for key in keys],
                plans=plans,
            )
        except (RuntimeError, MemoryError) as error:
            # What fails while painting is counted by the injector; this is around it.
            if not is_out_of_memory(error):
                raise
            plans = [replace(p, things=(), why_not=p.why_not or OUT_OF_MEMORY) for p in plans]
            done = Injected(data, target, ((),) * len(keys), lambda: (None,) * len(keys))
        for one, fates in zip(plans, done.fates, strict=True):
            self._pending.append(_Sample(one.why_not, one.passed_on, fates))
        return done

    def _shape_of(
        self, injector: SynBTInjector, shape: tuple[int, ...], recipe: TumorRecipe
    ) -> LabelShape:
        """A shape for which the packed plans had no room."""
        d, h, w = shape[-3:]
        synthesizer = injector.synthesizer(self.device)
        sites = SiteMap.nowhere((1, 1, 1), (d, h, w), self.spacing, "")
        further = len(injector.settings.scans) - 2
        ground = Ground((d, h, w), self.spacing, lambda _: sites, further=further)
        margin = synthesizer.texture.hole_margin_mm
        return plan_of_recipe(ground, recipe, synthesizer.bank, margin).label

    def _read_pending(self) -> None:
        """Count what became of what workers decided. Waits for the device."""
        for sample in self._pending:
            drawn = sample.why_not != NOT_DRAWN and not sample.passed_on
            reason = sample.reason
            self.counts.drawn += drawn
            self.counts.painted += reason is None
            self.counts.passed_on += sample.passed_on and reason is None
            if drawn and reason is not None:
                self.counts.why[in_short(reason)] += 1
        if self._pending and self.injector is not None:
            self.counts.take(_popped(self.injector.counts))
        self._pending.clear()

    def pop_counts(self) -> EpochCounts:
        """What became of the samples since the last call; turns that are left are forgotten."""
        self._read_pending()
        counts, self.counts, self._turns_left = self.counts, EpochCounts(), 0
        return counts

    def pop_milliseconds(self) -> dict[str, float]:
        """Mean time an iteration since the last call, in ms.

        Of the augmentation on a GPU it is what asking for it takes: the GPU works on meanwhile.
        """
        mean = {k: 1000 * s / max(self.iterations, 1) for k, s in self.seconds.items()}
        self.iterations = 0
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        return mean


def _popped(counts: Counter[str]) -> Counter[str]:
    taken = Counter(counts)
    counts.clear()
    return taken


@dataclasses.dataclass(frozen=True)
class _Sample:
    """A sample that a worker decided for."""

    why_not: str | None
    passed_on: bool
    fates: tuple[Fate | LeftOut, ...]

    @property
    def reason(self) -> str | None:
        """Why nothing was painted into it; None where something was."""
        if self.why_not is not None:
            return self.why_not
        reasons = [one.reason for one in self.fates]
        return None if None in reasons else next(iter(reasons), "nothing was asked for")


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
            after=result.image[:2].cpu().numpy(),
            tumor=result.tumor.cpu().numpy(),
            support=result.support.cpu().numpy(),
            spacing=spacing,
        )
        number = len(list(folder.glob("*.png"))) + 1
        preview(shown).save(folder / f"{number:02d}-{keys[k]}.png")
        saved += 1
    return saved
