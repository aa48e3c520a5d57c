from __future__ import annotations

import itertools
import json
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from analytic import breast, ellipsoid, find_tissue, painter, reorder, tiny_weights
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate import Fit, FitCase, measure_fit, spread_first
from synbt_aug.evaluate.case_fit import largest_lesion
from synbt_aug.evaluate.compare_fits import fit_rows, which_fits_best
from synbt_aug.evaluate.findings import RealTumors, Repainted, TissueFit
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.signal.intensity import inverse_knee
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
    replaces = False

    def __init__(self, less: float = 0.0, noise: float = 0.0) -> None:
        self.less, self.noise = less, noise
        self.autoencoder = PerfectCodec()
        self.wishes: list[Appearance] = []

    def __call__(self, job: PaintingJob) -> Tensor:
        self.wishes += job.appearance
        painted = inverse_knee(job.q)
        painted[:, 1] -= self.less * job.mask
        return painted + self.noise * job.noise(2, job.shape)

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


def three(volume: BreastVolume) -> list[FitCase]:
    """The same scan under three names: enough for a verdict."""
    return [case(volume, name) for name in "ABC"]


@lru_cache(maxsize=1)
def perfect() -> Fit:
    return measure_fit(three(with_tumor()), synthesizer())


def test_a_texture_and_a_codec_that_lose_nothing_fit() -> None:
    fit = perfect()
    assert fit.verdict == "good" and fit.reasons == () and fit.advice is None
    assert fit.commands == ()
    assert fit.tissue.explained == (1.0, 1.0)
    assert fit.tumors is not None and fit.repainted is not None
    assert fit.tumors.count == fit.repainted.count == 3
    assert fit.repainted.off == pytest.approx(0.0, abs=1e-4)
    assert fit.repainted.grain == pytest.approx((1.0, 1.0), abs=1e-3)
    assert fit.repainted.visible[0] == pytest.approx(fit.repainted.visible[1], abs=1e-3)
    assert fit.line().startswith(
        "SynBT fit: good (3 cases, 3 tumors painted again): tissue rebuilt"
    )
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


def test_an_untrained_codec_does_not_fit_and_the_commands_to_type_are_told() -> None:
    fit = measure_fit(three(with_tumor()), painter(), dataset="my data", weights="w")
    assert fit.verdict == "poor"
    assert any("of its variance kept (at least 40%)" in reason for reason in fit.reasons)
    codec, denoiser, doctor = fit.commands
    assert codec == "synbt train autoencoder --init w --data 'my data' -o fitted-codec"
    assert denoiser == (
        "synbt train denoiser --init w --autoencoder fitted-codec --data 'my data' -o fitted"
    )
    assert doctor == "synbt doctor 'my data' --weights w --weights fitted/weights"
    assert fit.line().startswith("SynBT fit: poor (3 cases, 3 tumors painted again): ")
    assert f"`{codec}`, then `{denoiser}`" in fit.line()


def test_weights_for_a_fold_learn_from_its_training_cases() -> None:
    fit = measure_fit(three(with_tumor()), painter(), fold=2)
    assert "--data DATASET --fold 2 -o fitted-codec" in fit.commands[0]
    assert "--data DATASET --fold 2 -o fitted" in fit.commands[1]


def test_commands_are_those_of_the_command_line() -> None:
    """Each option that is advised exists."""
    from typer.testing import CliRunner

    from synbt_aug.cli.app import app

    fit = measure_fit(three(with_tumor()), painter(), fold=0)
    for command in fit.commands:
        words = shlex.split(command)
        names = list(itertools.takewhile(lambda w: w.isalpha() and w != "DATASET", words[1:]))
        said = CliRunner().invoke(app, [*names, "--help"]).output
        options = {word for word in words if word.startswith("-")}
        assert options and all(option in said for option in options), command


def test_tumors_painted_too_faint_advise_to_train_the_denoiser() -> None:
    # A range is 2 units before the knee: .35 ranges of .77 are gone.
    fit = measure_fit(three(with_tumor()), synthesizer(less=0.7))
    assert fit.repainted is not None and fit.repainted.off == pytest.approx(0.35 / 0.77, abs=0.05)
    assert [f.what for f in fit.findings if f.verdict == "poor"] == ["repainting"]
    assert "at most 35%" in fit.reasons[0]
    denoiser, _ = fit.commands
    assert denoiser.startswith("synbt train denoiser --init WEIGHTS --autoencoder WEIGHTS ")


def test_tumors_grainier_than_the_scan_do_not_fit() -> None:
    fit = measure_fit(three(with_tumor()), synthesizer(noise=0.1))
    poor = [f.what for f in fit.findings if f.verdict != "good"]
    assert poor == ["grain"]
    assert fit.repainted is not None and min(fit.repainted.grain) > 2


