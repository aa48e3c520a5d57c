"""Synthetic tumors in a MONAI training loop: two lines of the `Compose` are ours.

Runs in under a minute on a laptop's CPU: two small phantoms in a `CacheDataset`, a small U-Net,
two epochs. On a GPU: `EnsureTyped(device=...)` before the painting, and
`ThreadDataLoader(dataset, num_workers=0)`; the networks run where the image lies.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.data import CacheDataset, DataLoader, MetaTensor
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    NormalizeIntensityd,
    RandAdjustContrastd,
    RandFlipd,
    RandSpatialCropd,
)

from synbt_aug.monai import RecordIntensityd, RecordSitesd, SynBTTumord
from synbt_aug.phantom import PhantomSettings, make_phantom

SETTINGS = PhantomSettings(shape=(80, 80, 80), with_tumor=False)
BOTH = ["image", "label"]

TRANSFORM = Compose(
    [
        # Without chance: cached with the cases. The crops below know the whole case by it.
        RecordIntensityd("image"),
        RecordSitesd(spacing=(1.0, 1.0, 1.0)),
        RandFlipd(BOTH, prob=0.5, spatial_axis=2),
        RandSpatialCropd(BOTH, (72, 72, 72), random_size=False),
        # Before whatever bends or clips intensities.
        SynBTTumord(BOTH, prob=1.0, diameter_mm=14, steps=5, spacing=(1.0, 1.0, 1.0)),
        RandAdjustContrastd("image", prob=0.3),
        NormalizeIntensityd("image", channel_wise=True),
    ]
)


def make_case(seed: int) -> dict[str, MetaTensor]:
    """A tumor-free scan (2, D, H, W) and its empty label (1, D, H, W)."""
    phantom = make_phantom(seed, SETTINGS)
    image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]])).float()
    return {"image": MetaTensor(image), "label": MetaTensor(torch.zeros_like(image[:1]))}


def main(epochs: int = 2) -> list[float]:
    """Train; returns the losses."""
    TRANSFORM.set_random_state(0)
    dataset = CacheDataset([make_case(seed) for seed in range(2)], TRANSFORM, progress=False)
    loader = DataLoader(dataset, batch_size=1, shuffle=True)
    network = UNet(3, 2, 2, channels=(8, 16, 32), strides=(2, 2), norm="INSTANCE")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss_function = DiceCELoss(to_onehot_y=True, softmax=True)

    losses = []
    for epoch in range(epochs):
        for batch in loader:
            loss = loss_function(network(batch["image"]), batch["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            print(f"epoch {epoch}: loss {losses[-1]:.3f}, {batch['synbt_outcome'][0]}")
    return losses


if __name__ == "__main__":
    main()
