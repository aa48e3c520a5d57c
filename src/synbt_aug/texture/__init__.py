"""Textures: batched callables that paint tumors into windows."""

from synbt_aug.texture.analytic import SynTumor
from synbt_aug.texture.copy_paste import CopyPaste
from synbt_aug.texture.diffusion import TumorInpainter
from synbt_aug.texture.job import PaintingJob, Texture, join
from synbt_aug.texture.names import TEXTURES

__all__ = [
    "TEXTURES",
    "CopyPaste",
    "PaintingJob",
    "SynTumor",
    "Texture",
    "TumorInpainter",
    "join",
]
