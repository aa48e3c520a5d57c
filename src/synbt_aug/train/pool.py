"""Encoded windows, some hundred of them, slowly replaced.

Drawing and encoding a window costs more than a training step on it. Each step trains on
windows of a pool, to which a few new ones were added. Window number k is a function of
seed, rank and k alone, and how many there are of the step: a resumed run makes the same pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from synbt_aug.grid.mask import down
from synbt_aug.loop.training_loop import seeded_generator
from synbt_aug.train.denoiser_presets import WindowPool
from synbt_aug.train.windows import Example, ExampleSampler

Encode = Callable[[Tensor], Tensor]
"""From mapped intensities `(B, 2, D, H, W)` to latents `(B, 8, d, h, w)`."""


class Encoded(NamedTuple):
    """Windows as the denoiser sees them; a leading axis B where they are several.

    Args:
        z: Latent, shape `(8, d, h, w)`, not normalised.
        z_masked: Latent of the filled window, same shape.
        mask: Share of tumor, shape `(1, d, h, w)`.
        weight: Of the loss, shape `(1, d, h, w)`; 0 in padding.
        appearance: Shape `(A,)`.
        appearance_known: Shape `(A,)`.
    """

    z: Tensor
    z_masked: Tensor
    mask: Tensor
    weight: Tensor
    appearance: Tensor
    appearance_known: Tensor


@torch.no_grad()
def encode_example(
    example: Example, encode: Encode, device: torch.device, background: float
) -> Encoded:
    """Encode a window with and without what its hole held.

    Args:
        example: From `ExampleSampler.draw`.
        encode: The autoencoder's encoder.
        device: Where the latents shall lie.
        background: Weight of the loss away from the hole.
    """
    pair = torch.stack([example.q, example.filled]).to(device)
    z, z_masked = encode(pair.contiguous(memory_format=torch.channels_last_3d))
    hole = down(example.hole[None].to(device))
    # The hole and one ring: that far the encoder lets it shine.
    near = F.max_pool3d((hole > 0).float(), 3, stride=1, padding=1)
    weight = (background + (1 - background) * near) * down(example.valid[None].to(device))
    return Encoded(
        z.contiguous(),
        z_masked.contiguous(),
        down(example.mask[None].to(device))[0],
        weight[0],
        example.appearance.to(device),
        example.appearance_known.to(device),
    )


class LatentPool:
    """The pool of one window size.

    Args:
        size: Of windows and pool.
        sampler: Draws examples.
        encode: The autoencoder's encoder.
        device: Where the latents lie.
        background: Weight of the loss away from the hole.
        refresh: Windows added a step.
        seed: Numbers that tell this pool from others, the rank among them.
    """

    def __init__(
        self,
        size: WindowPool,
        sampler: ExampleSampler,
        encode: Encode,
        device: torch.device,
        *,
        background: float,
        refresh: float,
        seed: tuple[int, ...],
    ) -> None:
        self.size, self.sampler, self.encode, self.device = size, sampler, encode, device
        self.background, self.refresh, self.seed = background, refresh, seed
        self.windows: dict[int, Encoded] = {}

    def missing(self, step: int) -> list[int]:
        """Numbers of the windows that the pool has at a step, and that are not encoded yet."""
        return [number for number in self._wanted(step) if number not in self.windows]

    def fill(self, step: int) -> Iterator[int]:
        """Make the pool what it is at a step: encode what is missing, a window at a time."""
        first = self._wanted(step).start
        for number in [n for n in self.windows if n < first]:
            del self.windows[number]
        for number in self.missing(step):
            generator = seeded_generator(*self.seed, number)
            example = self.sampler.draw(self.size.sides, generator=generator)
            self.windows[number] = encode_example(
                example, self.encode, self.device, self.background
            )
            yield number

    def advance(self, step: int) -> None:
        """As `fill`, all at once."""
        for _ in self.fill(step):
            pass

    def _wanted(self, step: int) -> range:
        made = self.size.start + int(self.refresh * step)
        return range(max(0, made - self.size.most), made)

    def batch(self, generator: torch.Generator) -> Encoded:
        """Draw windows for a step, each field stacked."""
        numbers = list(self.windows)
        picked = torch.randint(len(numbers), (self.size.batch,), generator=generator).tolist()
        chosen = [self.windows[numbers[i]] for i in picked]
        return Encoded(*(torch.stack(field) for field in zip(*chosen, strict=True)))

    def statistics(self) -> tuple[Tensor, Tensor, int]:
        """Sums of z and z squared a channel, in float64, and the number of latent voxels."""
        z = torch.stack([window.z for window in self.windows.values()]).double()
        axes = (0, 2, 3, 4)
        return z.sum(axes), z.square().sum(axes), z.numel() // z.shape[1]
