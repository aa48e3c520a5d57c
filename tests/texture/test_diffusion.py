"""The diffusion texture: with networks that are formulas, and with tiny random ones."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from analytic import ball, seeded, tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.networks import NoiseSchedule
from synbt_aug.networks.autoencoder import LatentBox
from synbt_aug.signal.hole import fill_hole
from synbt_aug.signal.intensity import in_steps, inverse_knee
from synbt_aug.texture import PaintingJob, TumorInpainter, join
from synbt_aug.texture.gains import CORRECTION
from synbt_aug.tumor.appearance import Appearance

SIDE = 64
#: Latent cells wholly outside the hole, and a ring of cells around it.
MASK, HOLE = ball(SIDE, 7), ball(SIDE, 9)


def job(seed: int = 0, tumor: bool = True, wish: Appearance | None = None) -> PaintingJob:
    q = torch.randn(1, 2, SIDE, SIDE, SIDE, generator=seeded(seed)) * 0.1
    return PaintingJob(
        q=q,
        mask=(MASK if tumor else MASK & False)[None],
        hole=HOLE[None],
        known=torch.ones(1, SIDE, SIDE, SIDE, dtype=torch.bool),
        appearance=(wish or Appearance(),),
        noise_seeds=(seed,),
    )


class Blocks(nn.Module):
    """An autoencoder of block means: four equal channels for each of pre and post."""

    def encode(self, x: Tensor) -> Tensor:
        return F.avg_pool3d(x, 4).repeat_interleave(4, 1)

    def quantize(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z, torch.zeros_like(z[:, 0], dtype=torch.long)

    def decode(self, z: Tensor) -> Tensor:
        return z[:, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3).repeat_interleave(4, 4)

    def decode_window(self, z: Tensor, box: LatentBox) -> Tensor:
        return self.decode(z)[(..., *(slice(4 * a, 4 * b) for a, b in box))]


class Oracle(nn.Module):
    """A denoiser whose clean latent is the masked latent plus so much where the mask is."""

    def __init__(self, contrast: float = 0.0) -> None:
        super().__init__()
        self.contrast = contrast
        self.settings = SimpleNamespace(predicts="v")
        self.calls: list[tuple[Tensor, ...]] = []
        self.schedule = NoiseSchedule()

    def normalise(self, z: Tensor) -> Tensor:
        return (z - 0.5) / 2

    def restore(self, z: Tensor) -> Tensor:
        return z * 2 + 0.5

    def forward(self, z_t: Tensor, t: Tensor, z_masked: Tensor, *told: Tensor) -> Tensor:
        self.calls.append((t, *told))
        clean = z_masked + self.contrast / 2 * told[0]
        a = self.schedule.alpha_bar[t].view(-1, 1, 1, 1, 1)
        # v = (sqrt(a) z_t - clean) / sqrt(1 - a), from clean = sqrt(a) z_t - sqrt(1 - a) v.
        return (a.sqrt() * z_t - clean) / (1 - a).sqrt()


def formula(contrast: float = 0.0, **settings: Any) -> TumorInpainter:
    settings = {"hole_margin_mm": 2.0, "steps": 4, **settings}
    return TumorInpainter(Blocks(), Oracle(contrast), NoiseSchedule(), **settings)  # type: ignore[arg-type]


def tiny(**settings: Any) -> TumorInpainter:
    w = tiny_weights()
    settings = {"hole_margin_mm": 2.0, "steps": 2, **settings}
    return TumorInpainter(w.autoencoder, w.denoiser, w.schedule, **settings)


# --- settings ---


@pytest.mark.parametrize("steps", [0, 1001])
def test_steps_that_the_schedule_lacks_are_refused(steps: int) -> None:
    with pytest.raises(SynBTError, match=f"steps needs a number from 1 to 1000, got {steps}"):
        tiny(steps=steps)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(
        SynBTError, match="precision needs one of 'auto', 'fp32', 'bf16', 'fp16', got 'fp8'"
    ):
        tiny(precision="fp8")


def test_the_recipe_holds_what_the_voxels_depend_on() -> None:
    assert tiny(steps=3, guidance=2, precision="bf16").recipe() == {
        "name": "diffusion",
        "sampler": "ddim",
        "steps": 3,
        "guidance": 2.0,
        "hole_margin_mm": 2.0,
        "precision": "bf16",
        "correction": CORRECTION,
    }


# --- networks that are formulas ---


def test_a_denoiser_that_answers_right_at_once_needs_no_more_steps() -> None:
    few, many = (formula(1.0, steps=n) for n in (1, 7))
    # At the first step 4e-5 of the signal's power is left: rounding grows 160-fold.
    assert torch.allclose(few(job()), many(job()), atol=2e-3)


def test_the_network_is_shown_the_filled_window_and_the_share_of_tumor() -> None:
    texture = formula(0.0)
    asked = job()
    z_masked = Blocks().encode(fill_hole(asked.q, asked.hole, asked.known))
    assert torch.allclose(texture.sample(asked, z_masked), z_masked, atol=1e-4)
    t, share, *_ = texture.denoiser.calls[0]  # type: ignore[index]
    assert t.tolist() == [999]
    assert torch.allclose(share[0, 0], F.avg_pool3d(MASK[None, None].float(), 4)[0, 0])


class Straying(Oracle):
    """Answers with a number that is none, in one voxel of the latent of some windows."""

    def __init__(self, number: float, rows: tuple[int, ...]) -> None:
        super().__init__(0.6)
        self.number, self.rows = number, rows

    def forward(self, z_t: Tensor, t: Tensor, z_masked: Tensor, *told: Tensor) -> Tensor:
        answer = super().forward(z_t, t, z_masked, *told)
        d, h, w = (n // 2 for n in answer.shape[2:])
        for row in self.rows:
            answer[row, 0, d, h, w] = self.number
        return answer


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_latents_that_are_no_numbers_never_become_a_tumor(number: float) -> None:
    texture = tiny()
    straying = TumorInpainter(
        texture.autoencoder,
        Straying(number, (1,)),  # type: ignore[arg-type]
        texture.schedule,
        hole_margin_mm=2.0,
        steps=2,
    )
    painted = straying(join([job(0), job(1)]))
    assert bool(torch.isfinite(painted[0]).all())
    assert bool(painted[1][:, HOLE].isnan().all())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_decoder_s_overflow_never_becomes_a_bright_spot(number: float) -> None:
    class Overflowing(Blocks):
        def decode(self, z: Tensor) -> Tensor:
            x = super().decode(z)
            x[0, 1, 30, 30, 30] = number
            return x

    texture = formula(0.6)
    assert bool(torch.isfinite(texture(job())).all())
    texture.autoencoder = Overflowing()  # type: ignore[assignment]
    assert not bool(torch.isfinite(texture(job())).all())


def test_what_is_painted_has_the_contrast_that_the_network_gave() -> None:
    bright, dark = formula(0.6), formula(0.0)
    # The gains let the surroundings into the edge before contrast.
    bright.correct = dark.correct = False
    painted, plain = bright(job()), dark(job())
    full = F.avg_pool3d(MASK[None, None].float(), 4).repeat_interleave(4, 2)
    share = full.repeat_interleave(4, 3).repeat_interleave(4, 4)[0, 0]
    for channel in (0, 1):
        assert torch.allclose((painted - plain)[0, channel], 0.6 * share * HOLE, atol=1e-4)


def test_nothing_of_what_lay_in_the_hole_is_painted() -> None:
    asked = job()
    vessel = torch.zeros(SIDE, SIDE, SIDE, dtype=torch.bool)
    vessel[:, 32, 32] = True
    q = asked.q.clone()
    q[:, :, vessel & HOLE] += 0.8
    plain, crossed = (formula(0.6, correct=False)(j) for j in (asked, replace(asked, q=q)))
    assert torch.equal(plain, crossed)


def test_what_is_painted_is_the_codec_s_answer_without_noise() -> None:
    asked = job()
    filled = fill_hole(asked.q, asked.hole, asked.known)
    smooth = Blocks().decode(Blocks().encode(filled))
    painted = formula(0.0, correct=False)(asked)[0]
    assert torch.allclose(painted[:, HOLE], smooth[0][:, HOLE], atol=1e-3)
    assert torch.equal(painted[:, ~HOLE], asked.q[0][:, ~HOLE])


def test_a_rebuilt_tumor_is_the_codec_s_answer_to_the_scan() -> None:
    asked = job()
    assert torch.equal(formula().rebuild(asked), Blocks().decode(Blocks().encode(asked.q)))


def test_answers_are_before_the_knee() -> None:
    # q = 2 is s = e: a latent contrast of 2 at q = 0.
    painted = formula(2.0)(job())[0, 0][ball(SIDE, 3)]
    assert painted.median().item() == pytest.approx(2.718, rel=0.05)


def test_cells_far_from_the_hole_show_the_scan_itself() -> None:
    class Wild(Oracle):
        def forward(self, z_t: Tensor, t: Tensor, *told: Tensor) -> Tensor:
            return super().forward(z_t, t, *told) + 50

    class Seen(Blocks):
        def quantize(self, z: Tensor) -> tuple[Tensor, Tensor]:
            self.z = z
            return super().quantize(z)

    codec = Seen()
    w = TumorInpainter(codec, Wild(), NoiseSchedule(), hole_margin_mm=2.0, steps=2)  # type: ignore[arg-type]
    asked = job()
    painted = w(asked)
    far = ~ball(SIDE // 4, 9 / 4 + 3)
    z_masked = codec.encode(fill_hole(in_steps(asked.q), asked.hole, asked.known))
    assert torch.equal(codec.z[0][:, far], z_masked[0][:, far])
    assert torch.equal(painted[0][:, ~HOLE], inverse_knee(asked.q)[0][:, ~HOLE])
    assert painted[0][:, ball(SIDE, 5)].abs().mean() > 10


# --- what the network is told ---


def test_a_wish_reaches_the_network_and_nothing_does_without_a_tumor() -> None:
    wish = Appearance(enhancement=0.5, category="rim")
    texture = formula()
    texture(job(wish=wish))
    *_, values, known = texture.denoiser.calls[0]  # type: ignore[index]
    assert torch.equal(values[0], wish.to_model()[0]) and known[0].tolist() == [1, 0, 0, 0, 1, 1, 1]
    texture = formula()
    texture(job(tumor=False, wish=wish))
    _, share, values, known = texture.denoiser.calls[0]  # type: ignore[index]
    assert not share.any() and not values.any() and not known.any()


def test_guidance_asks_twice_once_without_the_wish() -> None:
    texture = formula(guidance=2.0, steps=3)
    texture(job(wish=Appearance(enhancement=0.5)))
    known = [call[-1].sum().item() for call in texture.denoiser.calls]  # type: ignore[union-attr]
    assert known == [1, 0] * 3
    plain = formula(steps=3)
    plain(job(wish=Appearance(enhancement=0.5)))
    assert len(plain.denoiser.calls) == 3  # type: ignore[arg-type]


def test_tiny_networks_follow_the_wish_the_mask_and_guidance() -> None:
    plain = tiny()(job())
    for other in (
        tiny()(job(wish=Appearance(enhancement=3.0))),
        tiny()(job(tumor=False)),
        tiny(steps=3)(job()),
        tiny()(replace(job(), noise_seeds=(9,))),
    ):
        assert not torch.equal(plain, other)
    wish = job(wish=Appearance(enhancement=3.0))
    assert not torch.equal(tiny()(wish), tiny(guidance=4.0)(wish))


def test_gains_towards_a_wish_end_at_the_hole() -> None:
    asked = job(wish=Appearance(enhancement=1.0, rim=1.5, pre_contrast=0.3))
    plain, corrected = formula(0.6, correct=False)(asked)[0], formula(0.6)(asked)[0]
    assert torch.equal(corrected[:, ~HOLE], plain[:, ~HOLE])
    assert bool(torch.isfinite(corrected).all())
    assert (corrected - plain)[:, ball(SIDE, 5)].abs().amin() > 0


def test_a_mask_without_a_label_is_painted_as_the_network_has_it() -> None:
    thin = torch.zeros_like(MASK)
    thin[32, 28:36, 28:36] = True
    asked = replace(job(wish=Appearance(enhancement=1.0)), mask=thin[None])
    assert torch.equal(formula(0.6)(asked), formula(0.6, correct=False)(asked))


# --- batches, precision, side effects ---


def test_the_same_job_is_painted_the_same_to_the_bit() -> None:
    assert torch.equal(tiny()(job()), tiny()(job()))


def test_a_batch_is_painted_as_its_members() -> None:
    jobs = [job(1, wish=Appearance(rim=2.0)), job(2), job(3, tumor=False)]
    texture = tiny(guidance=1.5)
    together = texture(join(jobs))
    for k, alone in enumerate(jobs):
        # Codes may tip over where two are equally near; hardly any do.
        close = (together[k] - texture(alone)[0]).abs() < 1e-3
        assert close.float().mean() > 0.999


@pytest.mark.parametrize("precision", ["bf16"])
def test_lower_precision_paints_float32_near_the_same(precision: str) -> None:
    exact, fast = tiny()(job()), tiny(precision=precision)(job())
    assert fast.dtype == torch.float32 and bool(torch.isfinite(fast).all())
    assert not torch.equal(exact, fast)
    assert (exact - fast)[0][:, HOLE].abs().median() < 0.1


def test_painting_changes_neither_the_job_nor_the_networks() -> None:
    asked = job()
    before = asked.q.clone()
    texture = tiny()
    state = {k: v.clone() for k, v in texture.denoiser.state_dict().items()}
    painted = texture(asked)
    assert torch.equal(asked.q, before)
    assert all(torch.equal(state[k], v) for k, v in texture.denoiser.state_dict().items())
    assert not painted.requires_grad and painted.shape == asked.q.shape


@pytest.mark.parametrize("side", [64, 96])
def test_every_window_size_is_painted(side: int) -> None:
    q = torch.randn(1, 2, side, side, side, generator=seeded()) * 0.1
    hole = ball(side, 8)[None]
    asked = PaintingJob(q, hole, hole, ~hole, (Appearance(),), (1,))
    assert tiny(steps=1)(asked).shape == (1, 2, side, side, side)
