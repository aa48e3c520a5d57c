"""A small 2D network that tells phantoms' slices from patients', and where it looks.

    SYNBT_REAL_SLICES=FOLDER python benchmarks/real_patients_network.py -n 100
    python benchmarks/real_patients_network.py FOLDER -n 100 --sheet OUT.png

It sees 80 mm of the early post-contrast scan and of the subtraction at 1 mm, as `real_patients.py`
cuts them, mirrored and turned at random. Every other patient and phantom is learned from, the
others are judged; then the other way round. The control is trained alike to tell one half of the
patients from the other. Prints AUCs, and the share of the network's saliency (gradient times input)
in the lesion, around it and elsewhere. Minutes on one thread, after the phantoms are made.
`--sheet` writes the slices that it is surest of, beside its saliency: patients are on it, keep it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from real_patients import SMALL_FIELD, own, phantom_slices
from scipy import ndimage
from torch import Tensor, nn

from synbt_aug.evaluate.realism.auc import area_under_curve
from synbt_aug.evaluate.slices import TumorSlice, read_png_folder
from synbt_aug.evaluate.slices.lesion import find_lesion
from synbt_aug.evaluate.slices.tumor_slice import POST, PRE, SIDE
from synbt_aug.phantom import PhantomSettings

STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 400, 24, 2e-3, 1e-2

#: Brightest share of a slice that its signal is divided by.
WHITE = 0.998


class SliceNetwork(nn.Module):
    """Three strided convolutions and one more, pooled by mean and maximum."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, stride in ((2, 16, 2), (16, 32, 2), (32, 48, 2), (48, 48, 1)):
            layers += [
                nn.Conv2d(before, after, 3, stride, padding=1),
                nn.GroupNorm(4, after),
                nn.SiLU(),
            ]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(96, 1)

    def forward(self, slices: Tensor) -> Tensor:
        """Logits of "phantom", shape `(B,)`, of slices `(B, 2, 80, 80)`."""
        seen = self.layers(slices)
        return self.last(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1)).squeeze(1)


def as_input(slices: list[TumorSlice]) -> Tensor:
    """Post and subtraction over the brightest of post, shape `(N, 2, 80, 80)`."""
    rows = []
    for one in slices:
        pair = np.stack([one.image[POST], one.image[POST] - one.image[PRE]])
        pair = pair / max(float(np.quantile(pair[0], WHITE)), 1e-6)
        rows.append(np.pad(pair, [(0, 0)] + [(0, SIDE - n) for n in pair.shape[1:]]))
    return torch.from_numpy(np.array(rows, np.float32)).clamp(-1, 1.5)


def turned(slices: Tensor, generator: torch.Generator) -> Tensor:
    """Each mirrored and turned by right angles at random: patients lie any way, phantoms one."""
    parts = []
    for one in slices:
        flip, turns = (int(torch.randint(n, (), generator=generator)) for n in (2, 4))
        parts.append(torch.rot90(one.flip(2) if flip else one, turns, (1, 2)))
    shade = 1 + 0.15 * torch.randn(len(slices), 1, 1, 1, generator=generator)
    return torch.stack(parts) * shade


