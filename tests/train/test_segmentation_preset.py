from __future__ import annotations

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.train.segmentation_preset import SEGMENTATION_PRESETS, segmentation_preset


def test_the_paper_preset_has_the_papers_numbers() -> None:
    paper = segmentation_preset("paper")
    assert paper.volume == (128, 192, 192) and paper.patch == (64, 64, 64)
    assert paper.spacing_mm == 1 and paper.batch == 1 and paper.learning_rate == 1e-4
    assert paper.epochs == 300 and paper.steps(1200) == 300 * 1200


def test_small_sees_the_papers_fields_of_view_at_half_the_resolution() -> None:
    small, paper = segmentation_preset("small"), segmentation_preset("paper")
    assert small.volume == paper.volume and small.patch == paper.patch
    assert small.sides("volume") == (64, 96, 96) and small.sides("patch") == (32, 32, 32)


def test_tiny_scales_both_fields_of_view() -> None:
    tiny = segmentation_preset("tiny")
    assert tiny.sides("volume") == (64, 64, 64) and tiny.sides("patch") == (32, 32, 32)


def test_an_epoch_sees_each_case_once_unless_its_steps_are_given() -> None:
    paper, small = segmentation_preset("paper"), segmentation_preset("small")
    assert paper.steps_of_an_epoch(7) == 7
    assert small.steps_of_an_epoch(7) == small.steps_of_an_epoch(700) == 100


def test_unknown_names_are_refused_with_those_there_are() -> None:
    with pytest.raises(SynBTError, match="No preset is called 'big'. Use one of"):
        segmentation_preset("big")
    paper = SEGMENTATION_PRESETS["paper"]
    with pytest.raises(SynBTError, match="--network takes one of unet, nnunet, swinunetr"):
        paper.network("vnet")
    with pytest.raises(SynBTError, match="--field-of-view takes volume or patch, got 'slab'"):
        paper.sides("slab")
