"""The rows of Table 1, what else is held against them, and the paper's figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from synbt_aug.train.segmentation_synthetic import SyntheticPlan

NETWORK_NAMES = {"unet": "UNet", "nnunet": "nnUNet", "swinunetr": "SwinUNETR"}


@dataclass(frozen=True)
class Method:
    """What a segmenter is trained on.

    With `mode="add"` each step has a real sample and a supplementary one, which differ between
    methods in the paint alone. `single` and `replace` have the first alone, half as many samples
    in equally many steps, and use its crops as often as others do a supplementary one's.

    Args:
        label: In the table, before the network's name.
        field_of_view: "volume" or "patch".
        texture: What paints into the supplementary sample.
        generator: Whose weights paint: "own", trained on the labelled cases alone; "tuned", the
            shipped ones trained further on them.
        mode: "add", or "replace".
        probability: As in `SyntheticPlan`.
        further: Whether the supplementary samples are further real cases.
        steps: Of the sampler, where they are not the default.
    """

    label: str
    field_of_view: str = "volume"
    texture: str = "none"
    generator: str | None = None
    mode: str = "add"
    probability: float | None = None
    further: bool = False
    steps: int | None = None

    @property
    def needs_generator(self) -> bool:
        """Whether weights must be trained for it; nothing paints with chance zero."""
        return self.generator is not None and self.plan().paints

    def plan(self, **injection: Any) -> SyntheticPlan:
        from synbt_aug.settings.injection import InjectionSettings

        if self.steps is not None:
            injection["steps"] = self.steps
        settings = InjectionSettings(**injection)
        return SyntheticPlan(self.texture, self.mode, self.probability, settings)


METHODS = {
    "patch": Method("patch", field_of_view="patch"),
    "volume": Method("Volume"),
    "syntumor": Method("SynTumor", texture="syntumor"),
    "synbt": Method("SynBT", texture="diffusion", generator="own"),
    "copy_paste": Method("copy-paste", texture="copy_paste"),
    # What else tells what the painting is worth.
    "p0": Method("SynBT p=0", texture="diffusion", generator="own", probability=0.0),
    "single": Method("Volume, batch 1", mode="replace"),
    "tuned": Method("SynBT tuned", texture="diffusion", generator="tuned"),
    "extra": Method("real extra", further=True),
    "p25": Method("SynBT p=.25", texture="diffusion", generator="own", probability=0.25),
    "p50": Method("SynBT p=.5", texture="diffusion", generator="own", probability=0.5),
    "p75": Method("SynBT p=.75", texture="diffusion", generator="own", probability=0.75),
    "steps10": Method("SynBT, 10 steps", texture="diffusion", generator="own", steps=10),
    "replace": Method("SynBT replace", texture="diffusion", generator="own", mode="replace"),
}

#: The methods of the paper's table, and copy-paste.
TABLE = ("patch", "volume", "syntumor", "synbt", "copy_paste")

ARMS = {
    "own": TABLE,
    "control": ("volume", "p0", "single"),
    "tuned": ("volume", "tuned"),
    "extra": ("volume", "extra"),
    "steps": ("volume", "synbt", "steps10"),
    "sweep": ("volume", "p25", "p50", "p75", "synbt", "replace"),
}

#: Dice, HD95 and MSD in mm: Table 1 of the paper.
PAPER = {
    ("unet", "patch"): (0.3907, 136.83, 75.80),
    ("unet", "volume"): (0.7220, 60.05, 23.90),
    ("unet", "syntumor"): (0.6980, 63.28, 20.34),
    ("unet", "synbt"): (0.7326, 53.79, 17.71),
    ("nnunet", "patch"): (0.3758, 153.15, 81.81),
    ("nnunet", "volume"): (0.7463, 30.77, 12.48),
    ("nnunet", "syntumor"): (0.7266, 37.73, 16.24),
    ("nnunet", "synbt"): (0.7629, 29.26, 10.72),
    ("swinunetr", "patch"): (0.4667, 118.41, 64.37),
    ("swinunetr", "volume"): (0.7278, 45.25, 16.65),
    ("swinunetr", "syntumor"): (0.6750, 65.11, 29.22),
    ("swinunetr", "synbt"): (0.7580, 33.99, 11.60),
}


@dataclass(frozen=True)
class Row:
    """One training.

    Args:
        network: "unet", "nnunet" or "swinunetr".
        method: A name in `METHODS`.
        seed: Of the training.
    """

    network: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        return f"{METHODS[self.method].label}-{NETWORK_NAMES[self.network]}"

    @property
    def path(self) -> str:
        """Of its files, within the output folder."""
        return f"{self.network}/{self.method}/seed{self.seed}"


def rows_of(networks: list[str], methods: list[str], seeds: list[int]) -> list[Row]:
    """Seed by seed, so that a run that is stopped has whole tables of fewer seeds."""
    return [Row(n, m, s) for s in seeds for n in networks for m in dict.fromkeys(methods)]