def trained(first: Tensor, second: Tensor, seed: int) -> SliceNetwork:
    """Learn to tell the second set (1) from the first (0), as many of each in a batch."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SliceNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    half = BATCH // 2
    truth = torch.cat([torch.zeros(half), torch.ones(half)])
    for _ in range(STEPS):
        drawn = [s[torch.randint(len(s), (half,), generator=generator)] for s in (first, second)]
        logits = network(turned(torch.cat(drawn), generator))
        loss = F.binary_cross_entropy_with_logits(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plan.step()
    return network.eval()


@torch.no_grad()
def judged(network: SliceNetwork, slices: Tensor) -> np.ndarray:
    """Mean logit over the eight ways in which a slice can lie."""
    ways = [torch.rot90(s, turns, (2, 3)) for s in (slices, slices.flip(3)) for turns in range(4)]
    return torch.stack([network(way) for way in ways]).mean(0).numpy()


def cross_judged(first: Tensor, second: Tensor, seed: int) -> tuple[np.ndarray, np.ndarray, list]:
    """Scores of both sets by networks that have not seen them, and the two networks."""
    scores = [np.zeros(len(first)), np.zeros(len(second))]
    networks = []
    for part in (0, 1):
        network = trained(first[part::2], second[part::2], seed + part)
        for score, slices in zip(scores, (first, second), strict=True):
            score[1 - part :: 2] = judged(network, slices[1 - part :: 2])
        networks.append(network)
    return scores[0], scores[1], networks


def saliency(network: SliceNetwork, one: Tensor) -> np.ndarray:
    """Gradient of the logit times the input, both channels, smoothed; shape `(80, 80)`."""
    x = one[None].clone().requires_grad_()
    network(x).sum().backward()
    assert x.grad is not None
    return ndimage.gaussian_filter((x.grad * x.detach()).abs().sum((0, 1)).numpy(), 1.5)


def where_it_looks(slices: list[TumorSlice], maps: list[np.ndarray]) -> dict[str, float]:
    """Saliency per area over that of the whole slice, as means over slices; 1: as everywhere."""
    parts: dict[str, list[float]] = {}
    for one, found in zip(slices, maps, strict=True):
        lesion = find_lesion(one)
        if lesion is None:
            continue
        height, width = lesion.mask.shape
        found = found[:height, :width] / max(float(found.mean()), 1e-9)
        level = np.quantile(lesion.post[lesion.filled], 0.5)
        air = ndimage.gaussian_filter(lesion.post, 1.5) < 0.06 * level
        regions = {
            "lesion": lesion.filled,
            "0-3 mm around": (lesion.outside_mm > 0) & (lesion.outside_mm <= 3),
            "3-10 mm around": (lesion.outside_mm > 3) & (lesion.outside_mm <= 10),
            "other tissue": (lesion.outside_mm > 10) & ~air,
            "within 4 mm of air": ndimage.binary_dilation(air, iterations=4) & ~air,
            "air": air,
        }
        for name, region in regions.items():
            if region.sum() > 30:
                parts.setdefault(name, []).append(float(found[region].mean()))
    return {name: float(np.mean(values)) for name, values in parts.items()}


def sheet(inputs: Tensor, maps: list[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Rows of post, subtraction and saliency of the slices in `order`."""
    rows = []
    for channel in (0, 1):
        rows.append(np.concatenate([inputs[k, channel].clamp(0, 1).numpy() for k in order], 1))
    rows.append(np.concatenate([maps[k] / maps[k].max() for k in order], 1))
    return np.concatenate(rows, 0)


def main() -> None:
    """Train, judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=os.environ.get("SYNBT_REAL_SLICES"))
    parser.add_argument("-n", type=int, default=100, help="phantoms")
    parser.add_argument("--seed", type=int, default=0, help="of the networks")
    parser.add_argument("--small", action="store_true", help="a field of 144 x 136 x 104 mm")
    parser.add_argument("--sheet", type=Path, help="slices and saliency")
    options = parser.parse_args()
    if not options.folder:
        parser.error("name the folder of real slices, or set SYNBT_REAL_SLICES")
    torch.set_num_threads(1)
    patients = read_png_folder(options.folder)
    field = SMALL_FIELD if options.small else PhantomSettings()
    phantoms = phantom_slices({"own": own}, options.n, field)["own"]
    report(patients, phantoms, options.seed, options.sheet)


def report(
    patients: list[TumorSlice], phantoms: list[TumorSlice], seed: int, path: Path | None
) -> None:
    """Print the AUCs and where the network looks; write the sheet if there is a path."""
    real, made = as_input(patients), as_input(phantoms)
    real_scores, made_scores, networks = cross_judged(real, made, seed)
    area = area_under_curve(real_scores, made_scores)
    interval = f"{area.low:.2f}-{area.high:.2f}"
    print(f"{len(real)} patients, {len(made)} phantoms: AUC {area.value:.3f} ({interval})")
    first, second, _ = cross_judged(real[0::2], real[1::2], seed)
    control = area_under_curve(first, second)
    print(f"one half of the patients from the other: AUC {control.value:.3f}")
    for name, slices, inputs, scores, sign in (
        ("phantoms", phantoms, made, made_scores, -1),
        ("patients", patients, real, real_scores, 1),
    ):
        # Slice k was judged by the network that learned from the other half.
        maps = [saliency(networks[1 - k % 2], one) for k, one in enumerate(inputs)]
        looks = where_it_looks(slices, maps)
        print(f"saliency, {name}: " + ", ".join(f"{k} {v:.2f}" for k, v in looks.items()))
        if path is not None:
            rows = sheet(inputs, maps, np.argsort(sign * scores)[:12])
            pixels = (255 * rows).astype(np.uint8)
            Image.fromarray(pixels).resize((2 * pixels.shape[1], 2 * pixels.shape[0])).save(
                path.with_stem(f"{path.stem}_{name}")
            )


if __name__ == "__main__":
    main()
