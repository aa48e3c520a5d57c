"""Predict whole cases by a sliding window, and score them. Nothing synthetic comes near here.

The network sees the case at its own spacing; its probabilities are interpolated back to the case's
1 mm grid and judged there, against the mask as it is: figures of different spacings compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from monai.inferers.utils import sliding_window_inference
from torch import Tensor
from torch.nn import functional

from synbt_aug.data.cohort import TrainingCase
from synbt_aug.evaluate.segmentation import CaseScore, score_case
from synbt_aug.signal.intensity import inverse_knee, knee
from synbt_aug.train.segmentation_preset import SegmentationPreset
from synbt_aug.train.segmentation_views import average_down
from synbt_aug.train.segmenters import Segmenter

# Windows predicted at once.
_WINDOWS = 2


class Predictor:
    """Predicts cases with one network.

    Args:
        segmenter: The network; put into eval mode for each case and back.
        preset: With spacing and overlap.
        field_of_view: Size of the windows, "volume" or "patch", as in training.
        autocast: Context of the forward passes, such as `fabric.autocast`.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        preset: SegmentationPreset,
        field_of_view: str,
        *,
        autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.segmenter, self.preset, self.autocast = segmenter, preset, autocast
        self.sides = preset.sides(field_of_view)

    @torch.no_grad()
    def __call__(self, q: Tensor) -> Tensor:
        """Where the tumors of a case are.

        Args:
            q: Mapped intensities at 1 mm, shape `(2, D, H, W)`, any floating type.

        Returns:
            Boolean, shape `(D, H, W)`, on the CPU.
        """
        device = next(self.segmenter.parameters()).device
        factor = self.preset.spacing_mm
        image = knee(average_down(inverse_knee(q.to(device, torch.float32)), factor))
        was_training = self.segmenter.training
        self.segmenter.eval()
        with self.autocast():
            logits = sliding_window_inference(
                image[None],
                self.sides,
                _WINDOWS,
                self.segmenter,
                overlap=self.preset.overlap,
                mode="gaussian",
                padding_mode="replicate",  # as crops of cases that are too small
            )
        self.segmenter.train(was_training)
        assert isinstance(logits, Tensor)
        tumor = (logits[:, 1:] - logits[:, :1]).float()
        if factor > 1:
            tumor = functional.interpolate(
                tumor, scale_factor=factor, mode="trilinear", align_corners=False
            )
        d, h, w = q.shape[1:]
        return (tumor[0, 0, :d, :h, :w] > 0).cpu()


def score_cases(
    predictor: Predictor,
    cases: Iterable[TrainingCase],
    *,
    on_case: Callable[[CaseScore], None] | None = None,
) -> list[CaseScore]:
    """Dice, HD95 and surface distances in mm, case by case.

    Args:
        predictor: With the network.
        cases: At 1 mm; read one at a time where this is an iterator.
        on_case: Called with each score.
    """
    scores = []
    for case in cases:
        predicted = predictor(case.q).numpy()
        score = score_case(predicted, (case.tumor > 0).cpu().numpy(), (1.0, 1.0, 1.0), case.name)
        scores.append(score)
        if on_case is not None:
            on_case(score)
    return scores


def dice(predicted: Tensor, reference: Tensor) -> float:
    """Dice of two masks; 1 where both are empty, as `evaluate.segmentation` has it."""
    total = int(predicted.sum()) + int(reference.sum())
    return 1.0 if total == 0 else 2 * int((predicted & reference).sum()) / total
