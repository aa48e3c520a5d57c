"""Tumors for a whole batch, in any training loop.

    injector = SynBTInjector(InjectionSettings(probability=0.5))
    injected = injector(images, labels, spacing=(1.0, 1.0, 1.0), generator=generator)

A failure inside (out of memory, NaN, nowhere to go) costs that injection only: the real sample
stays as it is, and the failure is counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from synbt_aug.batch import Batch
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import LeftOut
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.runner import Fate, Series, run
from synbt_aug.sample_plans import (
    NOT_DRAWN,
    REAL_TUMOR,
    UNUSABLE,
    Draw,
    SamplePlans,
)
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.shared_synthesizer import check_files, settings_of_recipe, shared_synthesizer
from synbt_aug.signal.intensity import IntensityReference, references_of
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tissue.site_map import SiteMap
from synbt_aug.volume import Spacing, Synthesis, unchanged

logger = logging.getLogger(__name__)

#: Things whose verdict may lie on a device unread, for who never asks for the counts.
_MOST_UNCOUNTED = 4096


@dataclass(frozen=True)
class Injected:
    """A batch after injection.

    Args:
        images: Shape `(B, C, D, H, W)`, dtype and device of the input; a copy where something
            was painted.
        labels: Shape, dtype and device of the input.
        fates: What became of the things that were decided for each sample, without images.
        find_results: Tells what became of each sample.
    """

    images: Tensor
    labels: Tensor
    fates: tuple[tuple[Fate | LeftOut, ...], ...] = field(repr=False, compare=False)
    find_results: Callable[[], tuple[Synthesis | None, ...]] = field(repr=False, compare=False)

    @cached_property
    def results(self) -> tuple[Synthesis | None, ...]:
        """What became of each sample; None where nothing was asked for.

        Read from the device when first asked for, as training does not.
        """
        return self.find_results()

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
        self._counts: Counter[str] = Counter()
        self._uncounted: list[Fate | LeftOut] = []
        self._given = synthesizer
        self._own = torch.Generator().manual_seed(settings.seed)

    @property
    def counts(self) -> Counter[str]:
        """What became of all samples so far; what was painted since is read from its device."""
        self._read_uncounted()
        return self._counts

    def _read_uncounted(self) -> None:
        for one in self._uncounted:
            if (name := outcome(one)) is not None:
                self._counts[name] += 1
        self._uncounted.clear()

    def synthesizer(self, device: torch.device) -> TumorSynthesizer:
        """What paints; loaded when first asked for, once a process."""
        return self._given or shared_synthesizer(self.settings, device)

    def __getstate__(self) -> dict[str, Any]:
        counts = self.counts
        return {**self.__dict__, "_counts": counts, "_own": self._own.get_state()}

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
        plans: Sequence[SamplePlans] | None = None,
        sites: Sequence[SiteMap | None] | None = None,
    ) -> Injected:
        """Inject into a batch.

        Args:
            images: Shape `(B, C, D, H, W)`, C at least 2, any scale and device. Painted are the
                channels of `settings.scans`; `settings.subtraction_channels` are computed again,
                and all others stay.
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
            plans: What was decided for each sample beforehand, as by a loader's worker. Nothing
                is drawn then, each thing is tried once, and a GPU is not waited for: the values
                of `images` are not looked at, and where the references are given nothing is read
                from the device until `results` or `counts` are. None decides here.
            sites: Where tumors may go, one a sample, as looked up in the map of its whole case,
                in place of the tissues of what is in view; None: not known.

        Returns:
            The batch, with tumors.

        Raises:
            SynBTError: If the shapes or channels do not fit. What goes wrong while painting is
                counted, not raised.
        """
        if references is not None:
            references = references_of(references)
        batch = Batch(self.settings, images, labels, spacing, references, valid, roi)
        if plans is not None and len(plans) != len(images):
            raise SynBTError(f"plans needs one entry a sample, {len(images)}, got {len(plans)}.")
        if sites is not None and len(sites) != len(images):
            raise SynBTError(f"sites needs one entry a sample, {len(images)}, got {len(sites)}.")
        with plain_torch((images.device,)):
            if plans is None:
                hosts, plans = self._decided(batch, generator or self._own, sites)
                attempts = True
            else:
                hosts = {k: batch.as_it_is(k) for k, one in enumerate(plans) if one.plans}
                attempts = False
        running = {k: Series(host, plans[k].things) for k, host in hosts.items()}
        if running:
            synthesizer = self.synthesizer(images.device)
            with plain_torch((images.device, synthesizer.device)):
                run(synthesizer.painter, list(running.values()), attempts=attempts)
        self._count(plans, running)
        if attempts or len(self._uncounted) > _MOST_UNCOUNTED:
            # Where things are tried again their verdicts were waited for already.
            self._read_uncounted()
        return self._injected(batch, plans, running)

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
        batch = Batch(self.settings, images, labels, spacing, valid=valid)
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
            with plain_torch():
                results[k] = synthesizer.replay(batch.volume(k), recipe)
            self._counts["replayed"] += 1
        painted = {k: r for k, r in enumerate(results) if r is not None and r.painted}
        if painted:
            images, labels = images.clone(), labels.clone()
        for k, result in painted.items():
            batch.put(k, result.image, images)
            labels[k, 0].masked_fill_(result.tumor.to(labels.device), self.settings.tumor_label)
        return Injected(images, labels, ((),) * len(images), lambda: tuple(results))

    def _decided(
        self,
        batch: Batch,
        generator: torch.Generator,
        sites: Sequence[SiteMap | None] | None,
    ) -> tuple[dict[int, Host], list[SamplePlans]]:
        """Draw and decide for each sample; hosts of those that something is tried in."""
        s = self.settings
        hosts: dict[int, Host] = {}
        plans: list[SamplePlans] = []
        for k, label in enumerate(batch.labels):
            drawn = Draw.of(generator)
            why_not = drawn.why_not(s, partial(_holds, label, s.tumor_label))
            if why_not is not None:
                plans.append(SamplePlans(why_not=why_not))
                continue
            try:
                host = Host.of(batch.volume(k), batch.reference(k))
            except SynBTError as error:
                logger.debug("unusable sample, it stays as it is: %s", error)
                plans.append(SamplePlans(why_not=f"{UNUSABLE}: {error}"))
                continue
            synthesizer = self.synthesizer(batch.images.device)
            margin = synthesizer.texture.hole_margin_mm
            ground = Ground.of(host, synthesizer.segmenter)
            if sites is not None and (found := sites[k]) is not None:
                ground = replace(ground, find_sites=partial(_known, found))
            hosts[k] = host
            fringe = synthesizer.texture.replaces
            plans.append(drawn.decide(s, ground, synthesizer.bank, margin, fringe=fringe))
        return hosts, plans

    def _count(self, plans: Sequence[SamplePlans], running: Mapping[int, Series]) -> None:
        for k, one in enumerate(plans):
            if one.why_not is not None:
                self._counts[in_short(one.why_not)] += 1
            elif k not in running:
                self._uncounted += _left_out(one)
        for series in running.values():
            self._uncounted += series.fates()
            for thing in series.done:
                if isinstance(thing, LeftOut) and thing.error is not None:
                    logger.warning(
                        "SynBT: an injection failed, the real sample stays: %s", thing.reason
                    )

    def _injected(
        self, batch: Batch, plans: Sequence[SamplePlans], running: Mapping[int, Series]
    ) -> Injected:
        images, labels = batch.images, batch.labels
        if any(series.tried for series in running.values()):
            images, labels = images.clone(), labels.clone()
        for k, series in running.items():
            batch.put(k, series.host.volume.image, images)
            for one in series.tried:
                one.mark.label_into(labels[k, 0], self.settings.tumor_label)

        def results() -> tuple[Synthesis | None, ...]:
            return tuple(self._result(batch, k, one, running) for k, one in enumerate(plans))

        fates = tuple(
            tuple(running[k].fates() if k in running else _left_out(one))
            for k, one in enumerate(plans)
        )
        return Injected(images, labels, fates, results)

    def _result(
        self, batch: Batch, k: int, one: SamplePlans, running: Mapping[int, Series]
    ) -> Synthesis | None:
        if one.why_not is not None:
            nothing_tried = in_short(one.why_not) in (NOT_DRAWN, REAL_TUMOR)
            return None if nothing_tried else unchanged(batch.scans(k), one.why_not)
        if k not in running:
            return unchanged(batch.scans(k), str(one.reason))
        series = running[k]
        synthesizer = self.synthesizer(batch.images.device)
        return synthesizer.together(series.first, series.results(), one.seed)


def _left_out(one: SamplePlans) -> list[LeftOut]:
    return [thing for thing in one.things if isinstance(thing, LeftOut)]


def _known(sites: SiteMap, only_free_side: bool) -> SiteMap:
    # Which breasts it leaves out was settled when it was found.
    return sites


def _holds(label: Tensor, value: int) -> bool:
    return bool((label == value).any())


def outcome(one: Fate | LeftOut) -> str | None:
    """The counter's name for what became of a thing; None for what was not due.

    Waits for the device where it was painted.
    """
    if isinstance(one, LeftOut):
        return "satellite left out" if one.satellite else in_short(one.reason)
    if not one.was_due:
        return None
    if one.satellite:
        return "satellite" if one.reason is None else "satellite left out"
    if (reason := one.reason) is not None:
        return in_short(reason)
    return "injected" if one.kind == "tumor" else one.kind


def in_short(reason: str) -> str:
    """A reason without its figures."""
    return reason.split(":")[0]
