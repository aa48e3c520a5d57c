"""Procedural breast DCE-MRI: synthetic cases of known anatomy, tumor and kinetics."""

from synbt_aug.phantom.lesion import Lesion
from synbt_aug.phantom.phantom import GENERATOR_VERSION, Phantom, make_phantom
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.tissue import Tissue

__all__ = ["GENERATOR_VERSION", "Lesion", "Phantom", "PhantomSettings", "Tissue", "make_phantom"]
