"""The array transform: an image and its label, with a tumor."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.transforms.transform import RandomizableTransform
from monai.utils import TransformBackends
from torch import Tensor
from torch.utils.data import get_worker_info

from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.signal.intensity import IntensityReference, reference_of
from synbt_aug.support.ranges import Range, WholeRange
from synbt_aug.transform import (
    NOT_DRAWN,
    NOT_GIVEN,
    Notices,
    Sample,
    checked_keywords,
    inject,
    merged_settings,
    subtractions_after,
)
from synbt_aug.volume import Spacing, Synthesis
from synbt_aug_monai.call_text import call_text, described
from synbt_aug_monai.geometry import was_cropped
from synbt_aug_monai.record_intensity import usable_reference
from synbt_aug_monai.scan import IMAGE, LABEL, ROI, Recorded, read_sample, write_sample

if TYPE_CHECKING:
    from typing_extensions import Self


#: What helps with names from elsewhere.
HINTS = {
    "p": "MONAI's name of it is prob.",
    "seed": "Call set_random_state(seed=...) on the transform or its Compose, or "
    "monai.utils.set_determinism(...).",
}


class SynBTTumor(RandomizableTransform):
    """Paint synthetic breast tumors into an image, and into its label.

        painted, new_label = SynBTTumor(prob=0.5)(image, label)

    Arrays, tensors and MetaTensors come back as what they were, dtype and device kept; what came
    in is not changed. Voxels outside the painted places are bitwise the input's. Where nothing
    can be painted (no room, no tissue, constant or NaN signal, out of memory) image and label
    stay as they are, and `outcome` says why.

    A tumor is painted into pre and post, and follows a kinetic curve in the other scans of
    `post_channels`; `subtraction_channels` are computed again. Other channels in which a real one
    would show are refused, unless `unpainted_channels` is "allow".

    Put it before gamma, clipping, histogram and noise transforms. Networks are loaded on first
    use, once a process; the transform pickles as its settings. It takes no part in lazy
    resampling (pending operations are applied before it), and is neither invertible nor among
    `applied_operations`, so that spatial transforms around it can be inverted: the tumor stays.

    On a GPU use `ThreadDataLoader(num_workers=0)` and images that lie there (`EnsureTyped(
    device=...)` before this one): the networks run where the image is. MONAI's own loaders seed
    each worker; torch's `DataLoader` needs `worker_init_fn=monai.data.utils.worker_init_fn`, or
    every worker paints the same tumors.

    Args:
        prob: Probability of painting; the same as `probability`, .5 unless given.
        spacing: Voxel size along the image's axes, in mm. None takes it from a MetaTensor's
            affine, and 1 mm, with a warning, where there is none.
        settings: `InjectionSettings`; those given by name go before.
        probability: This and the rest are settings, as `InjectionSettings` describes them.

    Attributes:
        outcome: What became of the last call: `{"painted": ..., "reason": ..., "recipe": ...,
            "measured": ...}`, JSON-ready.
        counts: Of all calls in this process, by outcome.

    Raises:
        SynBTError: If a name is unknown, a value is out of range, or a file is not there; on a
            sample, if shapes or grids do not fit, or a channel would contradict the label.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    @checked_keywords(**HINTS)
    def __init__(
        self,
        prob: float | None = None,
        *,
        spacing: Spacing | None = None,
        settings: InjectionSettings | None = None,
        probability: float = NOT_GIVEN,
        tumors: int | WholeRange = NOT_GIVEN,
        multifocal: float = NOT_GIVEN,
        diameter_mm: float | Range | None = NOT_GIVEN,
        enhancement: float | Range | None = NOT_GIVEN,
        rim: float | Range | None = NOT_GIVEN,
        heterogeneity: float | Range | None = NOT_GIVEN,
        pre_contrast: float | Range | None = NOT_GIVEN,
        category: str | None = NOT_GIVEN,
        curve: str | None = NOT_GIVEN,
        texture: str = NOT_GIVEN,
        guidance: float = NOT_GIVEN,
        steps: int = NOT_GIVEN,
        weights: str = NOT_GIVEN,
        bank: str | None = NOT_GIVEN,
        tissue: str = NOT_GIVEN,
        pre_channel: int = NOT_GIVEN,
        post_channel: int = NOT_GIVEN,
        post_channels: tuple[int, ...] = NOT_GIVEN,
        subtraction_channels: tuple[int, ...] = NOT_GIVEN,
        unpainted_channels: str = NOT_GIVEN,
        tumor_label: int = NOT_GIVEN,
        paint_over: tuple[int, ...] = NOT_GIVEN,
        roi_labels: tuple[int, ...] = NOT_GIVEN,
        only_tumor_free: bool = NOT_GIVEN,
        only_free_side: bool = NOT_GIVEN,
        null_paint: float = NOT_GIVEN,
        distractors: float = NOT_GIVEN,
        precision: str = NOT_GIVEN,
        generator_device: str = NOT_GIVEN,
    ) -> None:
        self.settings = merged_settings("SynBTTumor", settings, locals(), {"prob": prob})
        super().__init__(self.settings.probability)
        self.spacing = spacing
        self.notices = Notices()
        self.counts: Counter[str] = Counter()
        self.outcome: dict[str, Any] = outcome_of(None)
        self._seed = 0
        self._seeded_in = os.getpid()

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> Self:
        """Seed; see MONAI."""
        super().set_random_state(seed, state)
        self._seeded_in = os.getpid()
        return self

    def randomize(self, data: Any = None) -> None:
        """Draw whether, and one integer that all else follows from.

        The integer is drawn either way: what happens to one sample does not change the next.
        """
        super().randomize(None)
        self._seed = int(self.R.randint(2**62, dtype=np.int64))

    def __call__(
        self,
        img: NdarrayOrTensor,
        label: NdarrayOrTensor,
        reference: IntensityReference | Tensor | None = None,
        randomize: bool = True,
        roi: NdarrayOrTensor | None = None,
    ) -> tuple[Any, Any]:
        """Paint.

        Args:
            img: Shape `(C, H, W, D)`, with channels pre and post.
            label: Shape `(1, H, W, D)`; `tumor_label` marks tumors, negative values mark voxels
                without signal.
            reference: Intensity references of the case, where the image is a crop; or their
                tensor, shape `(2, 2)`.
            randomize: Whether to draw anew; False repeats what was drawn.
            roi: Where tumors may go, in place of what the tissues say: a mask, or weights in
                [0, 1], shape `(1, H, W, D)`.

        Returns:
            Image and label.
        """
        if randomize:
            self.randomize()
        known = reference_of(reference) if isinstance(reference, Tensor) else reference
        sample, series = read_sample(
            type(self).__name__,
            {IMAGE: img},
            (LABEL, label),
            self.settings,
            None if roi is None else (ROI, roi),
            spacing=self.spacing,
            recorded=Recorded(known),
            notices=self.notices,
        )
        painted = self.inject(sample, was_cropped(img))
        (new,), new_label = write_sample(
            painted,
            {IMAGE: img},
            series,
            self.new_subtractions(sample, painted),
            label,
            self.settings.tumor_label,
        )
        return new, new_label

    def new_subtractions(self, sample: Sample, painted: Synthesis | None) -> list[Tensor]:
        """The sample's subtractions after painting; none where nothing was painted."""
        if painted is None or not painted.painted:
            return []
        return subtractions_after(sample, painted, self.settings, self.notices)

    def inject(self, sample: Sample, cropped: bool) -> Synthesis | None:
        """Paint what was drawn.

        Args:
            sample: In plain tensors.
            cropped: Whether it is a part of its case.

        Returns:
            None where it was not drawn.
        """
        painted, counts = None, Counter({NOT_DRAWN: 1})
        if self._do_transform:
            self._look_at_worker()
            reference = usable_reference(sample, cropped, self.notices)
            painted, counts = inject(
                dataclasses.replace(sample, reference=reference),
                self.settings,
                torch.Generator().manual_seed(self._seed),
                self.notices,
            )
        self.outcome = outcome_of(painted)
        self.counts.update(counts)
        return painted

    def _look_at_worker(self) -> None:
        if get_worker_info() is not None and os.getpid() != self._seeded_in:
            self.notices.warn(
                "SynBT: the random state was not set in this loader worker, so that workers and "
                "epochs may repeat the same tumors. Use monai.data.DataLoader, or pass "
                "worker_init_fn=monai.data.utils.worker_init_fn to torch's."
            )

    def described(self) -> dict[str, Any]:
        """What differs from the defaults."""
        found: dict[str, Any] = {"prob": self.prob}
        if self.spacing is not None:
            found["spacing"] = self.spacing
        return {**found, **described(self.settings, ("probability",))}

    def __repr__(self) -> str:
        return call_text(type(self).__name__, self.described())


def outcome_of(result: Synthesis | None) -> dict[str, Any]:
    """JSON-ready; None means that nothing was asked for."""
    if result is None:
        return {"painted": False, "reason": NOT_DRAWN, "recipe": None, "measured": {}}
    return {
        "painted": result.painted,
        "reason": result.reason,
        "recipe": result.recipe,
        "measured": result.measured,
    }
