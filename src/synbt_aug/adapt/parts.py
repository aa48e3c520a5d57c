"""The three parts of weights, made of a user's cases: bank, decoder, denoiser.

Each is kept in the run's folder as soon as it is there, and a training that was stopped goes on
from its checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synbt_aug.adapt.presets import Times, decoder_preset, denoiser_preset
from synbt_aug.data.bank import bank_of_dataset
from synbt_aug.data.cohort import Cohort
from synbt_aug.loop.training_loop import checkpoint_path
from synbt_aug.networks import VQVAE, Denoiser
from synbt_aug.tissue.segments import Segments
from synbt_aug.train.autoencoder import train_autoencoder
from synbt_aug.train.denoiser import train_denoiser
from synbt_aug.train.files import load_autoencoder, load_denoiser
from synbt_aug.tumor.bank import TumorBank, load_bank
from synbt_aug.weights import Weights

# A kill costs at most so many seconds of steps.
_SAVE_EVERY_S = 60.0


@dataclass(frozen=True)
class Parts:
    """Makes the parts.

    Args:
        dataset: Where the cases came from.
        cases: To learn from.
        folder: Of the run.
        start: Name or path of the weights that are started from.
        base: The same, loaded.
        times: Of the trainings.
        device: "cpu" or "cuda".
        seed: Of everything drawn.
    """

    dataset: Path
    cases: Cohort
    folder: Path
    start: str
    base: Weights
    times: Times
    device: str
    seed: int

    def bank(self, segmenter: Segments, on_case: Callable[[int, int], None]) -> TumorBank:
        """Shapes, sizes, places, looks and courses of the tumors; no voxels.

        Args:
            segmenter: Finds the tissues that the tumors lie in.
            on_case: Called with (cases read, all cases).
        """
        path = self.folder / "bank.npz"
        if not path.is_file():
            names = [case.name for case in self.cases]
            built = bank_of_dataset(self.dataset, names=names, segmenter=segmenter, on_case=on_case)
            built.bank.save(path)
        return load_bank(path)

    def decoder(self) -> VQVAE:
        """The autoencoder with its decoder trained on; encoder and codebook are the start's."""
        folder = self.folder / "decoder"
        train_autoencoder(
            self.cases,
            decoder_preset(self.base.autoencoder.settings),
            folder,
            max_time_s=self.times.decoder,
            resume=checkpoint_path(folder, "crops").exists(),
            init=self.start,
            keep_encoder=True,
            seed=self.seed,
            accelerator=self.device,
            save_every_s=_SAVE_EVERY_S,
        )
        return load_autoencoder(folder).eval().requires_grad_(False)

    def denoiser(self) -> Denoiser:
        """The denoiser trained on, on latents of the start's encoder."""
        folder = self.folder / "denoiser"
        train_denoiser(
            self.cases,
            # Loaded anew: the training moves it to its device and freezes it.
            self.start,
            denoiser_preset(self.base.denoiser.settings),
            folder,
            max_time_s=self.times.denoiser,
            resume=checkpoint_path(folder, "denoiser").exists(),
            init=self.start,
            seed=self.seed,
            accelerator=self.device,
            save_every_s=_SAVE_EVERY_S,
        )
        return load_denoiser(folder).eval().requires_grad_(False)
