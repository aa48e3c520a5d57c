"""Where synthetic tumors come into a segmenter's training: which, how often, in place of what."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from synbt_aug.data.bank import bank_of
from synbt_aug.data.cohort import TrainingCase
from synbt_aug.data.layout import shorten
from synbt_aug.data.leaks import leaks
from synbt_aug.errors import SynBTError
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import IntensityReference, inverse_knee
from synbt_aug.support.progress import each
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import TEXTURES
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.train.crops import Crop
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.weights import Weights, WithoutNetworks

logger = logging.getLogger(__name__)

MODES = ("replace", "add")
#: What maps linear intensities, as `Painter` hands them over, to themselves.
LINEAR = IntensityReference((-1.0, -1.0), (1.0, 1.0))


@dataclass(frozen=True)
class SyntheticPlan:
    """Which synthetic tumors a training sees.

    A step has `batch` real samples. With `mode="replace"` each of them is painted into with the
    given probability. With `mode="add"` (the paper's "supplementary dataset") `batch` further
    samples join them in the same step, and those are painted into; where nothing is to be painted
    they are further real samples. So at equal steps and equal mode every row sees the same number
    of samples and, seed by seed, the same crops, turned and scaled alike: rows differ in the paint
    alone. Batch 1 of real samples only, as the paper's plain rows may have had, is "replace"
    without a texture.

    Args:
        texture: "none", or what paints: "diffusion", "syntumor", "copy_paste".
        mode: "replace" or "add".
        probability: That a candidate is painted into; None: .5 of those to be replaced, 1 of
            those added.
        injection: Everything else about the tumors; its texture and probability are not read, nor
            its channels and labels: crops have pre, post and tumors, whatever a dataset has.

    Raises:
        SynBTError: If a name is unknown or the probability out of range.
    """

    texture: str = "none"
    mode: str = "replace"
    probability: float | None = None
    injection: InjectionSettings = field(default_factory=InjectionSettings)

    def __post_init__(self) -> None:
        names = ("none", *TEXTURES)
        if self.texture not in names:
            raise SynBTError(f"--synthetic takes one of {', '.join(names)}, got {self.texture!r}.")
        if self.mode not in MODES:
            raise SynBTError(f"--mode takes replace or add, got {self.mode!r}.")
        if not 0 <= self.chance <= 1:
            raise SynBTError(f"--probability takes a number from 0 to 1, got {self.probability}.")

    @property
    def chance(self) -> float:
        """Of a candidate to be painted into."""
        if self.probability is not None:
            return self.probability
        return 0.5 if self.mode == "replace" else 1.0

    @property
    def paints(self) -> bool:
        """Whether anything synthetic can come."""
        return self.texture != "none" and self.chance > 0

    @property
    def settings(self) -> InjectionSettings:
        """Of the injector."""
        return dataclasses.replace(
            self.injection,
            texture=self.texture if self.texture != "none" else self.injection.texture,
            probability=self.chance,
            pre_channel=0,
            post_channel=1,
            tumor_label=1,
            paint_over=(),
            roi_labels=(),
        )

    def samples(self, batch: int) -> int:
        """Samples of a step with so many real ones."""
        return batch if self.mode == "replace" else 2 * batch

    def is_candidate(self, index: int, batch: int) -> bool:
        """Whether the sample of this index within a step may be painted into."""
        return self.mode == "replace" or index >= batch

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: the settings in force."""
        plain = {"texture": self.texture, "mode": self.mode, "probability": self.chance}
        return {**plain, **({"injection": self.settings.to_dict()} if self.paints else {})}


#: Nothing synthetic, and nothing added.
REAL_ONLY = SyntheticPlan()


class Painter:
    """Paints into crops; keeps no gradient and no randomness of its own.

    Args:
        plan: What, and how often.
        synthesizer: Loaded weights and bank.
    """

    def __init__(self, plan: SyntheticPlan, synthesizer: TumorSynthesizer) -> None:
        self.synthesizer = synthesizer
        self.injector = SynBTInjector(plan.settings, synthesizer)

    def __call__(self, crop: Crop, *, generator: torch.Generator) -> tuple[Crop, bool]:
        """Paint, or not, as chance and room have it.

        Args:
            crop: At 1 mm, with **linear** intensities in the place of `q`.
            generator: CPU generator.

        Returns:
            The crop, its new tumors numbered 255, and whether something was painted.
        """
        labels = (crop.tumor > 0).to(torch.uint8)[None, None]
        done = self.injector(
            crop.q[None],
            labels,
            generator=generator,
            references=[LINEAR],
            valid=crop.valid[None],
        )
        new = (done.labels[0, 0] > 0) & (crop.tumor == 0)
        return Crop(done.images[0], crop.valid, crop.tumor.masked_fill(new, 255)), done.painted[0]

    def facts(self) -> dict[str, Any]:
        """What paints: digests of weights and bank."""
        weights, bank = self.synthesizer.weights, self.synthesizer.bank
        return {
            "weights": weights.name,
            "weights_digest": weights.digest,
            "bank_digest": bank.digest,
            "templates": len(bank),
        }


def linear(crop: Crop) -> Crop:
    """A crop with linear intensities in the place of mapped ones."""
    return crop._replace(q=inverse_knee(crop.q))


def make_painter(
    plan: SyntheticPlan,
    cases: Sequence[TrainingCase],
    *,
    held_out: Iterable[str] = (),
    bank: TumorBank | str | Path | None = None,
    device: torch.device | str = "cpu",
) -> Painter | None:
    """Load what a plan paints with.

    Args:
        plan: What is painted; its injection settings name the weights.
        cases: The training cases; unless `bank` says otherwise, their tumors are the bank.
        held_out: Names of validation and test cases.
        bank: In place of that: a bank, its file, or "shipped".
        device: Of the networks.

    Returns:
        None where nothing is painted.

    Raises:
        SynBTError: If weights or bank cannot be loaded, or saw a held-out case.
    """
    if not plan.paints:
        return None
    settings = plan.settings
    chosen = bank if bank is not None else settings.bank
    synthesizer = TumorSynthesizer(
        settings.weights,
        bank=chosen
        or bank_of(
            each("Tumor bank", cases, logger.info),
            voxels=plan.texture == "copy_paste",
            segmenter=load_segmenter(settings.tissue),
        ),
        texture=settings.texture,
        device=device if settings.generator_device == "auto" else settings.generator_device,
        steps=settings.steps,
        guidance=settings.guidance,
        precision=settings.precision,
        tissue=settings.tissue,
    )
    refuse_leaks(synthesizer.weights, synthesizer.bank, held_out)
    return Painter(plan, synthesizer)


def refuse_leaks(
    weights: Weights | WithoutNetworks, bank: TumorBank, held_out: Iterable[str]
) -> None:
    """See that nothing of the held-out cases is in the generator.

    Args:
        weights: Their card and their own bank list the cases they were trained on; without their
            networks nothing of those paints.
        bank: Its templates tell theirs.
        held_out: Of validation and test.

    Raises:
        SynBTError: If some are, saying which.
    """
    for what, leaked in leaks(weights, bank, held_out):
        raise SynBTError(
            f"{what} {len(leaked)} of the held-out cases ({shorten(leaked)}): their scores "
            f"would be no scores. Train the generator on the training cases alone "
            f"(`synbt train ...`), and leave --bank out or build it of them."
        )
