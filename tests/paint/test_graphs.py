"""Painting and writing as graphs: recorded on one batch, they paint others as launches do.

What is recorded holds the numbers of its batch wherever they are no tensors of the stage. So each
stage is recorded on a pretend accelerator, and replayed with other hosts, tumors and recipes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from analytic import MM, breast_image, ellipsoid, ground_of, seeded, small_bank, tiny_weights
from breast_series import series_image
from pretend_accelerator import FAR, PretendAccelerator
from pretend_graphs import pretend_graphs
from synbt_aug.decide.decide import decide
from synbt_aug.decide.plan import Plan
from synbt_aug.host import Host
from synbt_aug.paint.cut import Cut
from synbt_aug.runner import Painter
from synbt_aug.support.graphs import Graphs, Runs, launch_by_launch
from synbt_aug.texture import SynTumor, TumorInpainter
from synbt_aug.tumor.appearance import Appearance
from synbt_aug.tumor.label_shape import LabelShape
from synbt_aug.tumor.wish import Wish
from synbt_aug.volume import BreastVolume, Spacing
from synbt_aug.write import write


@dataclass(frozen=True)
class Kind:
    """What a batch is of.

    Args:
        things: Kinds of the things, one a row.
        replaces: As for a texture.
        spacing: Of the hosts.
        dtype: Likewise.
        phases: Whether they have further phases.
        outlined: Whether labels have outlines of their own.
        shifted: Whether resampling moves the surface.
    """

    things: tuple[str, ...] = ("tumor",)
    replaces: bool = True
    spacing: Spacing = MM
    dtype: torch.dtype = torch.float32
    phases: bool = False
    outlined: bool = False
    shifted: bool = False


KINDS = {
    "tumor and removal": Kind(("tumor", "removal")),
    "null paint": Kind(("null",)),
    "a change that is added": Kind(replaces=False),
    "a fine integer scan": Kind(spacing=(0.8, 0.7, 1.3), dtype=torch.int16, shifted=True),
    "outlines": Kind(outlined=True),
    "phases of a tumor and a null paint": Kind(("tumor", "null"), phases=True),
    "phases of a removal, added": Kind(("removal",), phases=True, replaces=False),
}


def host_of(kind: Kind, seed: int) -> Host:
    """A breast of its own noise and scale."""
    image = (series_image if kind.phases else breast_image)(kind.spacing, seed) * (1 + seed / 4)
    return Host.of(BreastVolume(image.to(kind.dtype), kind.spacing))


def plan_for(kind: Kind, thing: str, host: Host, seed: int) -> Plan:
    """Size, place, look and noise follow from the seed; the window's shape does not."""
    shape, mm = host.volume.shape, kind.spacing
    mask = ellipsoid(shape, (34 + seed % 3, 36 - seed % 2, 37), (5 + seed % 2, 6, 5.5), mm)
    plan = decide(ground_of(host), Wish(thing, mask=mask), small_bank(), 2.0, seeded(seed))
    assert isinstance(plan, Plan)
    look = Appearance() if seed % 2 else Appearance(0.5 + seed / 8, 0.2, None, 0.1, "rim")
    recipe = replace(plan.recipe, appearance=look)
    label = plan.label
    if kind.outlined:
        label = LabelShape.of(label.distance[0], label.distance[0] - 0.5 - seed % 2)
    return replace(
        plan,
        recipe=recipe,
        label=label,
        contrast_was_asked=bool(seed % 2),
        shift_mm=0.1 + seed / 16 if kind.shifted else 0.0,
    )


def batch(kind: Kind, seed: int, there: PretendAccelerator) -> tuple[list[Host], list[Plan]]:
    """Hosts on a device, and what goes into each."""
    seeds = [seed + 10 * row for row in range(len(kind.things))]
    hosts = [host_of(kind, one) for one in seeds]
    plans = [plan_for(kind, *rest) for rest in zip(kind.things, hosts, seeds, strict=True)]
    for host in hosts:
        object.__setattr__(host.volume, "image", there.put(host.volume.image))
        vars(host).pop("floor", None)
    return hosts, plans


def written(cut: Cut, kind: Kind, there: PretendAccelerator, runs: Runs) -> list[Tensor]:
    """Something painted that is no plain level, as it is written."""
    level = torch.linspace(0.5, 3.5, cut.linear[0].numel()).view(1, *cut.linear.shape[1:])
    painted = cut.linear * 0.2 + there.put(level)
    done = write(cut, painted, replaces=kind.replaces, carries=True, runs=runs)
    parts = done.stored, done.label, done.support, done.verdict.rows
    return [there.get(part).clone() for part in parts]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_writing_that_is_replayed_writes_other_batches_as_launches_do(kind: Kind) -> None:
    with PretendAccelerator() as there:
        graphs = pretend_graphs(there)
        # Recorded at the second use.
        for seed in (0, 0, 1):
            cut = Cut.of(*batch(kind, seed, there))
            there.reset()
            found = written(cut, kind, there, graphs)
        assert graphs.failed is None and len(graphs) == 1 and there.launches < 30
        for one, other in zip(found, written(cut, kind, there, launch_by_launch), strict=True):
            assert torch.equal(one, other)


def inpainter(there: PretendAccelerator, runs: Runs, guidance: float = 1.0) -> TumorInpainter:
    weights = tiny_weights()
    return TumorInpainter(
        there.put_module(copy.deepcopy(weights.autoencoder)),  # type: ignore[arg-type]
        there.put_module(copy.deepcopy(weights.denoiser)),  # type: ignore[arg-type]
        weights.schedule,
        hole_margin_mm=2.0,
        steps=1,
        guidance=guidance,
        runs=runs,
    )


@pytest.mark.parametrize(("things", "guidance"), [(("tumor", "removal"), 1.0), (("null",), 2.0)])
def test_a_replayed_network_paints_other_batches_as_launches_do(
    things: Sequence[str], guidance: float
) -> None:
    kind = Kind(tuple(things))
    with PretendAccelerator() as there:
        graphs = pretend_graphs(there)
        texture = inpainter(there, graphs, guidance)
        for seed in (0, 0, 1):
            job = Cut.of(*batch(kind, seed, there)).job(2.0)
            there.reset()
            found = there.get(texture(job))
        assert graphs.failed is None and len(graphs) == 1 and there.waits == []
        # What comes from the device is copied to where it is read, and the answer copied out.
        assert there.launches <= 8
        texture.runs = launch_by_launch
        assert torch.equal(found, there.get(texture(job)))


def test_a_batch_of_two_takes_no_more_than_100_launches_and_no_wait() -> None:
    kind = Kind(("tumor", "tumor"), outlined=True)
    with PretendAccelerator() as there:
        graphs = pretend_graphs(there)
        texture = inpainter(there, graphs)
        painter = Painter(texture, SynTumor(hole_margin_mm=2.0), small_bank(), FAR, graphs)
        counts = []
        for seed in (0, 0, 1):
            hosts, plans = batch(kind, seed, there)
            there.reset()
            done = painter.paint(hosts, plans)
            stands = done.verdict.stands
            for k in range(2):
                done.image(k, stands[k])
            counts.append(there.launches)
            assert there.waits == []
        # Its two graphs, what is copied to and from them, and cutting and storing.
        assert isinstance(graphs, Graphs) and len(graphs) == 2
        assert counts[0] > 1000 and counts[-1] <= 100
