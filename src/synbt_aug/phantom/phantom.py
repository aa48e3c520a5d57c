"""`make_phantom`: one synthetic breast DCE-MRI case from one integer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synbt_aug.phantom.acquisition import Scanner
from synbt_aug.phantom.anatomy import build_anatomy
from synbt_aug.phantom.contrast import SignalModel, draw_protocol
from synbt_aug.phantom.lesion import Growth, Lesion, grow_lesions, plan_lesions
from synbt_aug.phantom.retraction import retract
from synbt_aug.phantom.settings import PhantomSettings
from synbt_aug.phantom.supply import add_supply
from synbt_aug.phantom.texture import Randomness
from synbt_aug.phantom.tissue import Tissue

DEFAULTS = PhantomSettings()

#: Raise it when a seed gives another phantom than before. Version 1 had foam-like gland and
#: cog-wheel tumors; 2 is calibrated by the statistics of patients; 3 adds long strands, veins
#: under the skin, fibres and settling; 4 has darker fat, less gland, crisper scans and vessels;
#: in 5 fat holds vessels and stroma that take up contrast; 6 has a chest wall in layers, long
#: vessels, softer tumors with regions, and noise without a lattice; 7 has noise that differs by
#: place, ghosts, thin vessels all over the breast, and tumors that draw tissue into tents; 8 has
#: large tumors that are heaps of lobes with notches, fuller non-mass lesions, and darker spots;
#: 9 has compact bodies, edges that are darker before contrast, thinner halos, dark mottle, more
#: vessels, glands that take up less; 10 has such edges on coarse grids, too, and no pepper.
GENERATOR_VERSION = 10


@dataclass(frozen=True)
class Phantom:
    """A case with everything known about it.

    Axes of all arrays are X (towards the patient's left), Y (posterior), Z (superior).

    Args:
        pre: Scan before contrast, int16, `(X, Y, Z)`.
        post: Scans after contrast, int16, `(P, X, Y, Z)`.
        clean_pre: `pre` with the same coil, blur and motion but without noise and ghosts,
            float32.
        clean_post: The same of `post`.
        labels: Values of `Tissue`, uint8, `(X, Y, Z)`.
        tumor: All lesions, bool, `(X, Y, Z)`.
        tumor_instances: 0, or the number of the lesion in `lesions` plus 1; uint8.
        breast: Breast tissue in front of the chest muscle, skin included, bool.
        lesions: Index lesion first.
        spacing: Voxel size along X, Y, Z, mm.
        affine: Voxel index to RAS mm (NIfTI), `(4, 4)`.
        times_s: Seconds after injection of each post scan.
        seed: What it was made from, with `settings`.
        settings: As given.
        density: BI-RADS density 'a'..'d'.
        gland_fraction: Share of gland asked for inside the breast.
        bilateral: Whether both breasts are in view.
        field_tesla: 1.5 or 3.0.
        fat_saturated: Whether fat was suppressed.
        snr: Mean breast signal before contrast over noise SD.
        slice_axis: Axis across which the scanner's slices lie: 0 sagittal, 2 axial.
    """

    pre: np.ndarray
    post: np.ndarray
    clean_pre: np.ndarray
    clean_post: np.ndarray
    labels: np.ndarray
    tumor: np.ndarray
    tumor_instances: np.ndarray
    breast: np.ndarray
    lesions: tuple[Lesion, ...]
    spacing: tuple[float, float, float]
    affine: np.ndarray
    times_s: tuple[float, ...]
    seed: int
    settings: PhantomSettings
    density: str
    gland_fraction: float
    bilateral: bool
    field_tesla: float
    fat_saturated: bool
    snr: float
    slice_axis: int


def make_phantom(seed: int, settings: PhantomSettings = DEFAULTS) -> Phantom:
    """Make one case.

    The same seed and settings give the same case, bitwise on the same kind of CPU, torch
    version and thread count. With `with_tumor=False` it is the same patient and scanner
    without the tumor. 2 to 4 s of one core at 192 x 192 x 128.

    Args:
        seed: Non-negative; 1,000,000 and above are for testing only, never for training.
        settings: What to fix; the rest is drawn.

    Raises:
        ValueError: If `seed` is negative.
    """
    if seed < 0:
        raise ValueError(f"make_phantom needs a seed of 0 or more, got {seed}.")
    patient, disease, uptake, tissue, machine, supply, scar = Randomness.stages(seed, 7)
    anatomy = build_anatomy(settings, patient)
    seeds = plan_lesions(anatomy, settings, disease)
    # Retraction and vessels are there with and without the tumor: it is the same patient.
    for lesion in seeds[:1]:
        if lesion.margin == "spiculated":
            anatomy = retract(anatomy, lesion.site, lesion.diameter_mm / 2, scar)
    anatomy = add_supply(anatomy, [s.site for s in seeds[:1]], supply)
    growths: tuple[Growth, ...] = ()
    instances = None
    if settings.with_tumor:
        growths, instances = grow_lesions(anatomy, seeds, settings, disease)
    protocol = draw_protocol(settings, tissue)
    model = SignalModel(anatomy, growths, protocol, settings.times_s, tissue, uptake)
    scanner = Scanner(anatomy, settings, machine)
    scans = []
    for phase in range(-1, len(settings.times_s)):
        signal = model.healthy(phase)
        if phase < 0:
            scanner.calibrate(signal)
        scans.append(scanner.scan(model.with_lesions(signal, phase), moves=phase >= 0))

    labels = anatomy.labels.numpy().astype(np.uint8)
    numbers = np.zeros(settings.shape, np.uint8) if instances is None else instances.numpy()
    labels[numbers > 0] = Tissue.TUMOR
    return Phantom(
        pre=scans[0].stored,
        post=np.stack([s.stored for s in scans[1:]]),
        clean_pre=scans[0].clean,
        clean_post=np.stack([s.clean for s in scans[1:]]),
        labels=labels,
        tumor=numbers > 0,
        tumor_instances=numbers,
        breast=anatomy.breast.numpy(),
        lesions=tuple(g.lesion for g in growths),
        spacing=settings.spacing,
        affine=_affine(settings),
        times_s=settings.times_s,
        seed=seed,
        settings=settings,
        density=anatomy.density,
        gland_fraction=anatomy.gland_fraction,
        bilateral=len(anatomy.torso.breasts) == 2,
        field_tesla=protocol.field_tesla,
        fat_saturated=protocol.fat_saturated,
        snr=scanner.snr,
        slice_axis=scanner.slice_axis,
    )


def _affine(settings: PhantomSettings) -> np.ndarray:
    """Index to RAS mm with the field of view centred on the scanner's origin."""
    spacing = np.array(settings.spacing)
    step = np.array([-1.0, -1.0, 1.0]) * spacing
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = -step * (np.array(settings.shape) - 1) / 2
    return affine
