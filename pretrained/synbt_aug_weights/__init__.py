"""Trained weights with their contract, the tumor bank and a manifest: data, no code.

The files lie beside this one; `synbt_aug.weights` finds, checks and loads them.
"""
