from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from analytic import breast, ellipsoid, find_tissue, painter, tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.codecs import by_codec
from synbt_aug.evaluate.realism.repaint import codec_of, rebuilt, repainted
from synbt_aug.host import Host
from synbt_aug.signal.grain import fine_part
from synbt_aug.signal.intensity import inverse_knee
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import PaintingJob, TumorInpainter
from synbt_aug.tumor.appearance import Appearance


class Codec(nn.Module):
    """Adds a constant to what it is shown, and loses nothing else."""

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__()
        self.offset = offset
        self.one = nn.Parameter(torch.ones(()))

    def encode(self, x: Tensor) -> Tensor:
        return x

    def quantize(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z, z

    def decode(self, z: Tensor) -> Tensor:
        return z + self.offset


def with_codec(codec: Codec) -> TumorSynthesizer:
    w = tiny_weights()
    texture = TumorInpainter(codec, w.denoiser, w.schedule, hole_margin_mm=2.0)  # type: ignore[arg-type]
    return TumorSynthesizer(w, texture=texture, tissue=find_tissue)


@lru_cache(maxsize=1)
def host() -> Host:
    """The analytic breast with a ball of 14 mm that gains 60 in post, below the knee."""
    volume = breast()
    tumor = ellipsoid(volume.shape, (30.0, 36.0, 30.0), (7.0, 7.0, 7.0))
    image = volume.image.clone()
    image[1][tumor] += 60
    return Host.of(replace(volume, image=image, tumor=tumor))


def lesion() -> Tensor:
    tumor = host().volume.tumor
    assert tumor is not None
    return tumor


def test_a_codec_that_loses_nothing_changes_the_tumor_by_the_noise_alone() -> None:
    same = rebuilt(host(), lesion(), with_codec(Codec()))
    assert same is not None
    image = host().volume.image
    change = (same.image - image)[:, same.support]
    # In pre nothing but noise varies from voxel to voxel.
    noise = fine_part(image)[0, same.support].std()
    assert bool((change.mean(1).abs() < 0.1 * noise).all())
    assert bool((change.std(1) < 1.2 * noise).all()) and bool((change.std(1) > 0.5 * noise).all())


def test_what_the_codec_adds_shows_in_the_tumor_and_nowhere_else() -> None:
    image, offset = host().volume.image, 0.1
    same = rebuilt(host(), lesion(), with_codec(Codec(offset)))
    assert same is not None
    change = same.image - image
    assert torch.equal(same.image[:, ~same.support], image[:, ~same.support])
    # Half of the reference range is one unit of the mapped signal. The grain's own mean is not
    # given back, so what the codec shifts stays shifted.
    expected = offset / 2 * host().reference.range(image).flatten()
    inside = ellipsoid(tuple(lesion().shape), (30.0, 36.0, 30.0), (5.0, 5.0, 5.0))
    assert change[0][inside].mean() == pytest.approx(float(expected[0]), rel=0.05)
    assert change[1][inside].mean() == pytest.approx(float(expected[1]), rel=0.05)


def test_the_tumors_own_voxels_are_free_and_others_stay() -> None:
    other = ellipsoid(tuple(lesion().shape), (30.0, 50.0, 36.0), (6.0, 6.0, 6.0))
    both = Host.of(replace(host().volume, tumor=lesion() | other))
    same = rebuilt(both, lesion(), with_codec(Codec(0.1)))
    assert same is not None
    assert bool((same.support & lesion()).any())
    assert not bool((same.support & other & ~lesion()).any())


class Remembers:
    """Paints what was there and keeps the wishes."""

    name = "remembers"
    hole_margin_mm = 2.0
    needs_signal = False
    replaces = False

    def __init__(self) -> None:
        self.wishes: list[Appearance] = []

    def __call__(self, job: PaintingJob) -> Tensor:
        self.wishes += job.appearance
        return inverse_knee(job.q) + job.noise(2, job.shape)

    def recipe(self) -> dict[str, object]:
        return {"name": self.name}


def test_a_tumor_is_painted_anew_by_its_own_appearance_and_the_seed() -> None:
    texture, synthesizer = Remembers(), painter()
    first, again, other = (
        repainted(host(), lesion(), synthesizer, seed=s, texture=texture) for s in (1, 1, 2)
    )
    assert first is not None and again is not None and other is not None
    (wish, _, _) = texture.wishes
    assert None not in wish.to_dict().values()
    expected = 60 / float(host().reference.range(host().volume.image)[1])
    assert wish.enhancement == pytest.approx(expected, abs=0.1)
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)


def test_a_texture_without_networks_has_no_codec() -> None:
    with pytest.raises(SynBTError, match="'flat' does without"):
        rebuilt(host(), lesion(), painter())
    with pytest.raises(SynBTError, match="'flat' does without"):
        codec_of(painter())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_codec_is_measured_in_float32_whatever_paints(precision: str) -> None:
    synthesizer = TumorSynthesizer(tiny_weights(), precision=precision, tissue=find_tissue)
    codec = codec_of(synthesizer)
    assert {p.dtype for p in codec.parameters()} == {torch.float32}
    image, reference = host().volume.image, host().reference
    found = by_codec(codec)(image, reference)
    assert torch.equal(found, by_codec(tiny_weights().autoencoder)(image, reference))
