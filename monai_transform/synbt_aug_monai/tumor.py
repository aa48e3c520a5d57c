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

from synbt_aug.clipping import CLIPPED_SHARE, clipped_advice, clipped_share
from synbt_aug.injection_settings import InjectionSettings
from synbt_aug.injector import Injected, SynBTInjector
from synbt_aug.intensity import IntensityReference
from synbt_aug.volume import Spacing, Synthesis
from synbt_aug_monai.options import call_text, described, settings_from
from synbt_aug_monai.record_intensity import usable_reference
from synbt_aug_monai.scan import Scan, read_scan, warn_once, write_scan

if TYPE_CHECKING:
    from typing_extensions import Self


class SynBTTumor(RandomizableTransform):
    """Paint synthetic breast tumors into an image, and into its label.

        painted, new_label = SynBTTumor(prob=0.5)(image, label)

    Arrays, tensors and MetaTensors come back as what they were, dtype and device kept; what came
    in is not changed. Voxels outside the painted places are bitwise the input's. Where nothing
    can be painted (no room, no tissue, constant or NaN signal, out of memory) image and label
    stay as they are, and `outcome` says why.

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
        **kwargs: Fields of `InjectionSettings` by name.

    Attributes:
        outcome: What became of the last call: `{"painted": ..., "reason": ..., "recipe": ...,
            "measured": ...}`, JSON-ready.
        counts: Of all calls in this process, by outcome.

    Raises:
        SynBTError: If a name is unknown, a value is out of range, or shapes do not fit.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (as MONAI declares it)

    def __init__(
        self,
        prob: float | None = None,
        *,
        spacing: Spacing | None = None,
        settings: InjectionSettings | None = None,
        **kwargs: Any,
    ) -> None:
        own = ("prob", "spacing", "settings")
        self.settings = settings_from(type(self).__name__, own, settings, kwargs, prob)
        super().__init__(self.settings.probability)
        self.spacing = spacing
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
        reference: IntensityReference | None = None,
        randomize: bool = True,
        roi: NdarrayOrTensor | None = None,
    ) -> tuple[Any, Any]:
        """Paint.

        Args:
            img: Shape `(C, H, W, D)`, with channels pre and post.
            label: Shape `(1, H, W, D)`; `tumor_label` marks tumors, negative values mark voxels
                without signal.
            reference: Intensity references of the case, where the image is a crop.
            randomize: Whether to draw anew; False repeats what was drawn.
            roi: Where tumors may go, in place of what the tissues say: a mask, or weights in
                [0, 1], shape `(1, H, W, D)`.

        Returns:
            Image and label.
        """
        if randomize:
            self.randomize()
        scan = read_scan(type(self).__name__, [img], label, self.spacing, roi)
        (new,), new_label = write_scan(self.inject(scan, reference), [img], label)
        return new, new_label

    def inject(self, scan: Scan, reference: IntensityReference | None) -> Injected:
        """Paint what was drawn into plain tensors; a batch of one."""
        if not self._do_transform:
            self._tell(None, Counter({"not drawn": 1}))
            return Injected(scan.image[None], scan.label[None], (None,))
        self._look_at_worker()
        channels = (self.settings.pre_channel, self.settings.post_channel)
        injector = SynBTInjector(dataclasses.replace(self.settings, probability=1.0))
        if scan.image.shape[0] > max(channels):
            reference = usable_reference(reference, scan, channels)
            _look_at_order(scan.image[list(channels)], scan.label)
        injected = injector(
            scan.image[None],
            scan.label[None],
            scan.spacing,
            generator=torch.Generator().manual_seed(self._seed),
            references=[reference],
            roi=None if scan.roi is None else scan.roi[None],
        )
        self._tell(injected.results[0], injector.counts)
        return injected

    def _tell(self, result: Synthesis | None, counts: Counter[str]) -> None:
        self.outcome = outcome_of(result)
        self.counts.update(counts)
        if result is not None and str(result.reason).startswith("unusable sample"):
            warn_once(f"SynBT: {result.reason} It stays as it is.")

    def _look_at_worker(self) -> None:
        if get_worker_info() is not None and os.getpid() != self._seeded_in:
            warn_once(
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
        return {"painted": False, "reason": "not drawn", "recipe": None, "measured": {}}
    return {
        "painted": result.painted,
        "reason": result.reason,
        "recipe": result.recipe,
        "measured": result.measured,
    }


def _look_at_order(pair: Tensor, label: Tensor) -> None:
    """Warn once where intensities look clipped."""
    seen = label[0] >= 0
    share = clipped_share(pair, None if bool(seen.all()) else seen)
    if share >= CLIPPED_SHARE:
        warn_once(clipped_advice(share))
