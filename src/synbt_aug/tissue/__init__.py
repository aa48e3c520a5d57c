"""Which tissue is where: the SynthSeg-trained segmenter and the sites that follow from it."""

from synbt_aug.tissue.labels import TISSUE_NAMES, TissueLabel, tissue_labels
from synbt_aug.tissue.tissue_map import TissueMap, grid_shape, to_grid

__all__ = ["TISSUE_NAMES", "TissueLabel", "TissueMap", "grid_shape", "tissue_labels", "to_grid"]
