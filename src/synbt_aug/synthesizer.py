"""Paint tumors into a breast MRI: what is asked, decided and painted, with its recipe.

The three acts are in `decide/`, `paint/` with `texture/`, and `write.py`; `runner.py` strings them
together.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synbt_aug import __version__
from synbt_aug.decide.decide import decide_all, plan_of_recipe
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import LeftOut, Plan
from synbt_aug.errors import SynBTError
from synbt_aug.host import Host
from synbt_aug.networks.precision import AUTO
from synbt_aug.runner import Painter, Series, run
from synbt_aug.signal.halo import with_halo
from synbt_aug.signal.intensity import IntensityReference
from synbt_aug.signal.surroundings import plain_torch
from synbt_aug.support.device import check_device
from synbt_aug.support.graphs import Graphs, Runs, launch_by_launch
from synbt_aug.support.number import check_seed
from synbt_aug.support.ranges import Range, WholeRange
from synbt_aug.texture import SynTumor, Texture
from synbt_aug.texture.choice import (
    load_for,
    make_texture,
    refuse_shapes_only,
    texture_of_recipe,
)
from synbt_aug.texture.names import DEFAULT_STEPS
from synbt_aug.tissue.segmenter import load_segmenter
from synbt_aug.tissue.segments import Segments
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import TumorBank, load_bank
from synbt_aug.tumor.lesions import split_lesions
from synbt_aug.tumor.recipe import RECIPE_FORMAT, TumorRecipe
from synbt_aug.tumor.recipe_header import check_header
from synbt_aug.tumor.request import AppearanceRequest, Request
from synbt_aug.volume import BreastVolume, Synthesis, unchanged
from synbt_aug.weights import SHIPPED, Weights, WithoutNetworks


class TumorSynthesizer:
    """Paints tumors: those of a latent diffusion model, or of a texture that it is compared with.

    Args:
        weights: "shipped", a weights folder, a name of `synbt adapt`, or loaded ones. Textures
            without a network take the bank and the contract from there and leave the networks
            unread.
        bank: A tumor bank or its file; None or "shipped" takes the one that came with the weights.
        texture: What paints: "diffusion", "syntumor" (blurred noise), "copy_paste" (the bank's
            tumors themselves, from a bank with voxels), or a `Texture`.
        device: Where the networks run. Volumes stay where they are.
        steps: Of DDIM (paper: 10); this and the next two are of "diffusion" alone.
        guidance: Strength of the wish for an appearance; 1 is the plain prediction.
        precision: "fp32", "bf16" or "fp16", for the networks, that of the tissues among them;
            "auto" takes bf16 where the device is fast at it, else fp32. Recipes hold which.
        tissue: Finds the tissues that decide where a tumor may go: "shipped", a folder that
            `synbt train tissue` wrote, or anything that does as `Segments` says. It is not asked
            where a volume has a roi.
        graphs: Whether a GPU replays painting and writing as CUDA graphs (`support/graphs.py`)
            once a window shape has come twice; a `Texture` that is passed has its own way. Off:
            it was not yet run on one.

    Raises:
        SynBTError: If the weights or the bank cannot be loaded, a setting is out of range, or the
            texture pastes voxels and the bank has none.

    Source:
        Yang et al., "SynBT: High-quality tumor synthesis for breast tumor segmentation by 3D
        diffusion model", sections 2.2 and 2.3.
    """

    def __init__(
        self,
        weights: str | Path | Weights | WithoutNetworks = "shipped",
        *,
        bank: TumorBank | str | Path | None = None,
        texture: str | Texture | None = "diffusion",
        device: torch.device | str = "cpu",
        steps: int = DEFAULT_STEPS,
        guidance: float = 1.0,
        precision: str = AUTO,
        tissue: str | Path | Segments = SHIPPED,
        graphs: bool = False,
    ) -> None:
        self.device = check_device(device)
        self.runs: Runs = Graphs() if graphs else launch_by_launch
        if isinstance(tissue, (str, Path)):
            tissue = load_segmenter(tissue, precision, self.device)
        self.segmenter: Segments = tissue
        texture = "diffusion" if texture is None else texture
        self.weights = load_for(texture, weights)
        bank_name = None if isinstance(bank, TumorBank) else bank or SHIPPED
        if bank is None or bank == SHIPPED:
            bank = self.weights.bank
        self.bank = bank if isinstance(bank, TumorBank) else load_bank(bank)
        self.texture: Texture = (
            make_texture(
                texture,
                self.weights,
                self.device,
                steps=steps,
                guidance=guidance,
                precision=precision,
                runs=self.runs,
            )
            if isinstance(texture, str)
            else texture
        )
        #: Paints distractors, whatever paints the tumors.
        self.benign = SynTumor(hole_margin_mm=self.texture.hole_margin_mm)
        if self.texture.needs_signal:
            refuse_shapes_only(self.bank, bank_name)

    def __call__(
        self,
        volume: BreastVolume | Host,
        *,
        seed: int,
        tumors: int | WholeRange = 1,
        diameter_mm: float | Range | None = None,
        appearance: Appearance | AppearanceRequest = Appearance(),
        tumor_mask: Tensor | None = None,
        kind: str = "tumor",
        reference: IntensityReference | None = None,
        only_free_side: bool = False,
        multifocal: float = 0.0,
        distractors: float = 0.0,
        curve: str | None = None,
    ) -> Synthesis:
        """Paint tumors.

        Args:
            volume: The scan; it is not changed. A `Host` of it finds its tissues once for many
                calls.
            seed: All that is random follows from it.
            tumors: How many, one after the other. Like each number that follows it may be a
                range, `(1, 3)`, from which the seed draws.
            diameter_mm: Equivalent-sphere diameter; None draws from the cohort's sizes. Of a
                range each size that the breast holds is equally likely.
            appearance: What is not None is asked for; the rest comes with the template.
                `AppearanceRequest` takes ranges, from which each tumor draws.
            tumor_mask: A shape on the volume's grid, boolean, shape `(D, H, W)`, painted where
                it is and labelled, to the voxel at 1 mm; textures that add to the host leave out
                what is thinner than 2 to 3 mm. Lesions too far apart for one window are painted
                one by one.
            kind: "tumor"; "null" to repaint a healthy place as healthy; or "distractor" for
                something benign without a label, drawn with its shape.
            reference: Intensity references of the case, where the volume is only a part of it; a
                host has its own.
            only_free_side: Only into a breast without a real tumor; has no say in a given mask.
            multifocal: Probability that a tumor is a multifocal group: the largest lesion of a
                case in the bank with its others, each painted where it lay to the largest or at
                the nearest place with room in the same breast, or left out (`measured` says so).
                In a bank without groups one to three small lesions are drawn around it.
            distractors: Expected number of benign things beside the tumors, painted after them
                and never on them, without a label, by the analytic texture.
            curve: "washout", "plateau" or "persistent", in further phases; None draws it.

        Returns:
            The painted volume with its label, support and recipe, or the volume unchanged with
            a reason. Where only some of several tumors found room, `measured` says so.

        Raises:
            SynBTError: If a number is out of its range, or the mask lies on another grid. What
                goes wrong while painting is raised, too, unless another of several was painted.
        """
        seed = check_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        request = Request(
            kind, tumors, diameter_mm, appearance, multifocal, distractors, only_free_side, curve
        )
        host = volume if isinstance(volume, Host) else Host.of(volume, reference)
        if tumor_mask is None:
            wishes = request.draw(generator)
        else:
            tumor_mask = _on_grid(tumor_mask, host.volume)
            margin = self.texture.hole_margin_mm
            parts = split_lesions(tumor_mask, host.volume.spacing, margin, kind)
            wishes = request.draw_for(parts, generator)
        ground = Ground.of(host, self.segmenter)
        with self._plain(host):
            decided = decide_all(
                ground,
                wishes,
                self.bank,
                self.texture.hole_margin_mm,
                generator,
                fringe=self.texture.replaces,
            )
            series = Series(host, decided, ground)
            run(self.painter, [series], attempts=True)
        results = series.results()
        if not any(result.painted for result in results):
            errors = [one.error for one in series.done if isinstance(one, LeftOut) and one.error]
            if errors:
                raise errors[0]
        return self.together(host, results, seed)

    def remove(
        self,
        volume: BreastVolume,
        mask: Tensor,
        *,
        seed: int,
        reference: IntensityReference | None = None,
    ) -> Synthesis:
        """Paint a tumor away, with what shows of it within 2 mm of its label.

        Args:
            volume: The scan.
            mask: What to remove, boolean, shape `(D, H, W)`; it may be among `volume.tumor`.
            seed: As for painting.
            reference: As for painting.

        Returns:
            As for painting, with an empty label.
        """
        mask = _on_grid(mask, volume)
        others = None if volume.tumor is None else volume.tumor & ~mask
        if bool(mask.any()):
            mask = with_halo(volume.image[:2], mask, volume.spacing, others)
        return self(
            replace(volume, tumor=others),
            seed=seed,
            tumor_mask=mask,
            kind="removal",
            reference=reference,
        )

    def replay(self, volume: BreastVolume, recipe: Mapping[str, Any]) -> Synthesis:
        """Paint what a recipe says.

        Args:
            volume: The scan it was made for.
            recipe: As `Synthesis.recipe`, or read from its JSON.

        Returns:
            The same site, pose, mask and noise everywhere, and the same voxels on the same
            device, torch and threads. A precision that was left to "auto" is the recipe's.

        Raises:
            SynBTError: If the recipe does not fit these weights, bank, settings or volume.
        """
        if (texture := texture_of_recipe(self.texture, recipe)) is not self.texture:
            other = copy.copy(self)
            other.texture = texture
            return other.replay(volume, recipe)
        check_header(
            recipe,
            weights=self.weights.digest,
            bank=self.bank.digest,
            texture=self.texture.recipe(),
            shape=volume.shape,
            spacing=volume.spacing,
            channels=volume.image.shape[0],
        )
        host = Host.of(volume, IntensityReference.from_dict(recipe["reference"]))
        ground = Ground.of(host)
        plans: list[Plan] = []
        with self._plain(host):
            for values in recipe["tumors"]:
                thing = TumorRecipe.from_dict(values, recipe["spacing"])
                margin = self.texture.hole_margin_mm
                plans.append(plan_of_recipe(ground, thing, self.bank, margin))
                ground = ground.holding(plans[-1])
            images, marks = host, []
            for plan in plans:
                written = self.painter.paint([images], [self.painter.ready(plan)])
                result = written.result(0)
                images = images.holding(result.image)
                marks.append(replace(result, recipe={"tumors": [plan.recipe.to_dict()]}))
        results = [replace(one, image=images.volume.image) for one in marks]
        return self.together(host, results, recipe["seed"])

    @property
    def painter(self) -> Painter:
        """What paints plans."""
        return Painter(self.texture, self.benign, self.bank, self.device, self.runs)

    def _plain(self, host: Host) -> AbstractContextManager[None]:
        return plain_torch((host.volume.image.device, self.device))

    def together(self, host: Host, results: Sequence[Synthesis], seed: int) -> Synthesis:
        """Several things painted one after the other, as one synthesis with a whole recipe.

        Args:
            host: As it was before the first.
            results: In order; the host of each is the one before with its tumor.
            seed: That all followed from, for the record.
        """
        done = [r for r in results if r.painted]
        if not done:
            reason = results[0].reason if results else "nothing was asked for"
            return unchanged(host.volume.image, str(reason))
        tumor, support = done[0].tumor, done[0].support
        for result in done[1:]:
            tumor, support = tumor | result.tumor, support | result.support
        recipe = self._header(host, seed)
        recipe["tumors"] = [t for r in done for t in (r.recipe or {})["tumors"]]
        measure = partial(_measured_together, done, results)
        return Synthesis(done[-1].image, tumor, support, recipe, measure=measure)

    def _header(self, host: Host, seed: int) -> dict[str, Any]:
        return {
            "format": RECIPE_FORMAT,
            "synbt_aug": __version__,
            "seed": seed,
            "weights": self.weights.digest,
            "bank": self.bank.digest,
            "texture": self.texture.recipe(),
            "reference": host.reference.to_dict(),
            "shape": list(host.volume.shape),
            "spacing": list(host.volume.spacing),
        }


def _on_grid(mask: Tensor, volume: BreastVolume) -> Tensor:
    """A mask as boolean on the volume's device, after a look at its shape."""
    if mask.shape != volume.image.shape[1:]:
        raise SynBTError(
            f"A tumor mask needs the image's shape {volume.shape}, got {tuple(mask.shape)}. "
            f"Resample it to the image first."
        )
    return mask.to(device=volume.image.device, dtype=torch.bool)


def _measured_together(done: Sequence[Synthesis], results: Sequence[Synthesis]) -> dict[str, Any]:
    measured: dict[str, Any] = {"tumors": [r.measured for r in done if r.measured]}
    if len(done) < len(results):
        measured["left_out"] = [r.reason for r in results if not r.painted]
    return measured
