from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from analytic import breast, ellipsoid, find_tissue, painter, reorder, seeded, tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate import Fit, FitCase, measure_fit
from synbt_aug.evaluate.case_fit import largest_lesion, measure_case
from synbt_aug.evaluate.findings import RealTumors, Repainted, TissueFit
from synbt_aug.intensity import inverse_knee
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import PaintingJob
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.bank import TumorBank
from synbt_aug.volume import BreastVolume
from synbt_aug.weights import Weights, shipped_folder


class PerfectCodec(nn.Module):
    """Loses nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def encode(self, x: Tensor) -> Tensor:
        return x

    def quantize(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z, z

    def decode(self, z: Tensor) -> Tensor:
        return z


class Repeat:
    """Paints what was there, in post less a contrast, with noise."""

    name = "repeat"
    hole_margin_mm = 2.0
    needs_signal = False

    def __init__(self, less: float = 0.0, noise: float = 0.0) -> None:
        self.less, self.noise = less, noise
        self.autoencoder = PerfectCodec()
        self.wishes: list[Appearance] = []

    def __call__(self, job: PaintingJob) -> Tensor:
        self.wishes += job.appearance
        painted = inverse_knee(job.q)
        painted[:, 1] -= self.less * job.mask
        return painted + self.noise * job.noise(2, job.side)

    def recipe(self) -> dict[str, object]:
        return {"name": self.name}


@lru_cache(maxsize=1)
def spread_weights() -> Weights:
    """Tiny weights whose bank enhances by .2 to 2 ranges."""
    bank = tiny_weights().bank
    templates = [
        t._replace(appearance=replace(t.appearance, enhancement=0.2 + 0.36 * k))
        for k, t in enumerate(bank.templates)
    ]
    return replace(tiny_weights(), bank=TumorBank(tuple(templates)))


def synthesizer(less: float = 0.0, noise: float = 0.0) -> TumorSynthesizer:
    return TumorSynthesizer(spread_weights(), texture=Repeat(less, noise), tissue=find_tissue)


@lru_cache(maxsize=8)
def with_tumor(seed: int = 0, post: float = 200.0, pre: float = 20.0) -> BreastVolume:
    """The analytic breast with a ball of 14 mm."""
    host = breast(seed=seed)
    tumor = ellipsoid(host.shape, (30.0, 36.0, 30.0), (7.0, 7.0, 7.0))
    image = host.image.clone()
    image[0][tumor] += pre
    image[1][tumor] += post
    return replace(host, image=image, tumor=tumor)


def swapped() -> BreastVolume:
    return replace(with_tumor(), image=with_tumor().image.flip(0))


def too_little_signal() -> BreastVolume:
    valid = torch.zeros(breast().shape, dtype=torch.bool)
    valid[20, 30, 30:40] = True
    return replace(breast(), valid=valid)


def case(volume: BreastVolume, name: str = "A") -> FitCase:
    return FitCase(name, volume)


@lru_cache(maxsize=1)
def perfect() -> Fit:
    return measure_fit([case(with_tumor())], synthesizer())


def test_a_texture_and_a_codec_that_lose_nothing_fit() -> None:
    fit = perfect()
    assert fit.ok and fit.reasons == () and fit.advice is None
    assert fit.tissue.explained == (1.0, 1.0)
    assert fit.tumors is not None and fit.repainted is not None
    assert fit.tumors.count == fit.repainted.count == 1
    assert fit.repainted.off == pytest.approx(0.0, abs=1e-4)
    assert fit.repainted.grain == pytest.approx((1.0, 1.0), abs=1e-3)
    assert fit.repainted.visible[0] == pytest.approx(fit.repainted.visible[1], abs=1e-3)
    assert fit.line().startswith("SynBT fit: good (1 case, 1 tumor painted again): tissue rebuilt")
    assert "\n" not in fit.line()


def test_the_tumor_is_asked_for_as_it_was_measured() -> None:
    painted = synthesizer()
    fit = measure_fit([case(with_tumor())], painted)
    assert isinstance(painted.texture, Repeat) and fit.tumors is not None
    (wish,) = painted.texture.wishes
    assert wish.enhancement == fit.tumors.enhancement
    assert None not in wish.to_dict().values()


def test_enhancement_is_in_reference_ranges() -> None:
    # The tumor gains 200 over fat and gland of 105 to 128; the range is 2.5 medians of tissue.
    tumors = perfect().tumors
    assert tumors is not None
    assert 200 / (2.5 * 128) - 0.1 < tumors.enhancement < 200 / (2.5 * 105) + 0.1


def test_an_untrained_codec_does_not_fit_and_both_trainings_are_advised() -> None:
    fit = measure_fit([case(with_tumor())], painter())
    assert not fit.ok
    assert any("of its variance kept (at least 40%)" in reason for reason in fit.reasons)
    assert fit.advice is not None
    assert "synbt train autoencoder --init WEIGHTS --data DATASET -o CODEC" in fit.advice
    assert "synbt train denoiser --init WEIGHTS" in fit.advice
    assert "--autoencoder CODEC" in fit.advice
    assert fit.line().startswith("SynBT fit: poor (1 case, 1 tumor painted again): ")


def test_tumors_painted_too_faint_advise_to_train_the_denoiser() -> None:
    # A range is 2 units before the knee: .35 ranges of .77 are gone.
    fit = measure_fit([case(with_tumor())], synthesizer(less=0.7))
    assert fit.repainted is not None and fit.repainted.off == pytest.approx(0.35 / 0.77, abs=0.05)
    assert [f.what for f in fit.findings if not f.good] == ["repainting"]
    assert "at most 35%" in fit.reasons[0]
    assert fit.advice is not None and "--autoencoder WEIGHTS" in fit.advice
    assert "train autoencoder" not in fit.advice


def test_tumors_grainier_than_the_scan_do_not_fit() -> None:
    fit = measure_fit([case(with_tumor())], synthesizer(noise=0.1))
    poor = [f.what for f in fit.findings if not f.good]
    assert poor == ["grain"]
    assert fit.repainted is not None and min(fit.repainted.grain) > 2


def test_a_swapped_pair_is_named_and_is_the_datas_fault() -> None:
    fit = measure_fit([case(with_tumor(), "A"), case(swapped(), "B")], synthesizer())
    assert fit.tumors is not None and fit.tumors.swapped == ("B",)
    assert not fit.ok and "not so B" in fit.line()
    assert fit.advice is not None and "pre and post come in this order" in fit.advice
    assert "synbt train" not in fit.line()


def test_one_swapped_pair_of_five_is_named_but_leaves_the_fit_good() -> None:
    cases = [case(with_tumor(), name) for name in "ABCD"] + [case(swapped(), "E")]
    fit = measure_fit(cases, synthesizer())
    assert fit.ok
    assert fit.line().endswith("no brighter in post than in pre: E")


def test_the_same_scan_twice_is_found_without_masks() -> None:
    twice = replace(breast(), image=breast().image[[1, 1]])
    fit = measure_fit([case(twice)], synthesizer())
    assert fit.reasons == ("pre and post are the same scan: A",)


def test_without_masks_only_the_codec_is_looked_at() -> None:
    empty = replace(breast(), tumor=torch.zeros(breast().shape, dtype=torch.bool))
    fit = measure_fit([case(breast(), "A"), case(empty, "B")], synthesizer())
    assert fit.ok and fit.cases == 2
    assert fit.tumors is None and fit.repainted is None
    assert [f.what for f in fit.findings] == ["tissue"]
    assert "(2 cases, no tumor painted again)" in fit.line()


def test_no_case_at_all_is_an_error() -> None:
    with pytest.raises(SynBTError, match="at least one case that can be used, got none"):
        measure_fit([], synthesizer())


def test_a_case_that_cannot_be_used_is_counted_with_its_reason() -> None:
    cases = [case(too_little_signal(), "broken"), case(with_tumor(), "whole")]
    fit = measure_fit(cases, synthesizer())
    assert fit.cases == 1 and fit.ok
    (reason,) = fit.unusable
    assert reason.startswith("broken: Intensity references need at least 64 valid voxels")
    assert "1 not usable, such as broken" in fit.line()


def test_only_cases_that_cannot_be_used_are_an_error_with_the_first_reason() -> None:
    cases = [case(too_little_signal(), "broken")]
    with pytest.raises(SynBTError, match="none of 1 can be. broken: Intensity references need"):
        measure_fit(cases, synthesizer())


def just(count: int) -> Iterator[FitCase]:
    """So many cases; whoever asks for one more fails."""
    for number in range(count):
        yield case(with_tumor(), str(number))
    raise AssertionError("a case was read that nobody looks at")


def test_one_case_is_finished_when_there_is_no_time() -> None:
    fit = measure_fit(just(1), synthesizer(), max_seconds=0)
    assert fit.cases == 1 and fit.repainted is not None


def test_no_more_cases_are_read_than_asked_for() -> None:
    done: list[int] = []
    fit = measure_fit(just(2), synthesizer(), most_cases=2, on_case=done.append)
    assert fit.cases == 2 and done == [1, 2]


def test_when_time_is_over_within_a_case_its_tumor_is_measured_but_not_painted() -> None:
    found = measure_case(case(with_tumor()), synthesizer(), seeded(), late=lambda: True)
    assert found.tumor is not None and found.tumor.painted is None


def figures(fit: Fit) -> list[float]:
    tumors, again = fit.tumors, fit.repainted
    assert tumors is not None and again is not None
    return [*fit.tissue.explained, tumors.enhancement, *again.visible, *again.grain]


def test_the_scale_of_the_signal_does_not_matter() -> None:
    image = with_tumor().image
    scored = (image - image.mean((1, 2, 3), keepdim=True)) / image.std((1, 2, 3), keepdim=True)
    fit = measure_fit([case(replace(with_tumor(), image=scored))], synthesizer())
    assert figures(fit) == pytest.approx(figures(perfect()), abs=2e-3)


def test_the_order_of_the_axes_does_not_matter() -> None:
    volume = with_tumor()
    assert volume.tumor is not None
    order, flip = (2, 0, 1), (1,)
    turned = BreastVolume(
        reorder(volume.image, order, flip), tumor=reorder(volume.tumor, order, flip)
    )
    fit = measure_fit([case(turned)], synthesizer())
    assert figures(fit) == pytest.approx(figures(perfect()), abs=0.02)


def test_thick_slices_are_measured_in_mm() -> None:
    volume = with_tumor()
    assert volume.tumor is not None
    thin = BreastVolume(volume.image[..., ::2], (1.0, 1.0, 2.0), tumor=volume.tumor[..., ::2])
    fit = measure_fit([case(thin)], synthesizer())
    thick, whole = fit.tumors, perfect().tumors
    assert fit.ok and thick is not None and whole is not None
    # Partial volume at both ends of the ball takes a little.
    assert thick.enhancement == pytest.approx(whole.enhancement, abs=0.12)


def test_a_case_is_measured_alike_whatever_came_before_it() -> None:
    alone = measure_fit([case(with_tumor(), "B")], painter())
    after = measure_fit([case(too_little_signal(), "A"), case(with_tumor(), "B")], painter())
    assert replace(after, unusable=(), seconds=0.0) == replace(alone, seconds=0.0)


def test_neither_volumes_nor_global_state_are_touched() -> None:
    volume = with_tumor()
    assert volume.tumor is not None
    before = volume.image.clone(), volume.tumor.clone(), torch.get_rng_state()
    measure_fit([case(volume)], painter())
    for old, new in zip(before, (volume.image, volume.tumor, torch.get_rng_state()), strict=True):
        assert torch.equal(old, new)
    assert torch.is_grad_enabled()


def test_the_dictionary_is_json() -> None:
    fit = perfect()
    read = json.loads(json.dumps(fit.to_dict(), allow_nan=False))
    assert read["ok"] is True and read["reasons"] == []
    assert read["tumors"]["count"] == 1 and read["repainted"]["count"] == 1


def lump(radius_mm: float, centre: tuple[float, ...], side: int = 120) -> Tensor:
    return ellipsoid((side,) * 3, centre, (radius_mm,) * 3)


def test_the_largest_lesion_is_chosen() -> None:
    small, large = lump(5, (20, 20, 20)), lump(9, (60, 60, 60))
    chosen = largest_lesion(small | large, (1.0, 1.0, 1.0), 3.0)
    assert chosen is not None and torch.equal(chosen, large)


def test_a_lesion_in_a_cheaper_window_goes_before_a_larger_one() -> None:
    # 2 x 36 mm and margins do not fit 96 mm, 2 x 15 mm do.
    large, small = lump(36, (40, 60, 60)), lump(15, (100, 60, 60))
    chosen = largest_lesion(large | small, (1.0, 1.0, 1.0), 3.0)
    assert chosen is not None and torch.equal(chosen, small)


def test_fragments_and_lesions_beyond_any_window_are_not_chosen() -> None:
    assert largest_lesion(lump(2.5, (20, 20, 20)), (1.0, 1.0, 1.0), 3.0) is None
    assert largest_lesion(lump(55, (60, 60, 60)), (1.0, 1.0, 1.0), 3.0) is None
    assert largest_lesion(torch.zeros((8, 8, 8), dtype=torch.bool), (1.0, 1.0, 1.0), 3.0) is None


GOOD_TISSUE = TissueFit((22.0, 22.0), (0.5, 0.5), (0.9, 0.9), ())
GOOD_TUMORS = RealTumors(4, (), (22.0, 22.0), (0.0, 0.0), 0.8, (0.2, 2.0), 1.0, 9.0)
GOOD_AGAIN = Repainted(4, 0.8, 0.05, (0.95, 0.97), (1.0, 1.0))


@pytest.mark.parametrize(
    ("part", "what", "says"),
    [
        (replace(GOOD_TISSUE, gain_db=(-3.0, 0.0)), "tissue", "at most 2 dB behind"),
        (replace(GOOD_TISSUE, explained=(0.9, -0.2)), "tissue", "0% of its variance kept"),
        (replace(GOOD_TUMORS, in_range=0.25), "enhancement", "25% within the 0.20 to 2.00"),
        (replace(GOOD_TUMORS, contrast_to_noise=0.3), "contrast", "0.3 times the noise"),
        (replace(GOOD_TUMORS, gain_db=(0.0, -9.0)), "tumors", "-9.0 dB (post)"),
        (replace(GOOD_AGAIN, visible=(0.95, 0.7)), "visible", "70% of repainted labels visible"),
        (replace(GOOD_AGAIN, grain=(1.0, 0.3)), "grain", "0.30 (post) of the real ones'"),
    ],
)
def test_each_figure_has_a_limit(part: TissueFit, what: str, says: str) -> None:
    (poor,) = (finding for finding in part.findings() if not finding.good)
    assert poor.what == what and says in poor.says


def test_all_that_is_within_its_limits_is_good() -> None:
    fit = Fit("shipped", 4, (), GOOD_TISSUE, GOOD_TUMORS, GOOD_AGAIN, 1.0)
    assert fit.ok and len(fit.findings) == 8


def test_shipped_weights_are_advised_by_name() -> None:
    again = replace(GOOD_AGAIN, off=0.9)
    fit = Fit("shipped", 4, (), GOOD_TISSUE, GOOD_TUMORS, again, 1.0)
    assert fit.advice is not None
    assert "--init shipped --data DATASET -o DENOISER --autoencoder shipped" in fit.advice


@pytest.mark.slow
def test_shipped_weights_fit_a_phantom_but_not_the_swapped_one() -> None:
    if not (shipped_folder() / "manifest.json").is_file():
        pytest.skip("no weights in pretrained/synbt_aug_weights/shipped yet")
    made = make_phantom(1_000_001, PhantomSettings(shape=(96, 96, 80)))
    image = torch.stack([torch.from_numpy(made.pre), torch.from_numpy(made.post[0])]).float()
    volume = BreastVolume(image, made.spacing, tumor=torch.from_numpy(made.tumor))
    weights = TumorSynthesizer("shipped", steps=4)
    good = measure_fit([case(volume)], weights)
    assert good.ok, good.line()
    bad = measure_fit([case(replace(volume, image=image.flip(0)))], weights)
    assert not bad.ok and bad.tumors is not None and bad.tumors.swapped == ("A",)
