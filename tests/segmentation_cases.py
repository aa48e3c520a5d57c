"""Small named cases for segmenters, and a painter that costs nothing."""

from __future__ import annotations

import torch

from synbt_aug.data.cohort import TrainingCase, body_sites, instances, number_tumors
from synbt_aug.signal.intensity import IntensityReference, knee
from synbt_aug.train.crops import Crop
from synbt_aug.train.segmentation_samples import SampleSource
from synbt_aug.train.segmentation_synthetic import Painter, SyntheticPlan


def ball(side: int, centre: tuple[int, int, int], radius: float) -> torch.Tensor:
    axis = torch.arange(side, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    return (grid - torch.tensor(centre).view(3, 1, 1, 1)).square().sum(0).sqrt() <= radius


def named_case(seed: int, side: int = 64, *, tumor: bool = True, name: str = "") -> TrainingCase:
    """Smooth tissue with a ball that is bright in post."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, side, side, side, generator=generator)
    s = torch.nn.functional.avg_pool3d(noise[None], 5, 1, 2)[0]
    mask = torch.zeros(side, side, side, dtype=torch.bool)
    if tumor:
        spot = torch.randint(side // 3, 2 * side // 3, (3,), generator=generator).tolist()
        mask = ball(side, tuple(spot), side / 8)
        s[1] += 2.0 * mask
    numbers = number_tumors(mask)
    return TrainingCase(
        name=name or f"case_{seed}",
        q=knee(s).half(),
        valid=torch.ones_like(mask),
        tumor=numbers,
        body=body_sites(knee(s), generator),
        instances=instances(numbers),
        reference=IntensityReference((0.0, 0.0), (1.0, 1.0)),
        source_spacing=(1.0, 1.0, 1.0),
        phase=1,
        labelled=True,
    )


class BallPainter(Painter):
    """A ball that adds 3 to post in the middle of each crop, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, crop: Crop, *, generator: torch.Generator) -> tuple[Crop, bool]:
        self.calls += 1
        side = crop.tumor.shape[0]
        new = ball(side, (side // 2,) * 3, side / 10) & (crop.tumor == 0)
        image = crop.q.clone()
        image[1][new] += 3.0
        return Crop(image, crop.valid, crop.tumor.masked_fill(new, 255)), True

    def facts(self) -> dict[str, object]:
        return {"weights": "a ball"}


def source_of(preset, plan: SyntheticPlan, painter: Painter | None = None, **given) -> SampleSource:
    cases = given.pop("cases", None) or [named_case(0), named_case(1), named_case(2, tumor=False)]
    return SampleSource(cases, preset, given.pop("field_of_view", "patch"), plan, painter, **given)
