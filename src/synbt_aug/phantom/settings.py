"""What a caller may fix about a phantom; whatever is `None` is drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass

SMALLEST_EXTENT_MM = 48.0


@dataclass(frozen=True)
class PhantomSettings:
    """Grid, protocol and patient of one phantom.

    Axes are X (towards the patient's left), Y (posterior), Z (superior).

    Args:
        shape: Voxels along X, Y, Z.
        spacing: Voxel size along X, Y, Z in mm.
        bilateral: Both breasts in the field of view, or one. `None` draws, but
            only fields at least 250 mm wide ever hold two.
        times_s: Seconds from injection to the centre of each post-contrast scan.
        field_tesla: 1.5 or 3.0; `None` draws.
        fat_saturation: `None` draws (94 % saturated; MAMA-MIA: 1485 of 1491).
        slice_thickness_mm: Slice profile before resampling; `None` draws 1.0-2.6 mm.
        snr: Mean breast signal over noise SD before contrast; `None` draws 6-19.
        with_tumor: Place one or more tumors. The same seed without tumor is the
            same patient.
        density: BI-RADS density 'a' (fatty) to 'd' (dense); `None` draws.
        category: Shape of the index lesion, 'mass', 'rim' or 'nonmass'; `None` draws.
        diameter_mm: Wanted size of the index lesion (approximate: the breast may
            hold less); `None` draws lognormal(ln 30, 0.38), 8-75 mm.

    Raises:
        ValueError: If a value cannot be honoured.
    """

    shape: tuple[int, int, int] = (192, 192, 128)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bilateral: bool | None = None
    times_s: tuple[float, ...] = (120.0,)
    field_tesla: float | None = None
    fat_saturation: bool | None = None
    slice_thickness_mm: float | None = None
    snr: float | None = None
    with_tumor: bool = True
    density: str | None = None
    category: str | None = None
    diameter_mm: float | None = None

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or len(self.spacing) != 3 or min(self.spacing) <= 0:
            raise ValueError(
                "PhantomSettings needs three voxel counts and three positive voxel sizes in mm, "
                f"got shape={self.shape}, spacing={self.spacing}. "
                "Type e.g. shape=(192, 192, 128), spacing=(1.0, 1.0, 1.0)."
            )
        extent = [n * s for n, s in zip(self.shape, self.spacing)]
        if min(extent) < SMALLEST_EXTENT_MM or min(self.shape) < 16:
            raise ValueError(
                f"A phantom needs at least {SMALLEST_EXTENT_MM:.0f} mm and 16 voxels along each "
                f"axis, got shape={self.shape}, spacing={self.spacing} "
                f"({', '.join(f'{e:.0f}' for e in extent)} mm). Enlarge shape or spacing."
            )
        if not self.times_s or list(self.times_s) != sorted(set(self.times_s)):
            raise ValueError(
                f"times_s must hold at least one time, rising, got {self.times_s}. "
                "Type e.g. times_s=(90.0, 180.0, 300.0)."
            )
        if self.times_s[0] < 30 or self.times_s[-1] > 1200:
            raise ValueError(
                f"times_s are seconds after injection between 30 and 1200, got {self.times_s}."
            )
        if self.field_tesla not in (None, 1.5, 3.0):
            raise ValueError(f"field_tesla must be 1.5, 3.0 or None, got {self.field_tesla}.")
        if self.density not in (None, "a", "b", "c", "d"):
            raise ValueError(f"density must be 'a', 'b', 'c', 'd' or None, got {self.density!r}.")
        if self.category not in (None, "mass", "rim", "nonmass"):
            raise ValueError(
                f"category must be 'mass', 'rim', 'nonmass' or None, got {self.category!r}."
            )
        for name in ("slice_thickness_mm", "snr", "diameter_mm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive or None, got {value}.")
