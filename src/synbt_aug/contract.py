"""The contract between trained weights and this code, line by line.

What the networks were trained on (the intensity map, the hole rule, the order of the appearance)
is compared with what this code does, so that weights of another contract are refused and not
painted with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from synbt_aug.errors import SynBTError
from synbt_aug.grid import mask, window
from synbt_aug.networks import VQVAE, Denoiser, DenoiserSettings, NoiseSchedule, VQVAESettings
from synbt_aug.signal import hole, intensity
from synbt_aug.support.number import check_number
from synbt_aug.tumor import appearance

#: Raised whenever a field below changes its meaning: older weights no longer fit.
CONTRACT_VERSION = 1

#: Voxels along one latent voxel: masks are averaged down to it.
LATENT_FACTOR = 4

#: Networks learn holes of 0 to 3 mm, and a template's distances end at 8 mm.
MAX_HOLE_MARGIN_MM = 6.0


@dataclass(frozen=True)
class Contract:
    """What weights and code must agree on.

    The margin of the hole, the schedule and the networks' shapes come with the weights; everything
    else describes the code, and has the code's own values as defaults.

    Args:
        version: `CONTRACT_VERSION`.
        low_percentile: Of the valid voxels; maps to -1.
        body_share: Body is brighter than this share of the bright voxels.
        bright_percentile: Of the valid voxels: those.
        high_medians: `high` is so many body medians above `low`; maps to 1.
        knee: Compression above 1.
        fill_sigmas_mm: Of the hole's fill.
        tissue_level: Mapped level above which voxels are tissue.
        smoothing_mm: Of a template before it is painted.
        blend_half_width_mm: Of the blend.
        window_sides_mm: Sides of the cubes that the denoiser was trained on.
        appearance_inputs: Order of the appearance.
        appearance_centre: Its scaling.
        appearance_spread: Its scaling.
        hole_margin_mm: Dilation of the label in use.
        quantized_targets: Whether the denoiser learns the codes' vectors.
        quantized_conditions: Whether it is shown them.
        schedule: `NoiseSchedule` as a dictionary.
        autoencoder: `VQVAESettings` as a dictionary.
        denoiser: `DenoiserSettings` as a dictionary; `predicts` among them.
    """

    version: int = CONTRACT_VERSION
    low_percentile: float = intensity.LOW_PERCENTILE
    body_share: float = intensity.BODY_SHARE
    bright_percentile: float = intensity.BRIGHT_PERCENTILE
    high_medians: float = intensity.HIGH_MEDIANS
    knee: str = "1 + ln s"
    fill_sigmas_mm: tuple[float, ...] = hole.FILL_SIGMAS_MM
    tissue_level: float = hole.TISSUE_LEVEL
    smoothing_mm: float = mask.SMOOTHING_MM
    blend_half_width_mm: float = mask.BLEND_HALF_WIDTH_MM
    window_sides_mm: tuple[int, ...] = window.TRAINED_SIDES_MM
    appearance_inputs: tuple[str, ...] = appearance.APPEARANCE_INPUTS
    appearance_centre: tuple[float, ...] = appearance.CENTRE
    appearance_spread: tuple[float, ...] = appearance.SPREAD
    hole_margin_mm: float = hole.HOLE_MARGIN_MM
    quantized_targets: bool = False
    quantized_conditions: bool = False
    schedule: Mapping[str, Any] = field(default_factory=dict)
    autoencoder: Mapping[str, Any] = field(default_factory=dict)
    denoiser: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_dict(cls, values: Any, where: str = "These weights") -> Contract:
        """Read what `to_dict` wrote, and hold it against this code.

        Raises:
            SynBTError: If the weights were trained under another contract, or no networks of this
                code can be made of it. Nothing of their size is made here.
        """
        if not isinstance(values, Mapping):
            raise SynBTError(f"{where} have a contract that is no JSON object. Copy them again.")
        here = cls().to_dict()
        for name in (f.name for f in fields(cls)):
            if name not in values:
                raise SynBTError(
                    f"{where} have a contract without {name!r}: they were made by another version "
                    f"of synbt-aug. Use that version, or train again with `synbt train`."
                )
            if name not in _OF_THE_WEIGHTS and values[name] != here[name]:
                raise SynBTError(
                    f"{where} follow another contract: {name} is {_shown(values[name])} there and "
                    f"{here[name]} in this version. Use the version of synbt-aug they were "
                    f"trained with, or train again with `synbt train`."
                )
        try:
            theirs = _checked(values)
        except SynBTError as error:
            raise SynBTError(
                f"{where} have a contract that cannot be met: {error} Copy them again, or train "
                f"again with `synbt train`."
            ) from error
        return replace(cls(), **theirs)


#: What comes with the weights; everything else describes the code.
_OF_THE_WEIGHTS = ("hole_margin_mm", "schedule", "autoencoder", "denoiser")


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The lines that come with the weights, each of them one that this code can follow."""
    margin_mm = check_number("hole_margin_mm", values["hole_margin_mm"], 0, MAX_HOLE_MARGIN_MM)
    schedule = NoiseSchedule.from_dict(values["schedule"])
    autoencoder = VQVAESettings.from_dict(values["autoencoder"])
    denoiser = DenoiserSettings.from_dict(values["denoiser"])
    for what, found, needed in (
        ("image_channels of the autoencoder", autoencoder.image_channels, 2),
        ("Voxels along a latent voxel", autoencoder.factor, LATENT_FACTOR),
        ("latent_channels of the denoiser", denoiser.latent_channels, autoencoder.latent_channels),
        ("appearance_inputs", denoiser.appearance_inputs, len(appearance.APPEARANCE_INPUTS)),
    ):
        if found != needed:
            raise SynBTError(f"{what} must be {needed}, got {found}.")
    return {
        "hole_margin_mm": margin_mm,
        "schedule": schedule.to_dict(),
        "autoencoder": autoencoder.to_dict(),
        "denoiser": denoiser.to_dict(),
    }


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def contract_of(
    autoencoder: VQVAE, denoiser: Denoiser, schedule: NoiseSchedule | None = None
) -> Contract:
    """This code's contract with these networks."""
    return Contract(
        schedule=(schedule or NoiseSchedule()).to_dict(),
        autoencoder=autoencoder.settings.to_dict(),
        denoiser=denoiser.settings.to_dict(),
    )
