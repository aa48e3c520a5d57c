"""Textures: batched callables that paint tumors into windows."""

from synbt_aug.texture.diffusion import TumorInpainter
from synbt_aug.texture.job import PaintingJob, Texture, join

__all__ = ["PaintingJob", "Texture", "TumorInpainter", "join"]