def test_a_swapped_pair_is_named_and_is_the_datas_fault() -> None:
    cases = [case(with_tumor(), "A"), case(swapped(), "B"), case(swapped(), "C")]
    fit = measure_fit(cases, synthesizer())
    assert fit.tumors is not None and fit.tumors.swapped == ("B", "C")
    assert fit.verdict == "poor" and "not so B, C" in fit.line()
    assert fit.advice is not None and "pre and post come in this order" in fit.advice
    assert fit.commands == () and "synbt train" not in fit.line()


def test_one_swapped_pair_of_five_is_named_but_leaves_the_fit_good() -> None:
    cases = [case(with_tumor(), name) for name in "ABCD"] + [case(swapped(), "E")]
    fit = measure_fit(cases, synthesizer())
    assert fit.verdict == "good"
    assert fit.line().endswith("no brighter in post than in pre: E")


def test_the_same_scan_twice_is_found_without_masks() -> None:
    twice = replace(breast(), image=breast().image[[1, 1]])
    fit = measure_fit([case(twice)], synthesizer())
    # One such case is no statistic: it needs no others to be wrong.
    assert fit.verdict == "poor"
    assert fit.reasons == ("pre and post are the same scan: A",)


def test_without_masks_only_the_codec_is_looked_at() -> None:
    empty = replace(breast(), tumor=torch.zeros(breast().shape, dtype=torch.bool))
    cases = [case(breast(), "A"), case(empty, "B"), case(breast(), "C")]
    fit = measure_fit(cases, synthesizer())
    assert fit.verdict == "good" and fit.cases == 3
    assert fit.tumors is None and fit.repainted is None
    assert [f.what for f in fit.findings] == ["tissue"]
    assert "(3 cases, no tumor painted again)" in fit.line()


def test_no_case_at_all_is_an_error() -> None:
    with pytest.raises(SynBTError, match="at least one case that can be used, got none"):
        measure_fit([], synthesizer())


def test_a_case_that_cannot_be_used_is_counted_with_its_reason() -> None:
    fit = measure_fit([case(too_little_signal(), "broken"), *three(with_tumor())], synthesizer())
    assert fit.cases == 3 and fit.verdict == "good"
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


def test_no_more_cases_are_read_than_asked_for() -> None:
    done: list[int] = []
    fit = measure_fit(just(2), synthesizer(), max_cases=2, on_case=done.append)
    assert fit.cases == 2 and done == [1, 2]


def test_a_case_that_cannot_be_used_is_made_up_for_by_the_next() -> None:
    cases = [case(too_little_signal(), "broken"), *three(with_tumor()), case(with_tumor(), "D")]
    fit = measure_fit(cases, synthesizer(), max_cases=3)
    assert fit.cases == 3 and len(fit.unusable) == 1


def test_cases_without_a_tumor_are_made_up_for_where_others_have_one() -> None:
    empty = replace(with_tumor(), tumor=torch.zeros(breast().shape, dtype=torch.bool))
    cases = [case(with_tumor(), "A"), case(empty, "B"), case(empty, "C"), case(with_tumor(), "D")]
    fit = measure_fit([*cases, case(with_tumor(), "E")], synthesizer(), max_cases=2)
    assert fit.cases == 4 and fit.tumors is not None and fit.tumors.count == 2


def test_twice_as_many_cases_are_looked_at_at_most() -> None:
    empty = replace(with_tumor(), tumor=torch.zeros(breast().shape, dtype=torch.bool))
    done: list[int] = []
    cases = [case(empty, str(number)) for number in range(9)]
    fit = measure_fit(cases, synthesizer(), max_cases=2, on_case=done.append)
    assert fit.cases == 4 and done == [1, 2, 3, 4]


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_cases_decide_nothing(count: int) -> None:
    for texture in (synthesizer(), painter()):
        fit = measure_fit(three(with_tumor())[:count], texture)
        assert fit.verdict == "undecided" and fit.commands == ()
        assert "SynBT fit: undecided" in fit.line()
        assert fit.line().endswith("a verdict needs tumors with masks in at least 3 cases")


def test_two_tumors_in_three_cases_decide_nothing() -> None:
    cases = [case(with_tumor(), "A"), case(with_tumor(), "B"), case(breast(), "C")]
    fit = measure_fit(cases, synthesizer())
    verdicts = {finding.what: finding.verdict for finding in fit.findings}
    assert verdicts["tissue"] == "good" and verdicts["grain"] == "undecided"
    assert fit.verdict == "undecided"


