"""The paper's texture: latent diffusion, conditioned on the emptied window and the mask.

hole -> encode -> `Z_cond = cat(Z_masked, down(M))` -> DDIM -> codebook -> decode, and then the
scan's own grain put back: 13 bits for a 4 mm cell cannot hold it, and a segmenter would learn
that smooth means tumor.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from synbt_aug.diffusion import Denoiser, NoiseSchedule, sample_ddim
from synbt_aug.diffusion.denoiser import guided
from synbt_aug.errors import SynBTError
from synbt_aug.hole import fill_hole
from synbt_aug.intensity import inverse_knee
from synbt_aug.mask import down, gaussian
from synbt_aug.number import check_number, check_whole
from synbt_aug.texture.correction import CORRECTION, corrected
from synbt_aug.texture.job import PaintingJob
from synbt_aug.texture.local import level_of, linear_of
from synbt_aug.texture.names import DEFAULT_STEPS, MAX_GUIDANCE
from synbt_aug.vqvae import VQVAE

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}

#: Grain beyond this many robust SDs is structure that the codec could not hold: clipped.
_GRAIN_SDS = 2.5

#: The scan's noise is what the codec loses where that is least: this quantile, over the window's
#: tissue, of its SD within some mm.
_NOISE_QUANTILE = 0.25
_NOISE_SIGMA_MM = 2.0


class TumorInpainter:
    """Paints tumors by latent diffusion.

    Args:
        autoencoder: The VQ-VAE; its sides divide by 4.
        denoiser: Trained on its latents.
        schedule: The one the denoiser was trained with.
        hole_margin_mm: Dilation of the label that gives the hole.
        steps: Of DDIM, 1 to 1000 (paper: 10).
        guidance: Strength of the wish for an appearance, 0 to 20; 1 is the plain prediction.
        precision: "fp32", "bf16" or "fp16", for the networks only.
        correct: Whether smooth gains make good what the networks lack of the wish, and a tumor's
            grain is made as quiet as the scan's noise.

    Source:
        Yang et al., "SynBT", section 2.2 and Fig. 2.
    """

    name = "diffusion"
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
    ) -> None:
        self.steps = check_whole("steps", steps, 1, schedule.steps)
        self.guidance = check_number("guidance", guidance, 0, MAX_GUIDANCE)
        if precision not in PRECISIONS:
            raise SynBTError(
                f"precision needs one of {', '.join(map(repr, PRECISIONS))}, got {precision!r}."
            )
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self.denoiser = denoiser.eval().requires_grad_(False)
        self.schedule = schedule
        self.hole_margin_mm = hole_margin_mm
        self.precision = precision
        self.correct = correct

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

    def _fast(self, device: torch.device) -> AbstractContextManager[object]:
        dtype = PRECISIONS[self.precision]
        return nullcontext() if dtype is None else torch.autocast(device.type, dtype)

    @torch.no_grad()
    def __call__(self, job: PaintingJob) -> Tensor:
        """Paint; see `Texture`."""
        original, emptied = job.q, fill_hole(job.q, job.hole, job.known)
        with self._fast(job.q.device):
            # The two go through in one batch: half the launches on a GPU.
            both = self.autoencoder.encode(torch.cat([emptied, original]))
        z_masked, z_original = both.chunk(2)
        z = self.sample(job, z_masked)
        z = torch.where(self._cells(job.hole), z, z_original)
        painted, seen = (inverse_knee(x) for x in self._decode(torch.cat([z, z_original])).chunk(2))
        grain = self._grain(job, seen)
        if self.correct:
            painted = self._towards_wish(job, painted, grain)
        return painted + grain

    @torch.no_grad()
    def rebuild(self, job: PaintingJob) -> Tensor:
        """Paint with the windows' own latents: what is left of a real tumor after codec and grain.

        Args:
            job: As for painting; appearance and noise have no say.

        Returns:
            As for painting.
        """
        with self._fast(job.q.device):
            z = self.autoencoder.encode(job.q)
        seen = inverse_knee(self._decode(z))
        return seen + self._grain(job, seen)

    def sample(self, job: PaintingJob, z_masked: Tensor) -> Tensor:
        """Draw latents of the whole windows.

        Args:
            job: What to paint.
            z_masked: Latent of the emptied windows, shape `(B, 8, n/4, n/4, n/4)`.

        Returns:
            Continuous latents, same shape, in the autoencoder's units.
        """
        net = self.denoiser
        condition, mask = net.normalise(z_masked), down(job.mask)
        appearance, known = job.appearance_inputs()
        noise = job.noise(z_masked.shape[1], z_masked.shape[-1])

        def predict(z_t: Tensor, t: Tensor) -> Tensor:
            with self._fast(job.q.device):
                return guided(
                    net, z_t, t, condition, mask, appearance, known, guidance=self.guidance
                )

        z = sample_ddim(predict, noise, self.schedule, self.steps, predicts=net.settings.predicts)
        return net.restore(z)

    def _decode(self, z: Tensor) -> Tensor:
        """Windows from latents; NaN all over where a number on the way was not finite.

        The nearest code of NaN is some code, and the knee's inverse makes a bright spot of
        infinity: what comes of either must not pass for a tumor.
        """
        z_q, _ = self.autoencoder.quantize(z)
        with self._fast(z.device):
            decoded = self.autoencoder.decode(z_q)
        fit = [x.isfinite().flatten(1).all(1) for x in (z, decoded)]
        return torch.where((fit[0] & fit[1]).view(-1, 1, 1, 1, 1), decoded, torch.nan)

    @staticmethod
    def _cells(hole: Tensor) -> Tensor:
        """Latent cells that the hole touches, and one ring around, shape `(B, 1, d, h, w)`."""
        return F.max_pool3d((down(hole) > 0).to(torch.float32), 3, 1, 1) > 0

    @staticmethod
    def _towards_wish(job: PaintingJob, painted: Tensor, grain: Tensor) -> Tensor:
        """Tumors with their gains."""
        painted, host = painted.clone(), level_of(inverse_knee(job.q))
        for row, wish in enumerate(job.appearance):
            # Stray output of the networks is for the caller to refuse, not to be measured.
            if _has_label(job, row) and bool(torch.isfinite(painted[row]).all()):
                level, distance = level_of(painted[row]), job.label_distance(row)
                new = corrected(level, grain[row] / 2, host[row], distance, job.known[row], wish)
                painted[row] = torch.where(job.hole[row], linear_of(new), painted[row])
        return painted

    def _grain(self, job: PaintingJob, seen: Tensor) -> Tensor:
        """What the codec loses of this very scan, limited so that structures stay out.

        Noise adds to the signal, not to the compressed scale of the networks: a grain taken in
        dim tissue must not grow fourfold in a bright tumor. Hence before the knee.
        """
        lost = inverse_knee(job.q) - seen
        limited = torch.zeros_like(lost)
        for row, hole in enumerate(job.hole):
            inside = lost[row][:, hole]
            if inside.shape[1] == 0:
                continue
            middle = inside.median(dim=1, keepdim=True).values
            spread = 1.4826 * (inside - middle).abs().median(dim=1, keepdim=True).values
            reach = _GRAIN_SDS * spread
            limited[row][:, hole] = torch.maximum(torch.minimum(inside - middle, reach), -reach)
            if self.correct and _has_label(job, row):
                limited[row] = quieted(limited[row], hole, lost[row], job.known[row])
        return limited


def _has_label(job: PaintingJob, row: int) -> bool:
    """Whether a tumor is painted; a mask thinner than its 1 mm around the label has no label."""
    return bool(job.mask[row].any()) and bool((job.label_distance(row) <= 0).any())


def quieted(grain: Tensor, hole: Tensor, lost: Tensor, known: Tensor) -> Tensor:
    """A tumor's grain, no louder than the scan's noise.

    In healthy tissue the codec loses fine strands of gland and fat, too, and a tumor grows in
    their place: from voxel to voxel, pre varies in tumors by .7 of what it does around them, in
    phantoms as in a real case.

    Args:
        grain: Of one window, zero outside the hole, shape `(2, n, n, n)`.
        hole: Boolean, not empty, shape `(n, n, n)`.
        lost: All that the codec loses of the scan, shape `(2, n, n, n)`.
        known: Tissue to take the noise from, boolean, shape `(n, n, n)`.

    Returns:
        Same shape as `grain`.
    """
    if not bool(known.any()):
        return grain
    count = gaussian(known.to(lost.dtype), _NOISE_SIGMA_MM)
    square = gaussian(lost.square() * known, _NOISE_SIGMA_MM) / count.clamp_min(1e-3)
    whole = known & (count > 0.9)
    among = square[:, whole if bool(whole.any()) else known]
    noise = among.quantile(_NOISE_QUANTILE, dim=1).sqrt()
    now = grain[:, hole].std(1, unbiased=False).clamp_min(1e-6)
    return grain * (noise / now).clamp(max=1)[:, None, None, None]
