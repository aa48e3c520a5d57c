"""What is painted, how often, with which bank; and what must not be in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segmentation_cases import named_case
from synbt_aug.data.bank import bank_of
from synbt_aug.errors import SynBTError
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import to_linear
from synbt_aug.train.crops import Crop
from synbt_aug.train.segmentation_synthetic import (
    LINEAR,
    REAL_ONLY,
    Painter,
    SyntheticPlan,
    linear,
    make_painter,
    refuse_leaks,
)
from synbt_aug.weights import load_without_networks


def crop_of(case) -> Crop:
    return Crop(case.q.float(), case.valid, case.tumor)


def painter_in_the_middle(plan: SyntheticPlan, cases) -> Painter:
    """As `make_painter` makes it, but with a site map of its own: anywhere."""
    painter = make_painter(plan, cases)
    assert painter is not None
    inject = painter.injector

    def anywhere(images, labels, **given):
        roi = torch.zeros(images.shape[0], *images.shape[2:], dtype=torch.bool)
        roi[:, 16:48, 16:48, 16:48] = True
        return inject(images, labels, roi=roi, **given)

    painter.injector = anywhere  # type: ignore[assignment]
    return painter


@pytest.fixture(scope="module")
def cases():
    return [named_case(0), named_case(1)]


def test_the_references_handed_over_map_linear_intensities_to_themselves() -> None:
    s = torch.randn(2, 4, 4, 4)
    torch.testing.assert_close(to_linear(s, LINEAR), s)


@pytest.mark.parametrize("texture", ["syntumor", "copy_paste"])
def test_what_is_new_in_the_label_is_bright_in_post_and_the_rest_is_untouched(
    texture: str, cases
) -> None:
    crop = linear(crop_of(named_case(5, tumor=False)))
    painter = painter_in_the_middle(SyntheticPlan(texture, "add"), cases)
    after, painted = painter(crop, generator=torch.Generator().manual_seed(0))
    new = after.tumor > 0
    assert painted and set(after.tumor.unique().tolist()) == {0, 255}
    assert float(after.q[1][new].mean()) > float(crop.q[1][new].mean()) + 0.2
    far = torch.nn.functional.max_pool3d(new.float()[None, None], 7, 1, 3)[0, 0] == 0
    assert torch.equal(after.q[:, far], crop.q[:, far])
    assert not after.q.requires_grad


def test_without_chance_nothing_is_painted_and_nothing_loaded(cases) -> None:
    assert make_painter(REAL_ONLY, cases) is None
    assert make_painter(SyntheticPlan("diffusion", "add", 0.0), cases) is None
    assert not REAL_ONLY.paints and "injection" not in REAL_ONLY.to_dict()


def test_the_bank_is_the_training_cases_own_unless_another_is_asked_for(cases) -> None:
    own = make_painter(SyntheticPlan("syntumor", "add"), cases)
    assert own is not None
    assert {t.source for t in own.synthesizer.bank.templates} == {"case_0", "case_1"}
    shipped = make_painter(SyntheticPlan("syntumor", "add"), cases, bank="shipped")
    assert shipped is not None
    assert shipped.facts()["bank_digest"] == load_without_networks("shipped").bank.digest


def test_a_replaced_sample_is_painted_every_other_time_and_an_added_one_always() -> None:
    assert SyntheticPlan("syntumor", "replace").chance == 0.5
    assert SyntheticPlan("syntumor", "add").chance == 1.0
    assert SyntheticPlan("syntumor", "add", 0.25).settings.probability == 0.25
    assert SyntheticPlan("copy_paste", "add").settings.texture == "copy_paste"


def test_channels_and_labels_of_a_dataset_do_not_reach_the_crops() -> None:
    of_dataset = InjectionSettings(
        pre_channel=1, post_channel=0, tumor_label=2, roi_labels=(3,), paint_over=(4,), steps=7
    )
    settings = SyntheticPlan("diffusion", "add", injection=of_dataset).settings
    assert settings == InjectionSettings(probability=1.0, steps=7)


def test_a_bank_of_held_out_cases_is_refused(cases) -> None:
    plan = SyntheticPlan("syntumor", "add")
    with pytest.raises(SynBTError, match=r"bank holds tumors of 1 of the held-out cases \(case_1"):
        make_painter(plan, cases, held_out=["case_1", "case_9"])


def test_weights_that_saw_held_out_cases_are_refused(cases) -> None:
    from synbt_aug.weights import load_weights

    weights = load_weights("shipped")
    seen = replace(weights, card={"denoiser": {"cases": ["case_7"]}})
    with pytest.raises(SynBTError, match="'shipped' were trained on 1 of the held-out cases"):
        refuse_leaks(seen, bank_of(cases), ["case_7"])
    with pytest.raises(SynBTError, match=r"held-out cases \(CASE_7\)"):
        refuse_leaks(seen, bank_of(cases), ["CASE_7"])
    refuse_leaks(load_without_networks("shipped"), bank_of(cases), ["phantom_0000000"])


def test_plans_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SynBTError, match="--synthetic takes one of none, .*got 'gan'"):
        SyntheticPlan("gan")
    with pytest.raises(SynBTError, match="--mode takes replace or add, got 'mix'"):
        SyntheticPlan(mode="mix")
    with pytest.raises(SynBTError, match="--probability takes a number from 0 to 1, got 2"):
        SyntheticPlan(probability=2)