def test_a_busy_machine_comes_to_the_same_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    # An hour passes whenever somebody looks at the clock.
    hours = itertools.count(step=3600.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(hours))
    busy = measure_fit(three(with_tumor()), synthesizer())
    assert busy.seconds >= 3600
    assert replace(busy, seconds=0.0) == replace(perfect(), seconds=0.0)


@pytest.mark.parametrize(("steps", "verdict"), [(0, "poor"), (1, "good")])
def test_weights_whose_denoiser_was_never_trained_are_not_called_good(
    steps: int, verdict: str
) -> None:
    card = {"denoiser": {"training": {"steps": steps}}}
    weights = replace(spread_weights(), card=card)
    untrained = TumorSynthesizer(weights, texture=Repeat(), tissue=find_tissue)
    fit = measure_fit(three(with_tumor()), untrained)
    assert fit.denoiser_steps == steps and fit.verdict == verdict
    assert ("the denoiser was trained for 0 steps" in fit.line()) == (steps == 0)


def test_the_first_of_a_spread_lie_evenly_and_none_is_left_out() -> None:
    order = spread_first(range(50), 5)
    assert order[:5] == [0, 10, 20, 30, 40] and sorted(order) == list(range(50))
    assert spread_first(range(7), 5)[:5] == [0, 1, 2, 4, 5]
    assert spread_first(range(3), 5) == [0, 1, 2]
    assert spread_first([], 5) == []


def figures(fit: Fit) -> list[float]:
    tumors, again = fit.tumors, fit.repainted
    assert tumors is not None and again is not None
    return [*fit.tissue.explained, tumors.enhancement, *again.visible, *again.grain]


def test_the_scale_of_the_signal_does_not_matter() -> None:
    image = with_tumor().image
    scored = (image - image.mean((1, 2, 3), keepdim=True)) / image.std((1, 2, 3), keepdim=True)
    fit = measure_fit(three(replace(with_tumor(), image=scored)), synthesizer())
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
    fit = measure_fit(three(thin), synthesizer())
    thick, whole = fit.tumors, perfect().tumors
    assert fit.verdict == "good" and thick is not None and whole is not None
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
    assert read["verdict"] == "good" and read["reasons"] == [] and read["commands"] == []
    assert read["tumors"]["count"] == 3 and read["repainted"]["count"] == 3


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
GOOD_TUMORS = RealTumors(6, (), (22.0, 22.0), (0.0, 0.0), 0.8, (0.2, 2.0), 1.0, 9.0)
GOOD_AGAIN = Repainted(6, 0.8, 0.05, (0.95, 0.97), (1.0, 1.0))


def a_fit(*parts: TissueFit | RealTumors | Repainted) -> Fit:
    found = {type(part): part for part in (GOOD_TISSUE, GOOD_TUMORS, GOOD_AGAIN, *parts)}
    tissue, tumors, again = found[TissueFit], found[RealTumors], found[Repainted]
    return Fit("w", 6, (), tissue, tumors, again, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("part", "what", "verdict", "says"),
    [
        (replace(GOOD_TISSUE, gain_db=(-3.0, 0.0)), "tissue", "poor", "(at most 2 dB)"),
        (replace(GOOD_TISSUE, gain_db=(0.0, -1.51)), "tissue", "fair", "-1.51 dB (post)"),
        (replace(GOOD_TISSUE, explained=(0.9, -0.2)), "tissue", "poor", "0% of its variance kept"),
        (replace(GOOD_TISSUE, explained=(0.4, 0.9)), "tissue", "fair", "(good: at least 50%)"),
        (replace(GOOD_TUMORS, in_range=0.25), "enhancement", "poor", "25% within the 0.20 to 2"),
        (replace(GOOD_TUMORS, in_range=0.5), "enhancement", "fair", "(good: at least 60%)"),
        (replace(GOOD_TUMORS, contrast_to_noise=0.3), "contrast", "poor", "0.3 times the noise"),
        (replace(GOOD_TUMORS, contrast_to_noise=2.99), "contrast", "fair", "2.99 times the"),
        (replace(GOOD_TUMORS, gain_db=(0.0, -9.0)), "tumors", "poor", "-9.0 dB (post)"),
        (replace(GOOD_TUMORS, swapped=("A", "B", "C")), "order", "poor", "3 of 6 tumors brighter"),
        (replace(GOOD_TUMORS, swapped=("A", "B")), "order", "fair", "4 of 6 tumors brighter"),
        (replace(GOOD_AGAIN, off=0.351), "repainting", "poor", "35.1% off"),
        (replace(GOOD_AGAIN, off=0.3), "repainting", "fair", "(good: at most 20%)"),
        (replace(GOOD_AGAIN, visible=(0.95, 0.7)), "visible", "poor", "25% less (at most 20%)"),
        (
            replace(GOOD_AGAIN, visible=(0.95, 0.8)),
            "visible",
            "fair",
            "15% less (good: at most 10%)",
        ),
        (replace(GOOD_AGAIN, grain=(1.0, 0.3)), "grain", "poor", "0.30 (post) of the real ones'"),
        (replace(GOOD_AGAIN, grain=(2.004, 1.0)), "grain", "fair", "2.004 (pre)"),
        (replace(GOOD_AGAIN, grain=(1.0, 0.4)), "grain", "fair", "(good: 0.5 to 2)"),
    ],
)
def test_each_figure_has_two_limits(
    part: TissueFit | RealTumors | Repainted, what: str, verdict: str, says: str
) -> None:
    fit = a_fit(part)
    (found,) = (finding for finding in fit.findings if finding.verdict != "good")
    assert (found.what, found.verdict) == (what, verdict)
    assert says in found.says and found.says in fit.reasons and fit.verdict == verdict


