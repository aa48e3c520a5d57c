"""What to inject, how often: one frozen settings object, the same names in every host."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from synbt_aug.errors import SynBTError
from synbt_aug.number import MAX_SEED, check_number, check_whole
from synbt_aug.painting import Wish
from synbt_aug.texture.diffusion import PRECISIONS
from synbt_aug.texture.names import (
    DEFAULT_STEPS,
    MAX_GUIDANCE,
    MAX_STEPS,
    check_texture,
)
from synbt_aug.tumor.appearance import CATEGORIES, Appearance
from synbt_aug.tumor.distractor import MAX_EXPECTED, distractor_count
from synbt_aug.tumor.multifocal import group_chance

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class InjectionSettings:
    """What to inject, how often; the same names in every host.

    Defaults give way to a `"synbt"` section in dataset.json, and that to `SYNBT_*` variables:
    `InjectionSettings.gather`.

    Args:
        probability: Of injecting into a sample.
        tumors: Most tumors a sample; one to so many, evenly.
        multifocal: Probability that a tumor is a multifocal group: with further lesions in the
            same breast, as they lay to each other in the bank (in about 40 % of real cases).
        diameter_mm: One size for all; None draws from the cohort's.
        enhancement, rim, heterogeneity, pre_contrast, category: Asked of every tumor; None: the
            template's.
        texture: What paints: "diffusion"; "syntumor", blurred noise; "copy_paste", the tumors of
            a bank with voxels.
        guidance: Strength of that wish; 1 is the plain prediction. Of "diffusion" alone, as the
            next and `precision`.
        steps: Of DDIM.
        weights: "shipped", or a weights folder.
        bank: A tumor bank file; "shipped" takes the weights' own, and so does None where the
            host has no bank of its own.
        tissue: What finds the tissues that decide where a tumor may go: "shipped", or a folder
            that `synbt train tissue` wrote.
        pre_channel, post_channel: Which channels of the image are pre and post.
        tumor_label: Value that a synthetic tumor gets in the labels.
        paint_over: Other label values that a tumor may replace, such as breast tissue; the rest
            is left alone, with a margin.
        roi_labels: Label values that mark where tumors may go, in place of what the tissues say;
            a tumor may replace them. Empty: none do.
        only_tumor_free: Leave samples with a real tumor alone.
        only_free_side: Paint only into breasts without a real tumor.
        null_paint: Share of injections that repaint healthy tissue, without a label.
        distractors: Expected number of benign masses, nodes and vessel ends, without a label, in
            a sample that is injected into.
        precision: Of the networks: "fp32", "bf16" or "fp16".
        generator_device: Of the networks: "auto" takes the images' device.
        seed: For loops that pass no generator.

    Raises:
        SynBTError: If a value is out of range.
    """

    probability: float = 0.5
    tumors: int = 1
    multifocal: float = 0.0
    diameter_mm: float | None = None
    enhancement: float | None = None
    rim: float | None = None
    heterogeneity: float | None = None
    pre_contrast: float | None = None
    category: str | None = None
    texture: str = "diffusion"
    guidance: float = 1.0
    steps: int = DEFAULT_STEPS
    weights: str = "shipped"
    bank: str | None = None
    tissue: str = "shipped"
    pre_channel: int = 0
    post_channel: int = 1
    tumor_label: int = 1
    paint_over: tuple[int, ...] = ()
    roi_labels: tuple[int, ...] = ()
    only_tumor_free: bool = False
    only_free_side: bool = False
    null_paint: float = 0.0
    distractors: float = 0.0
    precision: str = "fp32"
    generator_device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_kinds()
        self._check_numbers()
        if self.pre_channel == self.post_channel:
            raise SynBTError(
                f"pre_channel and post_channel need two channels, got {self.pre_channel} for both."
            )
        if self.category is not None and self.category not in CATEGORIES:
            raise SynBTError(f"category needs one of {CATEGORIES}, got {self.category!r}.")
        check_texture(self.texture)
        if self.precision not in PRECISIONS:
            raise SynBTError(
                f"precision needs one of {', '.join(map(repr, PRECISIONS))}, got "
                f"{self.precision!r}."
            )
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
        self.wish()

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
        for name in ("probability", "multifocal", "null_paint"):
            check_number(name, getattr(self, name), 0, 1)
        check_number("distractors", self.distractors, 0, MAX_EXPECTED)
        check_number("guidance", self.guidance, 0, MAX_GUIDANCE)
        whole = {"tumors": (1, 8), "steps": (1, MAX_STEPS), "tumor_label": (1, None)}
        whole |= {"pre_channel": (0, None), "post_channel": (0, None), "seed": (0, MAX_SEED)}
        for name, (least, most) in whole.items():
            object.__setattr__(self, name, check_whole(name, getattr(self, name), least, most))
        for name in ("paint_over", "roi_labels"):
            given = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise SynBTError(f"{name} needs label values, such as (2, 3), got {given!r}.")
            # Negative labels mark voxels without signal.
            values = tuple(check_whole(f"Each value of {name}", v, 0) for v in given)
            object.__setattr__(self, name, values)

    @property
    def appearance(self) -> Appearance:
        """What is asked of every tumor."""
        return Appearance(
            enhancement=self.enhancement,
            heterogeneity=self.heterogeneity,
            rim=self.rim,
            pre_contrast=self.pre_contrast,
            category=self.category,
        )

    def wish(self, kind: str = "tumor") -> Wish:
        """One injection."""
        appearance = self.appearance if kind == "tumor" else Appearance()
        return Wish(kind, self.diameter_mm, appearance, only_free_side=self.only_free_side)

    def wishes(self, null: float, count: float, generator: torch.Generator) -> list[Wish]:
        """One sample's injections.

        Args:
            null: In [0, 1): decides whether they are null paints.
            count: In [0, 1): decides how many there are.
            generator: The sample's own; it decides which of them are multifocal groups, and how
                many distractors come after them.
        """
        number = 1 + int(count * self.tumors)
        if null < self.null_paint:
            asked = [self.wish("null")] * number
        else:
            groups = [group_chance(self.multifocal, generator) for _ in range(number)]
            asked = [dataclasses.replace(self.wish(), group=group) for group in groups]
        benign = Wish("distractor", only_free_side=self.only_free_side)
        return asked + [benign] * distractor_count(self.distractors, generator)

    @property
    def open_labels(self) -> tuple[int, ...]:
        """Label values that a tumor may replace, besides 0."""
        return (*self.paint_over, *self.roi_labels)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

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
        known = {f.name for f in fields(cls)}
        values = dict(section or {})
        if unknown := sorted(set(values) - known):
            raise SynBTError(
                f'The "synbt" section of dataset.json has no setting called '
                f"{', '.join(unknown)}. There are: {', '.join(sorted(known))}."
            )
        prefix = "SYNBT_"
        for variable, text in (os.environ if environment is None else environment).items():
            name = variable[len(prefix) :].lower()
            if variable.startswith(prefix) and name in known:
                values[name] = text
        types = {f.name: str(f.type) for f in fields(cls)}
        return cls(**{name: _read(name, value, types[name]) for name, value in values.items()})


def _read(name: str, value: Any, annotation: str) -> Any:
    """A setting from JSON or from the environment, by its annotation (`float | None`)."""
    kinds = annotation.split(" | ")
    if kinds[0].startswith("tuple"):
        return _read_labels(name, value)
    kind = next(t for t in (bool, int, float, str) if t.__name__ in kinds)
    nothing = value is None or (isinstance(value, str) and value.lower() in ("", "none", "null"))
    if nothing and "None" in kinds:
        return None
    try:
        if kind is bool:
            return value if isinstance(value, bool) else bool(json.loads(str(value).lower()))
        return kind(value)
    except (TypeError, ValueError) as error:
        raise SynBTError(
            f"The setting {name} (SYNBT_{name.upper()}) needs a {kind.__name__}, got {value!r}."
        ) from error


def _read_labels(name: str, value: Any) -> tuple[int, ...]:
    """`[2, 3]` from JSON, or `2,3` from the environment."""
    parts = value.replace(" ", "").strip("[]()").split(",") if isinstance(value, str) else value
    try:
        return tuple(int(part) for part in parts if part != "")
    except (TypeError, ValueError) as error:
        raise SynBTError(
            f"The setting {name} (SYNBT_{name.upper()}) needs label values, such as 2,3, got "
            f"{value!r}."
        ) from error
