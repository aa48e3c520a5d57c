"""What one injected nnU-Net batch asks of the training process, counted without a GPU.

    python benchmarks/nnunet_batch.py

Two phantoms cut to patches of 128x160x112 at 1 mm, one tumor each in windows of different shapes,
decided beforehand as by nnU-Net's workers; shipped networks, default steps. Launches, waits and
copies are those of the pretend accelerator of the tests; a replayed graph counts as one launch. CPU
time is that of what stays on the CPU whatever the device: unpacking plans, laying shapes out and
cutting them to their boxes; what torch takes to launch is not in it. A minute on one core.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from synbt_aug import BreastVolume, InjectionSettings, SynBTInjector, TumorSynthesizer
from synbt_aug.decide.decide import decide_all
from synbt_aug.decide.ground import Ground
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.packed_plans import pack, unpack
from synbt_aug.paint.together import joined, laid_out
from synbt_aug.phantom import make_phantom
from synbt_aug.sample_plans import SamplePlans
from synbt_aug.support.graphs import Runs, launch_by_launch
from synbt_aug.texture import TumorInpainter
from synbt_aug.texture.names import DEFAULT_STEPS
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.wish import Wish
from synbt_aug.weights import Weights

PATCH = (128, 160, 112)
MM = (1.0, 1.0, 1.0)
FIRST_SEED = 1_000_000

#: Diameters in mm of the two tumors.
DIAMETERS = (10.0, 30.0)

ROUNDS = 20


def main() -> None:
    """Decide, count, time and print."""
    argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0]).parse_args()
    painter = TumorSynthesizer(precision="fp32")
    hosts = [patch_of(FIRST_SEED + k) for k in range(len(DIAMETERS))]
    plans = [decided(painter, *one) for one in zip(hosts, DIAMETERS, strict=True)]
    shapes = [tuple(plan.recipe.window.shape) for plan in plans]
    print(f"Windows of {' and '.join('x'.join(map(str, s)) for s in shapes)} mm.")
    count(painter, hosts, [SamplePlans((plan,)) for plan in plans])
    print(f"CPU time beside launches: {1000 * cpu_seconds(plans):.1f} ms a batch, median.")


def patch_of(seed: int) -> Host:
    """The middle of a phantom."""
    phantom = make_phantom(seed)
    image = torch.from_numpy(np.stack([phantom.pre, phantom.post[0]])).float()
    for axis, side in enumerate(PATCH):
        length = image.shape[axis + 1]
        image = image.narrow(axis + 1, max(0, (length - side) // 2), min(side, length))
    missing = [m for n, side in zip(image.shape[:0:-1], PATCH[::-1]) for m in (0, side - n)]
    return Host.of(BreastVolume(F.pad(image, missing).contiguous(), MM))


def decided(painter: TumorSynthesizer, host: Host, diameter_mm: float) -> Plan:
    """What a worker would hand over."""
    ground = Ground.of(host, painter.segmenter)
    margin, generator = painter.texture.hole_margin_mm, torch.Generator().manual_seed(0)
    wishes, fringe = [Wish(diameter_mm=diameter_mm)], painter.texture.replaces
    (plan,) = decide_all(ground, wishes, painter.bank, margin, generator, fringe=fringe)
    if not isinstance(plan, Plan):
        raise SystemExit(f"No tumor of {diameter_mm} mm was decided: {plan.reason}.")
    return plan


def count(painter: TumorSynthesizer, hosts: Sequence[Host], plans: Sequence[SamplePlans]) -> None:
    """Inject on the pretend accelerator."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from pretend_accelerator import FAR, PretendAccelerator
    from pretend_graphs import pretend_graphs

    weights = painter.weights
    assert isinstance(weights, Weights)
    injector = SynBTInjector(InjectionSettings(probability=1.0), painter)
    references = [host.reference for host in hosts]
    images = torch.stack([host.volume.image for host in hosts])
    labels = torch.zeros((len(hosts), 1, *PATCH), dtype=torch.int16)
    networks = Counter[str]()
    with PretendAccelerator() as there:
        codec = there.put_module(copy.deepcopy(weights.autoencoder))
        denoiser = there.put_module(copy.deepcopy(weights.denoiser))
        for part in (codec.encoder, codec.decoder, denoiser):
            part.register_forward_pre_hook(
                lambda *_: networks.subtract({"launches": there.launches})
            )
            part.register_forward_hook(lambda *_: networks.update({"launches": there.launches}))
        painter.device = FAR
        margin = painter.texture.hole_margin_mm
        painter.texture = TumorInpainter(
            codec,
            denoiser,
            weights.schedule,
            hole_margin_mm=margin,
            steps=DEFAULT_STEPS,
            precision="fp32",
        )
        graphs = pretend_graphs(there)
        ways: dict[str, tuple[Runs, int]] = {
            # What is made once and kept, such as matrices of blurs, is not counted; nor is the
            # second use, which records.
            "launch by launch": (launch_by_launch, 2),
            "as graphs": (graphs, 3),
        }
        for name, (runs, times) in ways.items():
            painter.texture.runs = painter.runs = runs
            for _ in range(times):
                far = there.put(images), there.put(labels)
                there.reset()
                networks.clear()
                injector(*far, MM, references=references, plans=plans)
            apart = there.launches - networks["launches"]
            print(
                f"{name}: {there.launches} launches, {apart} of them outside the networks' own "
                f"calls; {len(there.waits)} waits; {there.to_device / 1e6:.1f} MB to the device, "
                f"{there.to_host} bytes back."
            )


def cpu_seconds(plans: Sequence[Plan]) -> float:
    """Of what stays on the CPU: median of some rounds, after the first."""
    size = 2**23
    packed = [pack(SamplePlans((plan,)), size) for plan in plans]
    taken = []
    for _ in range(ROUNDS + 1):
        begin = time.process_time()
        found = [unpack(one, _no_shape).plans[0] for one in packed]
        laid = [laid_out(plan) for plan in joined(found)]
        label = LabelShape.join([plan.label for plan in laid])
        for row, box in enumerate(label.boxes()):
            for values in label.fields():
                values[(row, *box)].contiguous()
        taken.append(time.process_time() - begin)
    return statistics.median(taken[1:])


def _no_shape(recipe: object) -> LabelShape:
    raise AssertionError("no shape is left out of so many bytes")


if __name__ == "__main__":
    main()