def test_a_fair_fit_says_that_the_weights_can_be_used() -> None:
    fit = a_fit(replace(GOOD_AGAIN, grain=(1.0, 0.45)))
    assert "usable; fine-tuned weights may fit better: `synbt train autoencoder" in fit.line()


def test_all_that_is_within_its_limits_is_good() -> None:
    assert a_fit().verdict == "good" and len(a_fit().findings) == 8


def test_weights_are_shown_side_by_side_with_the_better_ones_named() -> None:
    fits = {"a": a_fit(), "b": a_fit(replace(GOOD_AGAIN, off=0.9, grain=(1.0, 0.45)))}
    rows = {row[0]: row[1:] for row in fit_rows(fits)}
    assert rows[""] == ("a", "b") and rows["verdict"] == ("good", "poor")
    assert rows["repainting"] == ("5% off", "90% off (poor)")
    assert rows["grain"] == ("1.00 / 1.00", "1.00 / 0.45 (fair)")
    assert rows["tissue"] == ("+0.5 / +0.5 dB, 90%",) * 2
    assert which_fits_best(fits) == "a fits best: good."


def test_weights_that_do_equally_well_are_not_ranked() -> None:
    fits = {"a": a_fit(), "b": a_fit(replace(GOOD_AGAIN, off=0.1))}
    assert which_fits_best(fits) == "By these figures, none of them fits better than another."
    fits |= {"c": a_fit(replace(GOOD_AGAIN, off=0.3))}
    assert which_fits_best(fits) == "a and b fit best: good."


def test_of_two_fair_ones_the_one_with_more_good_figures_is_better() -> None:
    one = a_fit(replace(GOOD_AGAIN, off=0.3))
    other = a_fit(replace(GOOD_AGAIN, off=0.3, grain=(1.0, 0.45)))
    assert which_fits_best({"one": one, "other": other}) == "one fits best: fair."


def test_a_figure_that_one_set_lacks_is_a_dash() -> None:
    without = replace(a_fit(), tumors=None, repainted=None)
    rows = {row[0]: row[1:] for row in fit_rows({"a": without, "b": a_fit()})}
    assert rows["grain"] == ("-", "1.00 / 1.00")


@pytest.mark.slow
def test_shipped_weights_fit_phantoms_but_not_swapped_ones() -> None:
    if not (shipped_folder() / "manifest.json").is_file():
        pytest.skip("no weights in pretrained/synbt_aug_weights/shipped yet")
    volumes = []
    for seed in (1_000_000, 1_000_001, 1_000_003):
        made = make_phantom(seed, PhantomSettings(shape=(96, 96, 80)))
        image = torch.stack([torch.from_numpy(made.pre), torch.from_numpy(made.post[0])]).float()
        volumes.append(BreastVolume(image, made.spacing, tumor=torch.from_numpy(made.tumor)))
    weights = TumorSynthesizer("shipped", steps=4)
    cases = [case(volume, name) for volume, name in zip(volumes, "ABC", strict=True)]
    fits = measure_fit(cases, weights)
    # The shipped weights saw smoother tumors, of generator version 1: usable, not more.
    assert fits.verdict in ("good", "fair"), fits.line()
    turned = [
        replace(one, volume=replace(one.volume, image=one.volume.image.flip(0))) for one in cases
    ]
    bad = measure_fit(turned, weights)
    assert bad.verdict == "poor" and bad.tumors is not None
    assert bad.tumors.swapped == ("A", "B", "C")
