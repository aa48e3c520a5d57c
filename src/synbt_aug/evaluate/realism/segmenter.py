"""A small segmenter for windows: trained on real tumors alone, it says what it takes for one.

Three figures come from it. Its Dice on synthetic over that on real tumors says whether they fill
their masks as real ones do; what it finds where "nothing" was painted says whether paint itself
looks like a tumor; and its features describe windows for FID and MMD.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss
from torch import Tensor, nn

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.realism.training import TrainingSettings, drawer, train, turned
from synbt_aug.evaluate.realism.windows import Windows
from synbt_aug.loop.training_loop import fresh_weights

#: Crops are smaller than windows, so that the tumor is not always in the middle.
CROP = 48

#: The defaults of its training (ours).
SEGMENTER_TRAINING = TrainingSettings(steps=1000, batch=4, learning_rate=2e-3)


class WindowSegmenter(nn.Module):
    """A U-Net that begins at 2 mm and ends at 1 mm.

    Args:
        channels: Widths at 2, 4 and 8 mm (ours).
    """

    def __init__(self, channels: tuple[int, int, int] = (16, 32, 48)) -> None:
        super().__init__()
        a, b, c = channels
        self.fine = _block(2, 8, 1)
        self.down = nn.ModuleList([_block(2, a, 2), _block(a, b, 2), _block(b, c, 2)])
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(before, after, 2, stride=2)
            for before, after in ((c, b), (b, a), (a, 8))
        )
        self.merge = nn.ModuleList([_block(2 * b, b, 1), _block(2 * a, a, 1), _block(16, 8, 1)])
        self.last = nn.Conv3d(8, 1, 1)

    def levels(self, signal: Tensor) -> list[Tensor]:
        """Features at 2, 4 and 8 mm, shape `(B, C, n/2, ...)` and so on.

        Args:
            signal: Mapped pre and post, shape `(B, 2, n, n, n)`; sides that divide by 8.
        """
        found = []
        for down in self.down:
            signal = down(signal)
            found.append(signal)
        return found

    def forward(self, signal: Tensor) -> Tensor:
        """Logits of "tumor"; argument as for `levels`, shape `(B, n, n, n)`."""
        *skips, y = self.levels(signal)
        skips.insert(0, self.fine(signal))
        for up, merge in zip(self.up, self.merge, strict=True):
            y = merge(torch.cat([up(y), skips.pop()], dim=1))
        logits: Tensor = self.last(y)[:, 0]
        return logits


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, after, 3, stride, padding=1, bias=False),
        nn.InstanceNorm3d(after, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )


def train_segmenter(
    windows: Windows,
    settings: TrainingSettings = SEGMENTER_TRAINING,
    *,
    healthy: Windows | None = None,
    crop: int = CROP,
    device: torch.device | str = "cpu",
    on_step: Callable[[int, int], None] | None = None,
) -> WindowSegmenter:
    """Learn what a tumor is.

    Args:
        windows: With tumors; all of them are the answer, not only the one in the middle.
        settings: Of the training.
        healthy: Windows without a tumor, half of each batch; without them it learns that there is
            always one.
        crop: Side of the crops, divisible by 8, at most that of the windows.
        device: Where it trains, and stays.
        on_step: Called with (steps done, all steps).

    Raises:
        SynBTError: If there is no window, or windows are smaller than a crop.
    """
    if not len(windows) or windows.signal.shape[-1] < crop:
        raise SynBTError(
            f"A segmenter needs windows of at least {crop} mm, got {len(windows)} of "
            f"{windows.signal.shape[-1]} mm."
        )
    place = torch.device(device)
    with fresh_weights(settings.seed):
        network = WindowSegmenter().to(place)
    measure = DiceCELoss(sigmoid=True, batch=True)
    signal, answer, count = windows.signal, windows.tumor, len(windows)
    draw = drawer(count, settings.batch)
    if healthy is not None and len(healthy):
        signal = torch.cat([signal, healthy.signal])
        answer = torch.cat([answer, healthy.tumor])
        free = max(1, settings.batch // 2)
        tumors, without = drawer(count, settings.batch - free), drawer(len(healthy), free)

        def draw(generator: torch.Generator) -> Tensor:
            return torch.cat([tumors(generator), without(generator) + count])

    def loss_of(numbers: Tensor, generator: torch.Generator) -> Tensor:
        both = [torch.cat([signal[k].float(), answer[k][None].float()]) for k in numbers.tolist()]
        crops = torch.stack([_crop(window, crop, generator) for window in both]).to(place)
        crops = turned(crops, generator)
        loss: Tensor = measure(network(crops[:, :2])[:, None], crops[:, 2:])
        return loss

    train(network, loss_of, draw, settings, on_step)
    return network


def _crop(window: Tensor, side: int, generator: torch.Generator) -> Tensor:
    room = window.shape[-1] - side + 1
    d, h, w = torch.randint(room, (3,), generator=generator).tolist()
    return window[:, d : d + side, h : h + side, w : w + side]


@torch.no_grad()
def segment(
    network: nn.Module, signal: Tensor, *, device: torch.device | str = "cpu", batch: int = 4
) -> Tensor:
    """Tumor or not.

    Args:
        network: In eval mode, on `device`: logits `(B, n, n, n)` of signal `(B, 2, n, n, n)`.
        signal: Shape `(N, 2, n, n, n)`.
        device: Where it runs.
        batch: Windows at once.

    Returns:
        Boolean, shape `(N, n, n, n)`, on the CPU.
    """
    return torch.cat([(network(p.to(device).float()) > 0).cpu() for p in signal.split(batch)])


@torch.no_grad()
def describe(
    network: WindowSegmenter,
    windows: Windows,
    *,
    device: torch.device | str = "cpu",
    around: int = 3,
) -> Tensor:
    """Features of the lesions in the middle: means over each lesion and 3 mm around it.

    The network has seen real tumors alone. A classifier's own features would be the very
    directions in which two sets differ, another for each pair of sets; and the codec's would
    be blind to what the codec loses.

    Args:
        network: In eval mode, on `device`.
        windows: N of them.
        device: Where it runs.
        around: Voxels around the lesion that count.

    Returns:
        Shape `(N, 96)`, float64, on the CPU: the features at 2, 4 and 8 mm.
    """
    rows = []
    for signal, lesion in zip(windows.signal, windows.lesion, strict=True):
        where = F.max_pool3d(lesion[None, None].float().to(device), 2 * around + 1, 1, around)
        found = []
        for level in network.levels(signal[None].to(device).float()):
            weight = F.avg_pool3d(where, where.shape[-1] // level.shape[-1])
            found.append((level * weight).sum((2, 3, 4)) / weight.sum().clamp_min(1e-6))
        rows.append(torch.cat(found, dim=1)[0].double().cpu())
    return torch.stack(rows)
