"""One recipe, one scan in one axis order: every host paints the same tumor.

Promised is 1e-3 of the range; it is one function behind all of them, so that it is bitwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from analytic import MM, FlatTexture, breast, diffusion_painter, painter, reorder, seeded
from synbt_aug import injector as injector_module
from synbt_aug.injector import SynBTInjector
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import PaintingJob
from synbt_aug.tumor.request import AppearanceRequest
from synbt_aug.volume import BreastVolume, Spacing, Synthesis
from synbt_aug_monai import PaintTumor, PaintTumord, SynBTTumor

TEXTURES: dict[str, Callable[[], TumorSynthesizer]] = {
    "formula": lambda: painter(FlatTexture()),
    "diffusion": diffusion_painter,
}

Painted = tuple[Tensor, Tensor]


def volume_of(spacing: Spacing, dtype: torch.dtype, sagittal: bool = False) -> BreastVolume:
    volume = breast(spacing)
    image = volume.image.to(dtype)
    if not sagittal:
        return BreastVolume(image, spacing)
    order = (2, 0, 1)
    turned = spacing[order[0]], spacing[order[1]], spacing[order[2]]
    return BreastVolume(reorder(image, order, (1,)), turned)


def affine_of(volume: BreastVolume) -> np.ndarray:
    return np.diag([*volume.spacing, 1.0])


def empty_label(volume: BreastVolume) -> Tensor:
    return torch.zeros((1, *volume.shape), dtype=torch.int16)


def through_the_injector(volume: BreastVolume, recipe: dict[str, Any]) -> Painted:
    injector = SynBTInjector(InjectionSettings())
    done = injector.replay(volume.image[None], empty_label(volume)[None], [recipe], volume.spacing)
    return done.images[0], done.labels[0, 0]


def through_monai_arrays(volume: BreastVolume, recipe: dict[str, Any]) -> Painted:
    image, label = PaintTumor(recipe, spacing=volume.spacing)(
        volume.image.numpy(), empty_label(volume).numpy()
    )
    return torch.from_numpy(image), torch.from_numpy(label)[0]


def through_monai_dictionaries(volume: BreastVolume, recipe: dict[str, Any]) -> Painted:
    affine = torch.from_numpy(affine_of(volume))
    found = PaintTumord(("pre", "post"))(
        {
            "pre": MetaTensor(volume.image[:1], affine=affine),
            "post": MetaTensor(volume.image[1:], affine=affine),
            "label": MetaTensor(empty_label(volume), affine=affine),
            "synbt_recipe": json.dumps(recipe),
        }
    )
    image = torch.cat([found["pre"].as_tensor(), found["post"].as_tensor()])
    return image, found["label"].as_tensor()[0]


def through_torchio(volume: BreastVolume, recipe: dict[str, Any]) -> Painted:
    tio = pytest.importorskip("torchio")
    from synbt_aug_torchio import PaintTumor as PaintSubject

    affine = affine_of(volume)
    subject = tio.Subject(
        pre=tio.ScalarImage(tensor=volume.image[:1], affine=affine),
        post=tio.ScalarImage(tensor=volume.image[1:], affine=affine),
        label=tio.LabelMap(tensor=empty_label(volume), affine=affine),
    )
    found = PaintSubject(recipe)(subject)
    return torch.cat([found["pre"].data, found["post"].data]), found["label"].data[0]


HOSTS = [
    through_the_injector,
    through_monai_arrays,
    through_monai_dictionaries,
    through_torchio,
]


@pytest.fixture(params=TEXTURES)
def synthesizer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the core and all hosts paint with."""
    made = TEXTURES[request.param]()
    monkeypatch.setattr(injector_module, "shared_synthesizer", lambda *_: made)
    return made


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
@pytest.mark.parametrize(
    "spacing, dtype, sagittal",
    [
        (MM, torch.float32, False),
        ((0.7, 0.7, 2.0), torch.float32, False),
        ((0.7, 0.7, 2.0), torch.int16, True),
        (MM, torch.float64, True),
    ],
    ids=["1mm", "0.7x0.7x2mm", "sagittal-int16", "sagittal-float64"],
)
def test_a_recipe_of_the_core_paints_the_same_voxels_in_every_host(
    synthesizer: TumorSynthesizer,
    host: Callable[[BreastVolume, dict[str, Any]], Painted],
    spacing: Spacing,
    dtype: torch.dtype,
    sagittal: bool,
) -> None:
    volume = volume_of(spacing, dtype, sagittal)
    core = synthesizer(volume, seed=2, diameter_mm=10.0)
    assert core.painted and core.recipe is not None, core.reason
    image, label = host(volume, json.loads(json.dumps(core.recipe)))
    assert image.dtype == dtype
    assert torch.equal(image, core.image)
    assert torch.equal(label == 1, core.tumor)


