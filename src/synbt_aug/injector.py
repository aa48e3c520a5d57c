"""Tumors for a whole batch, in any training loop.

    injector = SynBTInjector(InjectionSettings(probability=0.5))
    injected = injector(images, labels, spacing=(1.0, 1.0, 1.0), generator=generator)

A failure inside (out of memory, NaN, nowhere to go) costs that injection only: the real sample
stays as it is, and the failure is counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.runner import FAILURES, Series, failed
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.shared_synthesizer import check_files, settings_of_recipe, shared_synthesizer
from synbt_aug.signal.intensity import IntensityReference, references_of
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.placement import draw_seed
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Spacing, Synthesis, check_type, unchanged

logger = logging.getLogger(__name__)

#: Counts of samples that nothing is tried in: by chance, and by `only_tumor_free`.
NOT_DRAWN = "not drawn"
REAL_TUMOR = "holds a real tumor"


@dataclass(frozen=True)
class Injected:
    """A batch after injection.

    Args:
        images: Shape `(B, C, D, H, W)`, dtype and device of the input; a copy where something
            was painted.
        labels: Shape, dtype and device of the input.
        results: One synthesis a sample, with a reason where nothing could be painted; None where
            none was asked for.
    """

    images: Tensor
    labels: Tensor
    results: tuple[Synthesis | None, ...]

    @property
    def painted(self) -> tuple[bool, ...]:
        """Which samples hold something synthetic."""
        return tuple(r is not None and r.painted for r in self.results)


class SynBTInjector:
    """Injects synthetic tumors into batches.

    Args:
        settings: What, and how often.
        synthesizer: None takes the process's shared one for these settings, at the first
            injection; then the injector pickles without any network.

    Raises:
        SynBTError: If weights, a bank or a tissue segmenter that the settings name are not there.

    Attributes:
        counts: Injections so far: "injected", "null", further lesions of multifocal groups
            ("satellite", "satellite left out"), "distractor", and a line for each reason of
            failure; samples that nothing was tried in: "not drawn", "holds a real tumor".
    """

    def __init__(
        self,
        settings: InjectionSettings = InjectionSettings(),
        synthesizer: TumorSynthesizer | None = None,
    ) -> None:
        if synthesizer is None:
            check_files(settings)
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self._given = synthesizer
        self._own = torch.Generator().manual_seed(settings.seed)

    def synthesizer(self, device: torch.device) -> TumorSynthesizer:
        """What paints; loaded when first asked for, once a process."""
        return self._given or shared_synthesizer(self.settings, device)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_own": self._own.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _own=torch.Generator())
        self._own.set_state(state["_own"])

    @torch.no_grad()
    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        spacing: Spacing = (1.0, 1.0, 1.0),
        *,
        generator: torch.Generator | None = None,
        references: Sequence[IntensityReference | None] | Tensor | None = None,
        valid: Tensor | None = None,
        roi: Tensor | None = None,
    ) -> Injected:
        """Inject into a batch.

        Args:
            images: Shape `(B, C, D, H, W)`, C at least 2, any scale and device.
            labels: Shape `(B, 1, D, H, W)`; `tumor_label` marks tumors, negative values mark
                voxels without signal.
            spacing: Voxel size, in mm.
            generator: On the CPU; None continues the injector's own, which is the same in every
                worker of a loader: pass one a worker there.
            references: Of each case, where the batch holds crops: one a sample, or a loader's
                tensor of shape `(B, 2, 2)` (`reference_of`). None measures the crops.
            valid: Voxels that carry signal, boolean, shape `(B, D, H, W)`.
            roi: Where tumors may go, in place of what the tissues and `roi_labels` say: boolean,
                or weights in [0, 1], shape `(B, D, H, W)`.

        Returns:
            The batch, with tumors.

        Raises:
            SynBTError: If the shapes or channels do not fit. What goes wrong while painting is
                counted, not raised.
        """
        if references is not None:
            references = references_of(references)
        self._check(images, labels, valid, references, roi)
        with plain_torch():
            results = self._results(
                images, labels, spacing, generator or self._own, references, valid, roi
            )
        return self._write(images, labels, results)

    @torch.no_grad()
    def replay(
        self,
        images: Tensor,
        labels: Tensor,
        recipes: Sequence[Mapping[str, Any] | None],
        spacing: Spacing = (1.0, 1.0, 1.0),
        *,
        valid: Tensor | None = None,
    ) -> Injected:
        """Paint again what was painted before.

        Args:
            images: As they were before, as for a call.
            labels: Likewise.
            recipes: As `Synthesis.recipe`, or read from its JSON; one a sample, None leaves it.
                They bring intensity references, steps, guidance and precision along.
            spacing: Voxel size, in mm.
            valid: As for a call.

        Returns:
            The batch, with the same tumors.

        Raises:
            SynBTError: If shapes, channels or the number of recipes do not fit, or a recipe was
                made with other weights or for another scan.
        """
        self._check(images, labels, valid, None, None)
        if len(recipes) != len(images):
            raise SynBTError(
                f"recipes needs one entry a sample, {len(images)}, got {len(recipes)}."
            )
        results: list[Synthesis | None] = [None] * len(images)
        for k, recipe in enumerate(recipes):
            if recipe is None:
                continue
            settings = settings_of_recipe(recipe, self.settings)
            synthesizer = self._given or shared_synthesizer(settings, images.device)
            seen = None if valid is None else valid[k]
            with plain_torch():
                volume = self._volume(images[k], labels[k], spacing, seen, None)
                results[k] = synthesizer.replay(volume, recipe)
            self.counts["replayed"] += 1
        return self._write(images, labels, results)

    def _results(
        self,
        images: Tensor,
        labels: Tensor,
        spacing: Spacing,
        generator: torch.Generator,
        references: Sequence[IntensityReference | None] | None,
        valid: Tensor | None,
        roi: Tensor | None,
    ) -> list[Synthesis | None]:
        """What becomes of each sample; None where nothing was tried."""
        running: dict[int, Series] = {}
        seeds: dict[int, int] = {}
        results: list[Synthesis | None] = [None] * len(images)
        s = self.settings
        for k in range(len(images)):
            # Every sample draws the same numbers, whatever becomes of it: one sample's fate
            # does not change the next one's tumor.
            chance, null = torch.rand(2, generator=generator).tolist()
            seed = draw_seed(generator)
            if chance >= s.probability:
                self.counts[NOT_DRAWN] += 1
                continue
            if s.only_tumor_free and bool((labels[k] == s.tumor_label).any()):
                self.counts[REAL_TUMOR] += 1
                continue
            host = self._host(images[k], labels[k], spacing, valid, references, roi, k)
            if isinstance(host, str):
                logger.debug("unusable sample, it stays as it is: %s", host)
                results[k] = unchanged(self._pair(images[k]), f"unusable sample: {host}")
                self.counts["unusable sample"] += 1
                continue
            own = torch.Generator().manual_seed(seed)
            seeds[k], running[k] = seed, Series(host, s.wishes(null, own), own)
        while now := {k: w for k, one in running.items() if (w := one.upcoming) is not None}:
            going = [running[k] for k in now]
            painted = self._paint(
                [one.host for one in going], list(now.values()), [one.generator for one in going]
            )
            for one, wish, result in zip(going, now.values(), painted, strict=True):
                self.counts[_outcome(wish, result)] += 1
                one.record(result, self.synthesizer(one.host.volume.image.device).bank)
        for k, one in running.items():
            synthesizer = self.synthesizer(one.host.volume.image.device)
            results[k] = synthesizer.together(one.first, one.results, seeds[k])
        return results

    def _paint(
        self, hosts: list[Host], wishes: list[Wish], generators: list[torch.Generator]
    ) -> list[Synthesis]:
        """Paint all at once; where that fails, one by one, so that one failure costs one."""
        states = [g.get_state() for g in generators]
        synthesizer = self.synthesizer(hosts[0].volume.image.device)
        try:
            return synthesizer.paint(hosts, wishes, generators)
        except FAILURES as error:
            if len(hosts) == 1:
                result = failed(hosts[0], error)
                logger.warning(
                    "SynBT: an injection failed, the real sample stays: %s", result.reason
                )
                return [result]
            logger.debug("a batch of %d failed, going on one by one: %s", len(hosts), error)
        results = []
        for host, wish, generator, state in zip(hosts, wishes, generators, states, strict=True):
            generator.set_state(state)
            results += self._paint([host], [wish], [generator])
        return results

    def _host(
        self,
        image: Tensor,
        label: Tensor,
        spacing: Spacing,
        valid: Tensor | None,
        references: Sequence[IntensityReference | None] | None,
        roi: Tensor | None,
        k: int,
    ) -> Host | str:
        try:
            seen, where = (None if mask is None else mask[k] for mask in (valid, roi))
            volume = self._volume(image, label, spacing, seen, where)
            return Host.of(volume, None if references is None else references[k])
        except SynBTError as error:
            return str(error)

    def _volume(
        self,
        image: Tensor,
        label: Tensor,
        spacing: Spacing,
        valid: Tensor | None,
        roi: Tensor | None,
    ) -> BreastVolume:
        s = self.settings
        # A mask of booleans is the label 1; torch compares it with no set of numbers.
        label = label.to(torch.uint8) if label.dtype == torch.bool else label
        open_labels = torch.tensor((0, s.tumor_label, *s.open_labels), device=label.device)
        if roi is None and s.roi_labels:
            roi = torch.isin(label[0], torch.tensor(s.roi_labels, device=label.device))
        seen = label[0] >= 0
        if valid is not None:
            seen = seen & valid.to(device=seen.device, dtype=torch.bool)
        return BreastVolume(
            self._pair(image),
            spacing,
            tumor=label[0] == s.tumor_label,
            forbidden=torch.isin(label[0], open_labels, invert=True),
            valid=None if bool(seen.all()) else seen,
            roi=roi,
        )

    def _pair(self, image: Tensor) -> Tensor:
        return torch.stack([image[self.settings.pre_channel], image[self.settings.post_channel]])

    def _check(
        self,
        images: Tensor,
        labels: Tensor,
        valid: Tensor | None,
        references: Sequence[IntensityReference | None] | None,
        roi: Tensor | None,
    ) -> None:
        s = self.settings
        if images.ndim != 5 or images.shape[1] <= max(s.pre_channel, s.post_channel):
            raise SynBTError(
                f"SynBTInjector needs images of shape (B, C, D, H, W) with channels "
                f"{s.pre_channel} (pre) and {s.post_channel} (post), got {tuple(images.shape)}. "
                f"Set pre_channel and post_channel."
            )
        check_type(images, "SynBTInjector")
        expected = (images.shape[0], 1, *images.shape[2:])
        if tuple(labels.shape) != expected:
            raise SynBTError(
                f"SynBTInjector needs labels of shape {expected}, got {tuple(labels.shape)}."
            )
        check_label_type(labels, s.tumor_label, "SynBTInjector")
        expected = (images.shape[0], *images.shape[2:])
        for name, mask in (("valid", valid), ("roi", roi)):
            if mask is not None and tuple(mask.shape) != expected:
                raise SynBTError(f"{name} needs shape {expected}, got {tuple(mask.shape)}.")
        if references is not None and len(references) != len(images):
            raise SynBTError(
                f"references needs one entry a sample, {len(images)}, got {len(references)}."
            )

    def _write(
        self, images: Tensor, labels: Tensor, results: Sequence[Synthesis | None]
    ) -> Injected:
        s = self.settings
        done = [k for k, r in enumerate(results) if r is not None and r.painted]
        if done:
            images, labels = images.clone(), labels.clone()
        for k in done:
            result = results[k]
            assert result is not None
            images[k, s.pre_channel], images[k, s.post_channel] = result.image
            labels[k, 0][result.tumor.to(labels.device)] = s.tumor_label
        return Injected(images, labels, tuple(results))


def check_label_type(labels: Tensor, tumor_label: int, who: str) -> None:
    """See that labels can hold a tumor's value.

    Args:
        labels: Of any shape.
        tumor_label: What a tumor is to be.
        who: What the user called.

    Raises:
        SynBTError: If they cannot, or torch does not calculate with their type.
    """
    if labels.dtype != torch.bool:
        check_type(labels, who, "labels")
    if torch.tensor(tumor_label).to(labels.dtype).item() != tumor_label:
        raise SynBTError(
            f"{who} needs labels that can hold tumor_label={tumor_label}, got {labels.dtype}. "
            f"Convert them with labels.to(torch.int16), or set another tumor_label."
        )


def _outcome(wish: Wish, result: Synthesis) -> str:
    """The counter's name for a result; figures in a reason are left out."""
    if wish.satellite is not None:
        return "satellite" if result.painted else "satellite left out"
    if result.painted:
        return "injected" if wish.kind == "tumor" else wish.kind
    return str(result.reason).split(":")[0]
