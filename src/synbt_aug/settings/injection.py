"""What to inject, how often: one frozen settings object, the same names in every host."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from synbt_aug.errors import SynBTError
from synbt_aug.networks.precision import AUTO, check_precision
from synbt_aug.settings.reading import from_section, from_variables, type_setting
from synbt_aug.settings.series import check_series
from synbt_aug.support.number import MAX_LABEL, MAX_SEED, check_number, check_whole
from synbt_aug.support.ranges import Range, WholeRange, check_whole_range
from synbt_aug.texture.names import (
    DEFAULT_STEPS,
    MAX_GUIDANCE,
    MAX_STEPS,
    check_texture,
)
from synbt_aug.tumor.appearance import LIMITS
from synbt_aug.tumor.request import AppearanceRequest, Request
from synbt_aug.tumor.wish import Wish

if TYPE_CHECKING:
    from typing_extensions import Self


#: What may be done where channels that would contradict the label are not painted.
UNPAINTED_CHANNELS = ("refuse", "allow")


@dataclass(frozen=True)
class InjectionSettings:
    """What to inject, how often; the same names in every host.

    Defaults give way to a `"synbt"` section in dataset.json, and that to `SYNBT_*` variables:
    `InjectionSettings.gather`. A setting that takes a range takes one number, too: `20.0` or
    `(10.0, 30.0)`, in JSON `[10, 30]`, as a variable `10:30`. Each tumor draws its own number
    from the range, evenly, with the sample's seed; recipes keep what was drawn.

    Args:
        probability: Of injecting into a sample.
        tumors: How many a sample that is injected into; a range draws the number.
        multifocal: Probability that a tumor is a multifocal group: with further lesions in the
            same breast, as they lay to each other in the bank (in about 40 % of real cases).
        diameter_mm: Of every tumor, or a range, of which each size that the breast holds is
            equally likely; None draws from the cohort's sizes.
        enhancement, rim, heterogeneity, pre_contrast, category: Asked of every tumor; the numbers
            may be ranges. None: the template's.
        texture: What paints: "diffusion"; "syntumor", blurred noise; "copy_paste", the tumors of
            a bank with voxels.
        guidance: Strength of that wish; 1 is the plain prediction. Of "diffusion" alone, as the
            next and `precision`.
        steps: Of DDIM.
        weights: "shipped", a weights folder, or a name that `synbt adapt` gave.
        bank: A tumor bank file; "shipped" takes the weights' own, and so does None where the
            host has no bank of its own.
        tissue: What finds the tissues that decide where a tumor may go: "shipped", or a folder
            that `synbt train tissue` wrote.
        curve: How the tumors show in further phases: "washout", "plateau" or "persistent"; None
            draws it.
        pre_channel, post_channel: Which channels of the image are pre and post.
        post_channels: All post-contrast channels of the series in order of time, `post_channel`
            among them or before them: tumors follow their curve in the others. Empty: what the
            channels' names say.
        subtraction_channels: Differences of scans of the series, which are computed again where
            a tumor was painted. Empty: what the names say.
        unpainted_channels: What is done where further channels would contradict the label, as
            later post-contrast phases and subtractions do: "refuse", or "allow" to train on them
            all the same.
        tumor_label: Value that a synthetic tumor gets in the labels.
        paint_over: Other label values that a tumor may replace, such as breast tissue; the rest
            is left alone, with a margin.
        roi_labels: Label values that mark where tumors may go, in place of what the tissues say;
            a tumor may replace them. Empty: none do.
        only_tumor_free: Leave samples with a real tumor alone.
        only_free_side: Paint only into breasts without a real tumor.
        null_paint: Share of injections that repaint healthy tissue, without a label. Of
            "diffusion" alone: the others change nothing there, which is counted.
        distractors: Expected number of benign masses, nodes and vessel ends, without a label, in
            a sample that is injected into.
        precision: Of the networks: "fp32", "bf16" or "fp16"; "auto" takes bf16 where the device is
            fast at it and a check against float32 passes, else fp32.
        generator_device: Of the networks: "auto" takes the images' device.
        seed: For loops that pass no generator.

    Raises:
        SynBTError: If a value is out of range.
    """

    probability: float = 0.5
    tumors: int | WholeRange = 1
    multifocal: float = 0.0
    diameter_mm: float | Range | None = None
    enhancement: float | Range | None = None
    rim: float | Range | None = None
    heterogeneity: float | Range | None = None
    pre_contrast: float | Range | None = None
    category: str | None = None
    curve: str | None = None
    texture: str = "diffusion"
    guidance: float = 1.0
    steps: int = DEFAULT_STEPS
    weights: str = "shipped"
    bank: str | None = None
    tissue: str = "shipped"
    pre_channel: int = 0
    post_channel: int = 1
    post_channels: tuple[int, ...] = ()
    subtraction_channels: tuple[int, ...] = ()
    unpainted_channels: str = "refuse"
    tumor_label: int = 1
    paint_over: tuple[int, ...] = ()
    roi_labels: tuple[int, ...] = ()
    only_tumor_free: bool = False
    only_free_side: bool = False
    null_paint: float = 0.0
    distractors: float = 0.0
    precision: str = AUTO
    generator_device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_kinds()
        self._check_numbers()
        if self.pre_channel == self.post_channel:
            raise SynBTError(
                f"pre_channel and post_channel need two channels, got {self.pre_channel} for both."
            )
        check_series(
            self.pre_channel, self.post_channel, self.post_channels, self.subtraction_channels
        )
        if self.unpainted_channels not in UNPAINTED_CHANNELS:
            raise SynBTError(
                f"unpainted_channels needs one of {', '.join(map(repr, UNPAINTED_CHANNELS))}, got "
                f"{self.unpainted_channels!r}."
            )
        check_texture(self.texture)
        check_precision(self.precision)
        if self.generator_device != "auto":
            try:
                torch.device(self.generator_device)
            except RuntimeError as error:
                raise SynBTError(
                    f"generator_device needs 'auto', or a device such as 'cpu' or 'cuda:1', got "
                    f"{self.generator_device!r}."
                ) from error
        if self.tumor_label in self.roi_labels:
            raise SynBTError(
                f"roi_labels marks where tumors may go, but {self.tumor_label} is tumor_label: "
                f"nothing is painted on tumors that are there. Leave it out."
            )
        request = self.request()
        for name in ("diameter_mm", "multifocal", "distractors"):
            object.__setattr__(self, name, getattr(request, name))
        for name in LIMITS:
            object.__setattr__(self, name, getattr(request.appearance, name))

    def _check_kinds(self) -> None:
        """See that words are words, and yes or no is one of the two."""
        for name in ("texture", "precision", "generator_device"):
            if not isinstance(getattr(self, name), str):
                raise SynBTError(f"{name} needs a word, got {getattr(self, name)!r}.")
        for name in ("weights", "tissue"):
            if not isinstance(getattr(self, name), (str, Path)):
                raise SynBTError(
                    f"{name} needs 'shipped' or a folder, got {getattr(self, name)!r}."
                )
        if not isinstance(self.bank, (str, Path, type(None))):
            raise SynBTError(f"bank needs 'shipped', a file or None, got {self.bank!r}.")
        for name in ("only_tumor_free", "only_free_side"):
            if not isinstance(getattr(self, name), bool):
                raise SynBTError(f"{name} needs True or False, got {getattr(self, name)!r}.")

    def _check_numbers(self) -> None:
        """Hold every number against its range; whole ones become int."""
        limits = {"probability": 1.0, "null_paint": 1.0, "guidance": MAX_GUIDANCE}
        for name, limit in limits.items():
            object.__setattr__(self, name, check_number(name, getattr(self, name), 0, limit))
        object.__setattr__(self, "tumors", check_whole_range("tumors", self.tumors, 1, 8))
        whole: dict[str, tuple[int, int | None]] = {
            "steps": (1, MAX_STEPS),
            "tumor_label": (1, MAX_LABEL),
        }
        whole |= {"pre_channel": (0, None), "post_channel": (0, None), "seed": (0, MAX_SEED)}
        for name, (least, most) in whole.items():
            object.__setattr__(self, name, check_whole(name, getattr(self, name), least, most))
        lists = {"paint_over": "label values", "roi_labels": "label values"}
        lists |= {"post_channels": "channels", "subtraction_channels": "channels"}
        for name, what in lists.items():
            given = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise SynBTError(f"{name} needs {what}, such as (2, 3), got {given!r}.")
            # Negative labels mark voxels without signal.
            values = tuple(check_whole(f"Each value of {name}", v, 0, MAX_LABEL) for v in given)
            object.__setattr__(self, name, values)

    def request(self, kind: str = "tumor") -> Request:
        """What is asked of one sample.

        Args:
            kind: "tumor", or "null" for a null paint, of which no appearance is asked.
        """
        look = AppearanceRequest(
            enhancement=self.enhancement,
            heterogeneity=self.heterogeneity,
            rim=self.rim,
            pre_contrast=self.pre_contrast,
            category=self.category,
        )
        return Request(
            kind,
            self.tumors,
            self.diameter_mm,
            look if kind == "tumor" else AppearanceRequest(),
            self.multifocal,
            self.distractors,
            self.only_free_side,
            self.curve,
        )

    def wishes(self, null: float, generator: torch.Generator) -> list[Wish]:
        """One sample's injections.

        Args:
            null: In [0, 1): decides whether they are null paints.
            generator: The sample's own; ranges, multifocal groups and distractors draw from it.
        """
        return self.request("null" if null < self.null_paint else "tumor").draw(generator)

    @property
    def scans(self) -> tuple[int, ...]:
        """Channels of pre, the painted post, and further post-contrast scans in order of time."""
        others = (c for c in self.post_channels if c != self.post_channel)
        return (self.pre_channel, self.post_channel, *others)

    @property
    def earlier(self) -> int:
        """How many of the further scans come before the painted one."""
        posts = self.post_channels
        return posts.index(self.post_channel) if self.post_channel in posts else 0

    @property
    def open_labels(self) -> tuple[int, ...]:
        """Label values that a tumor may replace, besides 0."""
        return (*self.paint_over, *self.roi_labels)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def typed(self) -> dict[str, str]:
        """Each setting as one types it as a variable, `10:30` for a range; not those of None."""
        kinds = {f.name: str(f.type) for f in fields(self)}
        values = {name: getattr(self, name) for name in kinds}
        return {k: type_setting(v, kinds[k]) for k, v in values.items() if v is not None}

    @classmethod
    def gather(
        cls,
        section: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Defaults < a `"synbt"` section < `SYNBT_*` variables.

        Args:
            section: Of dataset.json.
            environment: In place of `os.environ`.

        Raises:
            SynBTError: If a name is unknown or a value cannot be read.
        """
        annotations = {f.name: str(f.type) for f in fields(cls)}
        values = from_section(section or {}, annotations)
        variables = os.environ if environment is None else environment
        return cls(**(values | from_variables(variables, annotations)))
