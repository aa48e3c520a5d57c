"""Sliding windows over whole cases, back on their own grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from segmentation_cases import named_case
from synbt_aug.train.segmentation_predict import Predictor, dice, score_cases
from synbt_aug.train.segmentation_preset import segmentation_preset
from synbt_aug.train.segmenters import Segmenter

TINY = segmentation_preset("tiny")


class Threshold(Segmenter):
    """Sees a tumor where post exceeds a level."""

    def __init__(self) -> None:
        super().__init__(TINY.network("unet"))
        self.sides: list[tuple[int, ...]] = []

    def forward(self, q: Tensor) -> Tensor:
        self.sides.append(tuple(q.shape[2:]))
        post = q[:, 1:]
        return torch.cat([torch.zeros_like(post), post - 0.8], dim=1)


def test_a_case_is_predicted_whole_whatever_the_window() -> None:
    case = named_case(0, side=50)
    predictor = Predictor(Threshold(), TINY, "patch")
    assert torch.equal(predictor(case.q), case.q[1].float() > 0.8)
    assert set(predictor.segmenter.sides) == {(32, 32, 32)}


def test_a_case_smaller_than_the_window_keeps_its_grid() -> None:
    case = named_case(0, side=40)
    predicted = Predictor(Threshold(), TINY, "volume")(case.q)
    assert torch.equal(predicted, case.q[1].float() > 0.8)


def test_at_half_the_resolution_the_answer_is_still_on_the_cases_grid() -> None:
    case = named_case(0, side=51)
    predictor = Predictor(Threshold(), replace(TINY, spacing_mm=2), "volume")
    (score,) = score_cases(predictor, [case])
    assert predictor(case.q).shape == (51, 51, 51) and score.dice > 0.9
    # No shift: a ball at half the resolution lies where it was, to a fraction of a voxel.
    found, true = (
        np.stack(np.nonzero(mask.numpy())).mean(1) for mask in (predictor(case.q), case.tumor > 0)
    )
    assert np.abs(found - true).max() < 0.25


def test_a_right_answer_scores_one_and_no_distance() -> None:
    case = named_case(0)
    case.q.copy_(torch.where(case.tumor > 0, 2.0, 0.0).expand(2, -1, -1, -1))
    told = []
    (score,) = score_cases(Predictor(Threshold(), TINY, "patch"), [case], on_case=told.append)
    assert score.dice == 1.0 and score.hd95_mm == 0.0 and told == [score]
    assert score.name == "case_0"


def test_the_network_is_left_in_the_mode_it_was_in() -> None:
    segmenter = Threshold().train()
    Predictor(segmenter, TINY, "patch")(named_case(0, side=32).q)
    assert segmenter.training


def test_dice_by_hand() -> None:
    a = torch.tensor([True, True, False, False])
    assert dice(a, torch.tensor([True, False, True, False])) == 0.5
    assert dice(a, ~a) == 0.0
    assert dice(torch.zeros(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)) == 1.0
