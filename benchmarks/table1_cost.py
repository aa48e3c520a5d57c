"""What Table 1 costs on a GPU: counted FLOPs over a stated speed.

Counted on meta tensors, by torch: one forward pass of each network at its field of view, three of
them for a training step (backward takes two). Everything else is an estimate and says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from table1_config import Configuration
from table1_rows import METHODS, NETWORK_NAMES, Row
from torch.utils.flop_counter import FlopCounterMode

from synbt_aug.train.segmentation_preset import SegmentationPreset
from synbt_aug.train.segmenters import Segmenter

#: Floating-point operations a second that 3D convolutions reach: 15 % of an A100's 312 TFLOP/s in
#: bfloat16 (an estimate; the paper trained on an A100).
SPEED = 0.15 * 312e12
#: One tumor: encode, 10 steps (an upper bound), decode, twice for the grain (a 64 mm window).
PAINTING = 0.1e12
#: The generator's own training by the preset `paper`: 300,000 steps of 589 GF (100,000 of them with
#: 905 GF of discriminator), 100,000 of 886 GF, and 500,000 of 1550 GF (three times 516 GF forward).
GENERATOR = 300_000 * 589e9 + 100_000 * 905e9 + 100_000 * 886e9 + 500_000 * 1550e9


def forward_flop(preset: SegmentationPreset, network: str, field_of_view: str) -> float:
    """Floating-point operations of one forward pass; a multiplication and an addition are two."""
    # SwinUNETR cannot be made on "meta", but moved there.
    segmenter = Segmenter(preset.network(network)).eval().to("meta")
    q = torch.empty(1, 2, *preset.sides(field_of_view), device="meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        segmenter(q)
    return float(counter.get_total_flops())


def gpu_hours(row: Row, configuration: Configuration) -> float:
    """One training, its validations included."""
    preset, method = configuration.preset, METHODS[row.method]
    plan = method.plan()
    steps = preset.steps(configuration.labelled)
    samples = plan.samples(preset.batch)
    forward = forward_flop(preset, row.network, method.field_of_view)
    painted = steps * preset.batch * plan.chance / preset.repeats if plan.paints else 0.0
    # A case of 200 x 300 x 300 mm takes about 12 volumes, 4 by voxels, or 160 patches.
    windows = 12 if method.field_of_view == "volume" else 160
    validations = preset.epochs // preset.validate_every
    validated = validations * configuration.validation * windows
    total = 3 * forward * steps * samples + forward * validated + PAINTING * painted
    return total / SPEED / 3600


def estimate(rows: Sequence[Row], configuration: Configuration) -> str:
    """A table of GPU-hours, row by row, as text."""
    lines = [
        "GPU-hours on one A100, estimated: FLOPs counted on meta tensors, 3 forward passes a step,",
        f"at {SPEED / 1e12:.0f} TFLOP/s (15 % of its peak in bfloat16). Reading data is not",
        "counted, and small networks wait for memory: take the U-Net's for a lower bound.",
    ]
    total, done = 0.0, set()
    for row in rows:
        hours = gpu_hours(row, configuration)
        total += hours
        if (row.network, row.method) not in done:
            done.add((row.network, row.method))
            name = f"{METHODS[row.method].label}-{NETWORK_NAMES[row.network]}"
            lines.append(f"  {name:28s} {hours:8.1f} a seed")
    trained = {m.generator for m in (METHODS[row.method] for row in rows) if m.needs_generator}
    if "own" in trained and configuration.generator_preset == "paper":
        generator = GENERATOR / SPEED / 3600
        total += generator
        lines.append(f"  {'the generator, once':28s} {generator:8.1f}")
    elif trained:
        lines.append(f"  {'the generator, once':28s} {'not counted':>8s}")
    lines.append(f"  {'all of it':28s} {total:8.1f}")
    return "\n".join(lines)
