"""What is compared, and how: the windows of one part of the cases, and the trainings' settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from synbt_aug.evaluate.realism.classifier import CLASSIFIER_TRAINING
from synbt_aug.evaluate.realism.segmenter import CROP, SEGMENTER_TRAINING
from synbt_aug.evaluate.realism.training import TrainingSettings
from synbt_aug.evaluate.realism.windows import Windows

#: Told (what is being done, steps done, all steps).
Tell = Callable[[str, int, int], None]

#: The crude texture that the classifier must see through.
CONTROL = "syntumor"


@dataclass(frozen=True)
class RealismSettings:
    """How sets are compared.

    Args:
        classifier: Training of each classifier.
        segmenter: Training of the segmenter.
        crop: Side of the crops that the segmenter learns from, in mm.
        seed: Of weights, batches and intervals.
    """

    classifier: TrainingSettings = CLASSIFIER_TRAINING
    segmenter: TrainingSettings = SEGMENTER_TRAINING
    crop: int = CROP
    seed: int = 0

    def seeded(self) -> RealismSettings:
        """With the seed in every part."""
        return replace(
            self,
            classifier=replace(self.classifier, seed=self.seed),
            segmenter=replace(self.segmenter, seed=self.seed),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


DEFAULTS = RealismSettings()


@dataclass(frozen=True)
class Sets:
    """Windows of one part of the cases.

    Args:
        real: Real tumors.
        synthetic: Name of a generator -> its tumors.
        rebuilt: The real tumors through the codec, its grain and the blend.
        in_place: Tumors of the judged generator in the real ones' own masks, in scans without
            them: they differ from real ones in texture alone, not in site and shape.
    """

    real: Windows
    synthetic: Mapping[str, Windows]
    rebuilt: Windows | None = None
    in_place: Windows | None = None