@pytest.mark.parametrize("multifocal", [0.0, 1.0])
def test_what_an_injector_draws_the_core_paints_from_the_same_seed(
    synthesizer: TumorSynthesizer, multifocal: float
) -> None:
    volume = volume_of(MM, torch.float32)
    asked = InjectionSettings(probability=1.0, diameter_mm=10.0, multifocal=multifocal)
    injector = SynBTInjector(asked, synthesizer)
    done = injector(
        volume.image[None], empty_label(volume)[None], generator=torch.Generator().manual_seed(1)
    )
    (drawn,) = done.results
    assert drawn is not None and drawn.painted and drawn.recipe is not None
    core = synthesizer(volume, seed=drawn.recipe["seed"], diameter_mm=10.0, multifocal=multifocal)
    assert core.recipe == drawn.recipe
    assert torch.equal(core.image, done.images[0])


RANGES: dict[str, Any] = {"tumors": (1, 3), "diameter_mm": (7.0, 12.0), "enhancement": (0.8, 1.6)}

Drawn = tuple[Tensor, Tensor, dict[str, Any]]


def drawn_by_the_injector(volume: BreastVolume, settings: InjectionSettings, seed: int) -> Drawn:
    label = empty_label(volume)[None]
    injector = SynBTInjector(settings)
    done = injector(volume.image[None], label, volume.spacing, generator=seeded(seed))
    (result,) = done.results
    assert result is not None and result.recipe is not None
    return done.images[0], done.labels[0, 0], result.recipe


def drawn_by_monai(volume: BreastVolume, settings: InjectionSettings, seed: int) -> Drawn:
    transform = SynBTTumor(settings=settings, spacing=volume.spacing).set_random_state(seed)
    image, label = transform(volume.image.numpy(), empty_label(volume).numpy())
    return torch.from_numpy(image), torch.from_numpy(label)[0], transform.outcome["recipe"]


def drawn_by_torchio(volume: BreastVolume, settings: InjectionSettings, seed: int) -> Drawn:
    tio = pytest.importorskip("torchio")
    from synbt_aug_torchio import SynBTTumor as SynBTSubject

    affine = affine_of(volume)
    subject = tio.Subject(
        pre=tio.ScalarImage(tensor=volume.image[:1], affine=affine),
        post=tio.ScalarImage(tensor=volume.image[1:], affine=affine),
        label=tio.LabelMap(tensor=empty_label(volume), affine=affine),
    )
    torch.manual_seed(seed)
    found = SynBTSubject(settings=settings)(subject)
    image = torch.cat([found["pre"].data, found["post"].data])
    return image, found["label"].data[0], found.applied_transforms[-1][1]["recipe"]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("host", [drawn_by_the_injector, drawn_by_monai, drawn_by_torchio])
def test_what_a_host_draws_from_ranges_the_core_draws_from_the_same_seed(
    synthesizer: TumorSynthesizer,
    host: Callable[[BreastVolume, InjectionSettings, int], Drawn],
    seed: int,
) -> None:
    volume = volume_of(MM, torch.float32)
    image, label, recipe = host(volume, InjectionSettings(probability=1.0, **RANGES), seed)
    core = synthesizer(
        volume,
        seed=recipe["seed"],
        tumors=(1, 3),
        diameter_mm=(7.0, 12.0),
        appearance=AppearanceRequest(enhancement=(0.8, 1.6)),
    )
    assert core.recipe == recipe
    assert torch.equal(core.image, image) and torch.equal(core.tumor, label == 1)
    # The recipe holds what was drawn, and replays without the ranges.
    for tumor in recipe["tumors"]:
        assert 7.0 <= tumor["diameter_mm"] <= 12.0
        assert isinstance(tumor["appearance"]["enhancement"], float)
    assert torch.equal(synthesizer.replay(volume, recipe).image, image)


def integer_of_monai(seed: int) -> int:
    random = np.random.RandomState(seed)
    random.rand()  # whether
    return int(random.randint(2**62, dtype=np.int64))


def integer_of_torchio(seed: int) -> int:
    torch.manual_seed(seed)
    torch.rand(1)  # TorchIO's own: whether a transform is applied
    return int(torch.randint(2**62, (1,)))


