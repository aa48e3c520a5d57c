"""The paper's texture: latent diffusion, conditioned on the emptied window and the mask.

hole -> encode -> `Z_cond = cat(Z_masked, down(M))` -> DDIM -> codebook -> decode -> gains towards
what was asked. What is painted holds no noise, as 13 bits for a 4 mm cell cannot: fresh noise like
the scan's is written with it (`signal/grain.py`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.grid.mask import bounding_box, down
from synbt_aug.networks import VQVAE, Denoiser, NoiseSchedule, sample_ddim
from synbt_aug.networks.autoencoder import LatentBox
from synbt_aug.networks.denoiser import guided
from synbt_aug.networks.precision import (
    AUTO,
    PRECISIONS,
    autocast,
    check_precision,
    prepared,
)
from synbt_aug.signal.grain import noise_level
from synbt_aug.signal.hole import fill_hole
from synbt_aug.signal.intensity import in_steps, inverse_knee
from synbt_aug.signal.noise import normal_from
from synbt_aug.support.device import sent
from synbt_aug.support.graphs import Runs, launch_by_launch
from synbt_aug.support.number import check_number, check_whole
from synbt_aug.texture.asked import MIDDLE, Asked, AskedOfGains, apart, tensors_of
from synbt_aug.texture.gains import CORRECTION, Request, corrected
from synbt_aug.texture.job import PaintingJob
from synbt_aug.texture.local import level_of, linear_of
from synbt_aug.texture.names import DEFAULT_STEPS, MAX_GUIDANCE
from synbt_aug.texture.precision import choose_precision
from synbt_aug.tumor.zones import Zones

#: Voxels along the side of a latent cell.
_CELL = 4


class TumorInpainter:
    """Paints tumors by latent diffusion.

    Args:
        autoencoder: The VQ-VAE; its sides divide by 4.
        denoiser: Trained on its latents.
        schedule: The one the denoiser was trained with.
        hole_margin_mm: Dilation of the label that gives the hole.
        steps: Of DDIM, 1 to 1000 (paper: 10).
        guidance: Strength of the wish for an appearance, 0 to 20; 1 is the plain prediction.
        precision: "auto", "fp32", "bf16" or "fp16", for the networks only; see
            `networks/precision.py`.
        correct: Whether bounded gains bring a tumor closer to the requested appearance.
        runs: How the launches of a job are made: one by one, or as a graph.

    Source:
        Yang et al., "SynBT", section 2.2 and Fig. 2.
    """

    name = "diffusion"
    replaces = True
    needs_signal = False

    def __init__(
        self,
        autoencoder: VQVAE,
        denoiser: Denoiser,
        schedule: NoiseSchedule,
        *,
        hole_margin_mm: float,
        steps: int = DEFAULT_STEPS,
        guidance: float = 1.0,
        precision: str = "fp32",
        correct: bool = True,
        runs: Runs = launch_by_launch,
    ) -> None:
        self.steps = check_whole("steps", steps, 1, schedule.steps)
        self.guidance = check_number("guidance", guidance, 0, MAX_GUIDANCE)
        self.precision_is_open = check_precision(precision) == AUTO
        self._given = (
            autoencoder.eval().requires_grad_(False),
            denoiser.eval().requires_grad_(False),
        )
        self.schedule = schedule
        self.hole_margin_mm = hole_margin_mm
        self._take(choose_precision(*self._given) if precision == AUTO else precision)
        self.correct = correct
        self.runs = runs

    def recipe(self) -> dict[str, object]:
        """Settings that the painted voxels depend on."""
        return {
            "name": self.name,
            "sampler": "ddim",
            "steps": self.steps,
            "guidance": self.guidance,
            "hole_margin_mm": self.hole_margin_mm,
            "precision": self.precision,
            "correction": CORRECTION if self.correct else 0,
        }

    def for_recipe(self, recorded: Mapping[str, object]) -> TumorInpainter:
        """The same networks in a recipe's precision, where "auto" left it open; else itself.

        Args:
            recorded: As `recipe()` gave it, perhaps on another machine.
        """
        precision = recorded.get("precision")
        if not isinstance(precision, str) or precision not in PRECISIONS:
            return self
        if not self.precision_is_open or precision == self.precision:
            return self
        other = copy.copy(self)
        other._take(precision)
        return other

    def _take(self, precision: str) -> None:
        self.precision = precision
        autoencoder, denoiser = self._given
        self.autoencoder = prepared(autoencoder, precision)
        self.denoiser = prepared(denoiser, precision)

    @torch.no_grad()
    def __call__(self, job: PaintingJob) -> Tensor:
        """Paint; see `Texture`."""
        tensors = tensors_of(job, corrects=self.correct)
        painted: Tensor = self.runs(self._painted, tensors, job.q.device)
        return painted

    def _painted(self, *tensors: Tensor) -> Tensor:
        """The same, of what `tensors_of` gives: a stage (`support/graphs.py`)."""
        asked, of_gains = apart(tensors)
        emptied = fill_hole(in_steps(asked.q), asked.hole, asked.known)
        with autocast(self.precision, asked.q.device):
            z_masked = self.autoencoder.encode(emptied)
        noise = normal_from(asked.starts, z_masked.shape[1:])
        told = asked.described, asked.described_known
        drawn = self._sample(z_masked, down(asked.mask), *told, noise)
        z = torch.where(self._cells(asked.hole), drawn, z_masked)
        decoded = self._decode(z, _decoded_voxels(asked.hole))
        painted = inverse_knee(torch.where(asked.hole[:, None], decoded, asked.q))
        return painted if of_gains is None else self._corrected(asked, of_gains, painted)

    @torch.no_grad()
    def rebuild(self, job: PaintingJob) -> Tensor:
        """Paint with the windows' own latents: what the codec leaves of a real tumor.

        Args:
            job: As for painting; appearance and noise have no say.

        Returns:
            As for painting.
        """
        with autocast(self.precision, job.q.device):
            z = self.autoencoder.encode(job.q)
        return inverse_knee(self._decode(z))

    def sample(self, job: PaintingJob, z_masked: Tensor) -> Tensor:
        """Draw latents of the whole windows.

        Args:
            job: What to paint.
            z_masked: Latent of the emptied windows, shape `(B, 8, d/4, h/4, w/4)`.

        Returns:
            Continuous latents, same shape, in the autoencoder's units.
        """
        told = [sent(values, job.q.device) for values in job.appearance_inputs()]
        noise = job.noise(z_masked.shape[1], z_masked.shape[2:])
        return self._sample(z_masked, down(job.mask), told[0], told[1], noise)

    def _sample(
        self, z_masked: Tensor, mask: Tensor, described: Tensor, known: Tensor, noise: Tensor
    ) -> Tensor:
        net = self.denoiser
        condition = net.normalise(z_masked)

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            with autocast(self.precision, z_t.device):
                return guided(
                    net, z_t, t, condition, mask, described, known, guidance=self.guidance
                )

        z = sample_ddim(predict, noise, self.schedule, self.steps, predicts=net.settings.predicts)
        return net.restore(z)

    def _decode(self, z: Tensor, box: LatentBox | None = None) -> Tensor:
        """Windows from latents; NaN all over where a number on the way was not finite.

        The nearest code of NaN is some code, and the knee's inverse makes a bright spot of
        infinity: what comes of either must not pass for a tumor.

        Args:
            z: Latents of the whole windows.
            box: What to decode, in latent cells; None: all. Beyond it the answer is 0.
        """
        z_q, _ = self.autoencoder.quantize(z)
        with autocast(self.precision, z.device):
            if box is None:
                decoded = self.autoencoder.decode(z_q)
            else:
                decoded = self.autoencoder.decode_window(z_q, box)
        fit = [x.isfinite().flatten(1).all(1) for x in (z, decoded)]
        decoded = torch.where((fit[0] & fit[1]).view(-1, 1, 1, 1, 1), decoded, torch.nan)
        if box is None:
            return decoded
        d, h, w = ((_CELL * lo, _CELL * (n - hi)) for (lo, hi), n in zip(box, z.shape[2:]))
        return F.pad(decoded, (*w, *h, *d))

    @staticmethod
    def _cells(hole: Tensor) -> Tensor:
        """Latent cells that the hole touches, and one ring around, shape `(B, 1, d, h, w)`."""
        return F.max_pool3d((down(hole) > 0).to(torch.float32), 3, 1, 1) > 0

    @staticmethod
    def _corrected(asked: Asked, of_gains: AskedOfGains, painted: Tensor) -> Tensor:
        """Tumors with their gains; windows without a label as they are."""
        known = asked.known & ~asked.hole
        level, host = level_of(painted), level_of(inverse_knee(asked.q))
        distance, depth, has_label, outline, values, wished, starts, *blur = of_gains
        zones = Zones.of(distance[MIDDLE], depth[MIDDLE], asked.known[MIDDLE], blur)
        request = Request(values, wished).in_label(distance, outline)
        new = corrected(
            level[MIDDLE], host[MIDDLE], noise_level(host, known), zones, request, starts
        )
        where = asked.hole[MIDDLE] & has_label[:, None, None, None]
        painted = painted.clone()
        painted[MIDDLE] = torch.where(where[:, None], linear_of(new), painted[MIDDLE])
        return painted


def _decoded_voxels(hole: Tensor) -> LatentBox | None:
    """The latent cells that the holes of a batch touch; None where all are to be decoded.

    On a CPU, whose time goes with the voxels; elsewhere it would be waited for.
    """
    if hole.device.type != "cpu" or not bool(hole.any()):
        return None
    d, h, w = ((a // _CELL, -(-b // _CELL)) for a, b in bounding_box(hole.any(0)))
    return d, h, w
