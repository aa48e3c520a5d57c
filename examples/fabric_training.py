"""Synthetic tumors in a Lightning Fabric loop, on whatever device and precision Fabric runs.

Two lines are ours. In a `LightningModule` they are the same: the injector is made in `__init__`,
and `training_step` begins with its call. Runs in under a minute on a laptop's CPU; needs
`pip install 'synbt-aug[train]'`, or any Lightning.
"""

from __future__ import annotations

import numpy as np
import torch
from lightning_fabric import Fabric
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from torch.utils.data import DataLoader, TensorDataset

from synbt_aug import InjectionSettings, SynBTInjector
from synbt_aug.phantom import PhantomSettings, make_phantom

SETTINGS = PhantomSettings(shape=(80, 80, 80), with_tumor=False)


def make_cases(seeds: range) -> TensorDataset:
    """Tumor-free scans (2, D, H, W) and empty labels (1, D, H, W)."""
    phantoms = [make_phantom(seed, SETTINGS) for seed in seeds]
    pairs = [torch.from_numpy(np.stack([p.pre, p.post[0]])) for p in phantoms]
    images = torch.stack(pairs).float()
    return TensorDataset(images, torch.zeros_like(images[:, :1]))


def main() -> list[float]:
    """Train for an epoch; returns the losses."""
    fabric = Fabric(accelerator="auto", devices=1)
    network = UNet(3, 2, 2, channels=(8, 16, 32), strides=(2, 2), norm="INSTANCE")
    network, optimizer = fabric.setup(network, torch.optim.AdamW(network.parameters(), lr=1e-3))
    loader = fabric.setup_dataloaders(DataLoader(make_cases(range(2)), batch_size=1))
    loss_function = DiceCELoss(to_onehot_y=True, softmax=True)

    # Each process of a distributed run draws tumors of its own.
    settings = InjectionSettings(probability=1.0, diameter_mm=14, steps=5, seed=fabric.global_rank)
    injector = SynBTInjector(settings)
    losses = []
    for images, labels in loader:
        batch = injector(images, labels, spacing=(1.0, 1.0, 1.0))
        x = (batch.images - batch.images.mean()) / batch.images.std()
        loss = loss_function(network(x), batch.labels)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        losses.append(loss.item())
        fabric.print(f"loss {losses[-1]:.3f}, so far {dict(injector.counts)}")
    return losses


if __name__ == "__main__":
    main()
