"""How real synthetic tumors are: two sets of cases, or a generator, in one table of figures."""

from synbt_aug.evaluate.realism.compare import Comparison, compare
from synbt_aug.evaluate.realism.figures import TARGETS, Figure, Group, Target
from synbt_aug.evaluate.realism.sets import RealismSettings, Sets
from synbt_aug.evaluate.realism.training import TrainingSettings
from synbt_aug.evaluate.realism.windows import Windows

__all__ = [
    "Comparison",
    "Figure",
    "Group",
    "RealismSettings",
    "Sets",
    "TARGETS",
    "Target",
    "TrainingSettings",
    "Windows",
    "compare",
]