@pytest.mark.parametrize(
    "host, integer",
    [(drawn_by_monai, integer_of_monai), (drawn_by_torchio, integer_of_torchio)],
    ids=["monai", "torchio"],
)
def test_the_one_integer_that_a_host_draws_gives_the_same_in_an_injector(
    synthesizer: TumorSynthesizer,
    host: Callable[[BreastVolume, InjectionSettings, int], Drawn],
    integer: Callable[[int], int],
) -> None:
    volume = volume_of((0.9, 1.0, 1.2), torch.float32)
    asked = InjectionSettings(
        probability=1.0, multifocal=0.5, distractors=1.0, null_paint=0.2, **RANGES
    )
    drawn, found = drawn_by_the_injector(volume, asked, integer(4)), host(volume, asked, 4)
    assert found[2] == drawn[2]
    assert torch.equal(found[0], drawn[0]) and torch.equal(found[1], drawn[1])


class FailsFor(FlatTexture):
    """Paints all tumors but one, at which every attempt fails.

    Args:
        bad: That one, as `seen` lists it; None paints all.
        how: What happens there.
    """

    def __init__(self, bad: int | None, how: str) -> None:
        super().__init__()
        self.bad, self.how = bad, how
        self.seen: list[int] = []

    def __call__(self, job: PaintingJob) -> Tensor:
        painted = super().__call__(job)
        for row, mask in enumerate(job.mask):
            self.seen.append(hash(mask.numpy().tobytes()))
            if self.seen[-1] == self.bad:
                if self.how == "an error":
                    raise RuntimeError("no such kernel")
                if self.how == "out of memory":
                    raise MemoryError("Tried to allocate 2 GiB")
                painted[row] = float("nan")
        return painted


def rounded(measured: Any) -> Any:
    """The same to 4 digits."""
    if isinstance(measured, dict):
        return {name: rounded(value) for name, value in measured.items()}
    if isinstance(measured, list):
        return [rounded(value) for value in measured]
    return float(f"{measured:.4g}") if isinstance(measured, float) else measured


@pytest.mark.parametrize(
    "how, failing",
    [("NaN", 0), ("an error", 0), ("out of memory", 1)],
    ids=lambda value: str(value),
)
def test_after_a_failure_the_core_and_an_injector_go_on_alike(how: str, failing: int) -> None:
    volume = volume_of(MM, torch.float32)
    images = torch.stack([volume.image, breast(seed=1).image])
    labels = torch.zeros((2, 1, *volume.shape), dtype=torch.int16)
    asked = InjectionSettings(probability=1.0, diameter_mm=8.0, tumors=2, distractors=1.0)

    def inject(bad: int | None) -> tuple[Any, Any]:
        injector = SynBTInjector(asked, painter(FailsFor(bad, how)))
        first, second = injector(images, labels, generator=seeded(0)).results
        return first, second

    def paint(bad: int | None, seed: int) -> tuple[Synthesis, list[int]]:
        texture = FailsFor(bad, how)
        core = painter(texture)(volume, seed=seed, tumors=2, diameter_mm=8.0, distractors=1.0)
        return core, texture.seen

    whole, other = inject(None)
    core, seen = paint(None, whole.recipe["seed"])
    assert core.recipe == whole.recipe and len(seen) == 2
    drawn, beside = inject(seen[failing])
    core, _ = paint(seen[failing], whole.recipe["seed"])
    kinds = [thing["kind"] for thing in drawn.recipe["tumors"]]
    assert kinds == ["tumor", "distractor"]
    assert core.recipe == drawn.recipe
    # Measured in a batch with others, sums are rounded otherwise.
    assert rounded(core.measured) == rounded(drawn.measured)
    assert len(core.measured["left_out"]) == 1
    assert torch.equal(core.image, drawn.image) and torch.equal(core.tumor, drawn.tumor)
    assert torch.equal(beside.image, other.image), "one sample's failure is its own"


@pytest.mark.parametrize("how", ["an error", "out of memory"])
def test_where_nothing_could_be_painted_the_core_raises_the_error(how: str) -> None:
    volume = volume_of(MM, torch.float32)
    texture = FailsFor(None, how)
    painter(texture)(volume, seed=3, diameter_mm=8.0)
    with pytest.raises((RuntimeError, MemoryError), match="no such kernel|allocate 2 GiB"):
        painter(FailsFor(texture.seen[0], how))(volume, seed=3, diameter_mm=8.0)
