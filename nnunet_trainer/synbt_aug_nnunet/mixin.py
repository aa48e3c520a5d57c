"""`SynBTMixin`: tumors painted into the training of any nnU-Net v2 trainer.

    class MyTrainerSynBT(SynBTMixin, MyTrainer): ...

It hooks into four places of nnU-Net's life cycle and leaves the rest alone: `initialize` (settings
are read and checked), `on_train_start` (cohort, generator, fit), `get_training_transforms` (cut in
two) and `train_step`. Validation, the choice of the best checkpoint and prediction see real data
only and need no generator. There is no `__init__`: nnU-Net reads its arguments by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from nnunetv2.paths import nnUNet_raw
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA

from synbt_aug import __version__
from synbt_aug.data.channels import channel_names
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate import Fit, FitCase, measure_fit, spread_first
from synbt_aug.injector import SynBTInjector
from synbt_aug.lookahead import Lookahead
from synbt_aug.settings.dataset import unpainted_line
from synbt_aug.shared_synthesizer import check_files
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.texture import TumorInpainter
from synbt_aug.texture.choice import load_for, refuse_shapes_only
from synbt_aug.tumor.bank import load_bank
from synbt_aug.weights import SHIPPED, Weights, WithoutNetworks
from synbt_aug_nnunet.augmentation import SplitAugmentation, split
from synbt_aug_nnunet.checks import check_plan
from synbt_aug_nnunet.cohort import (
    FoldCohort,
    PreprocessedCases,
    measured_cohort,
    refuse_leaks,
)
from synbt_aug_nnunet.epoch_counts import EpochCounts, ShareWatch
from synbt_aug_nnunet.injection import BatchInjection, save_examples
from synbt_aug_nnunet.planning import DecideSample, packed_plans, step_seed
from synbt_aug_nnunet.results import refuse_other_settings, write_record
from synbt_aug_nnunet.series import recognised_subtractions
from synbt_aug_nnunet.settings import DURATIONS, TrainerSettings, gather_settings
from synbt_aug_nnunet.site_maps import MOST_CASES, HeldSites, WithSites, case_sites

#: Marks a batch that needs nothing but training.
_IS_READY = "synbt_is_ready"


class SynBTMixin(nnUNetTrainer):  # type: ignore[misc]
    """Paints synthetic tumors into nnU-Net's training batches.

    Attributes:
        synbt_fixed: Settings that the trainer's name promises; nothing but a subclass overrides
            them.
        synbt_settings: The settings in force, from `initialize` on.

    Raises:
        SynBTError: From `initialize` or `on_train_start`, if the configuration, the dataset or
            the results folder does not fit.
    """

    synbt_fixed: ClassVar[Mapping[str, Any]] = {}

    synbt_settings: TrainerSettings
    dataloader_train: Any
    _synbt_augmentation: SplitAugmentation
    _synbt_injection: BatchInjection
    _synbt_step: int
    _synbt_watch: ShareWatch
    _synbt_examples_left: int
    _synbt_decide: DecideSample | None = None

    def initialize(self) -> None:
        """Read and check the settings, then as nnU-Net does."""
        if not self.was_initialized:
            self.synbt_settings = gather_settings(self.dataset_json, self._synbt_promised())
            for name in DURATIONS:
                if getattr(self.synbt_settings, name) is not None:
                    setattr(self, name, getattr(self.synbt_settings, name))
            check_plan(
                configuration=self.configuration_name,
                patch_size=self.configuration_manager.patch_size,
                is_cascaded=self.is_cascaded,
            )
        super().initialize()

    def on_train_start(self) -> None:
        """Measure the cohort, load the generator, say whether it fits; then as nnU-Net does."""
        if not self.was_initialized:
            self.initialize()
        lead = self.local_rank == 0
        if self.synbt_settings.probability > 0:
            self.synbt_settings = recognised_subtractions(
                self.synbt_settings,
                channel_names(self.dataset_json),
                self._synbt_cases(),
                lambda: self.do_split()[0],
                self.print_to_log_file if lead else lambda line: None,
            )
        settings = self.synbt_settings
        unpainted = unpainted_line(self.dataset_json, settings)
        if lead:
            self.print_to_log_file(f"SynBT {__version__}: {_in_force(settings)}")
            if unpainted is not None:
                self.print_to_log_file(unpainted)
        learned_from = {**settings.learned_from(), "weights": None, "bank": None}
        synthesizer, fit = None, None
        cohort = FoldCohort({}, ())
        if settings.probability > 0:
            # Now, not after an hour of measuring.
            check_files(settings)
            names, validation = self.do_split()
            # Textures without a network leave them unread.
            weights = load_for(settings.texture, settings.weights)
            if settings.texture == "copy_paste" and settings.bank is not None:
                given = weights.bank if settings.bank == SHIPPED else load_bank(settings.bank)
                refuse_shapes_only(given, settings.bank)
            learned_from |= {"weights": weights.digest, "bank": _bank_in_words(settings, names)}
        if lead:
            defaults = TrainerSettings().learned_from()
            refuse_other_settings(Path(self.output_folder), learned_from, defaults)
        if settings.probability > 0:
            cases = self._synbt_cases()
            cohort = measured_cohort(
                cases,
                names,
                fallback=Path(self.output_folder_base) / f"synbt_{cases.folder.name}",
                measures=lead,
                workers=get_allowed_n_proc_DA(),
                say=self.print_to_log_file,
                voxels=settings.texture == "copy_paste" and settings.bank is None,
            )
            synthesizer = self._synbt_generator(weights, cohort, validation)
            if lead and isinstance(synthesizer.texture, TumorInpainter):
                self.print_to_log_file(
                    f"SynBT: the networks that paint run in {synthesizer.texture.precision} on "
                    f"{synthesizer.device}."
                )
            self._synbt_plan_in_workers(cases, cohort, synthesizer)
            if lead and self.current_epoch == 0 and settings.texture == "diffusion":
                fit = self._synbt_fit(synthesizer, cases, cohort)
        super().on_train_start()
        self._synbt_injection = BatchInjection(
            None if synthesizer is None else SynBTInjector(settings, synthesizer),
            self._synbt_parts(),
            cohort.references,
            self._synbt_spacing,
            self._synbt_place,
        )
        self._synbt_step = 0
        self._synbt_watch = ShareWatch()
        self._synbt_examples_left = settings.examples if lead else 0
        if settings.lookahead:
            self.dataloader_train = Lookahead(
                self.dataloader_train,
                self._synbt_ready,
                self._synbt_place,
                goes_on=lambda: self._synbt_step < self.num_iterations_per_epoch,
            )
        if lead and self.current_epoch == 0:
            write_record(
                Path(self.output_folder),
                learned_from,
                synbt_aug=__version__,
                settings=settings.to_dict(),
                training_cases=len(cohort.references),
                templates=0 if synthesizer is None else len(synthesizer.bank),
                fit=None if fit is None else fit.to_dict(),
            )

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """nnU-Net's transforms up to the spatial ones; the rest waits for the device."""
        self._synbt_augmentation = split(
            super().get_training_transforms(*args, **kwargs), self._synbt_place, self._synbt_decide
        )
        return self._synbt_augmentation.in_workers

    def get_tr_and_val_datasets(self) -> Any:
        """nnU-Net's datasets; the training cases bring along where tumors may go."""
        training, validation = super().get_tr_and_val_datasets()
        if self._synbt_decide is not None:
            training = WithSites(training, self._synbt_decide.sites.names)
        return training, validation

    def train_step(self, batch: dict[str, Any]) -> Any:
        """Inject, finish the augmentation, then as nnU-Net does."""
        return super().train_step(batch if _IS_READY in batch else self._synbt_ready(batch))

    def _synbt_ready(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A loader's batch with tumors, augmented; in a thread where `lookahead` is on."""
        seed = step_seed(
            self.synbt_settings.seed, self.fold, self.local_rank, self.current_epoch,
            self._synbt_step,
        )  # fmt: skip
        self._synbt_step += 1
        if self._synbt_decide is not None and packed_plans(batch)[1] is None:
            self.print_to_log_file(
                "SynBT: the batches bring no plans, so tumors are decided while the device waits. "
                "Let get_dataloaders ask get_tr_and_val_datasets and get_training_transforms."
            )
            self._synbt_decide = None
        before = batch["data"].clone() if self._synbt_examples_left > 0 else None
        ready, injected = self._synbt_injection(batch, torch.Generator().manual_seed(seed))
        if before is not None and injected is not None:
            self._synbt_examples_left -= save_examples(
                Path(self.output_folder) / "synbt_examples",
                injected,
                before,
                batch["keys"],
                self._synbt_spacing,
                self._synbt_channels,
                self._synbt_examples_left,
            )
        # What was painted is in the batch: its hosts are not kept while the network trains.
        del injected
        return {**ready, _IS_READY: True}

    def on_train_epoch_end(self, train_outputs: list[dict[str, Any]]) -> None:
        """As nnU-Net does, and a line on what was injected."""
        super().on_train_epoch_end(train_outputs)
        if isinstance(self.dataloader_train, Lookahead):
            # None is begun behind an epoch's last, unless the loop is another one than nnU-Net's.
            self.dataloader_train.settle()
        self._synbt_step = 0
        if self._synbt_injection.iterations == 0:
            raise SynBTError(
                f"Nothing was injected in this epoch: {type(self).__name__} has a train_step of "
                f"its own that does not call super().train_step(batch). Let it, and list "
                f"SynBTMixin first: class Mine(SynBTMixin, MyTrainer)."
            )
        counts = self._synbt_injection.pop_counts()
        if self.is_ddp:
            everyone: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(everyone, counts)
            counts = EpochCounts.sum(everyone)
        milliseconds = self._synbt_injection.pop_milliseconds()
        self.print_to_log_file(counts.line(self.synbt_settings.probability, milliseconds))
        if warning := self._synbt_watch.warning(counts):
            self.print_to_log_file(warning)

    def on_train_end(self) -> None:
        """End the thread that looks ahead; then as nnU-Net does with its own loader."""
        if isinstance(ahead := self.dataloader_train, Lookahead):
            ahead.close()
            self.dataloader_train = ahead.batches
        super().on_train_end()

    @classmethod
    def _synbt_promised(cls) -> dict[str, Any]:
        """What the names of this class and of those it is made of promise."""
        promised: dict[str, Any] = {}
        for one in reversed(cls.__mro__):
            promised |= vars(one).get("synbt_fixed", {})
        return promised

    @property
    def _synbt_channels(self) -> tuple[int, int]:
        return self.synbt_settings.pre_channel, self.synbt_settings.post_channel

    @property
    def _synbt_spacing(self) -> tuple[float, float, float]:
        d, h, w = self.configuration_manager.spacing
        return float(d), float(h), float(w)

    @property
    def _synbt_place(self) -> torch.device:
        """Where tumors are painted: not on Apple's GPU, which lacks some of the arithmetic."""
        return torch.device("cpu") if self.device.type == "mps" else self.device

    def _synbt_parts(self) -> SplitAugmentation:
        if not hasattr(self, "_synbt_augmentation"):
            raise SynBTError(
                f"{type(self).__name__} makes its data loaders without SynBTMixin's "
                f"get_training_transforms. List SynBTMixin first, class Mine(SynBTMixin, "
                f"MyTrainer), and ask self.get_training_transforms for the transforms."
            )
        return self._synbt_augmentation

    def _synbt_cases(self) -> PreprocessedCases:
        return PreprocessedCases(
            Path(self.preprocessed_dataset_folder),
            self.dataset_class,
            self._synbt_spacing,
            self.synbt_settings.scans,
            self.synbt_settings.tumor_label,
            self.synbt_settings.earlier,
        )

    def _synbt_generator(
        self, weights: Weights | WithoutNetworks, cohort: FoldCohort, validation: Sequence[str]
    ) -> TumorSynthesizer:
        """Weights and bank, refused where they hold what the fold validates on."""
        settings = self.synbt_settings
        device = settings.generator_device
        if device == "auto":
            device = str(self._synbt_place)
        synthesizer = TumorSynthesizer(
            weights,
            bank=cohort.bank() if settings.bank is None else settings.bank,
            texture=settings.texture,
            device=device,
            steps=settings.steps,
            guidance=settings.guidance,
            precision=settings.precision,
            tissue=settings.tissue,
            graphs=settings.graphs,
        )
        if self.fold != "all":
            # Of fold "all" nnU-Net validates on what it trains on, and says so.
            refuse_leaks(synthesizer.weights, synthesizer.bank, validation)
        return synthesizer

    def _synbt_plan_in_workers(
        self, cases: PreprocessedCases, cohort: FoldCohort, synthesizer: TumorSynthesizer
    ) -> None:
        """Find the cases' site maps, and let the workers decide on them."""
        settings, names = self.synbt_settings, sorted(cohort.references)
        if len(names) > MOST_CASES:
            self.print_to_log_file(
                f"SynBT: more than {MOST_CASES} training cases, so tumors are decided while the "
                f"device waits."
            )
            return
        sites = case_sites(
            cases,
            settings,
            {name: one for name, one in cohort.references.items() if one is not None},
            synthesizer.segmenter,
            fallback=Path(self.output_folder_base) / f"synbt_{cases.folder.name}",
            finds=self.local_rank == 0,
            workers=get_allowed_n_proc_DA(),
            say=self.print_to_log_file,
        )
        self._synbt_decide = DecideSample(
            settings,
            synthesizer.bank,
            synthesizer.texture.hole_margin_mm,
            self._synbt_spacing,
            HeldSites(sites, names),
            step_seed(settings.seed, self.fold, self.local_rank, self.current_epoch),
            fringe=synthesizer.texture.replaces,
        )

    def _synbt_fit(
        self, synthesizer: TumorSynthesizer, cases: PreprocessedCases, cohort: FoldCohort
    ) -> Fit | None:
        """Look at a few training cases: do these weights fit this data?"""
        most = self.synbt_settings.fit_cases
        usable = [name for name, reference in cohort.references.items() if reference is not None]
        if most == 0 or not usable:
            return None
        look = (
            FitCase(name, cases.read(name).pair, reference.pair)
            for name in spread_first(usable, most)
            if (reference := cohort.references[name]) is not None
        )
        dataset = Path(nnUNet_raw or "nnUNet_raw") / cases.folder.parent.name
        try:
            fit = measure_fit(
                look,
                synthesizer,
                max_cases=most,
                dataset=str(dataset),
                weights=self.synbt_settings.weights,
                fold=self.fold if isinstance(self.fold, int) else None,
            )
        except SynBTError as error:
            # It is a verdict, not a condition: what can be painted is tried case by case.
            self.print_to_log_file(f"SynBT fit: unknown. {error}")
            return None
        self.print_to_log_file(fit.line())
        return fit


def _bank_in_words(settings: TrainerSettings, names: Sequence[str]) -> str:
    """What tells two banks apart: a named file's content, or the cases the fold's is cut from.

    The fold's own is measured anew on every machine, and its figures follow the CPU's rounding.
    """
    if settings.bank is None:
        digest = hashlib.sha256("/".join(sorted(names)).encode()).hexdigest()[:12]
        return f"of {len(names)} training cases ({digest})"
    return "shipped" if settings.bank == SHIPPED else load_bank(settings.bank).digest


def _in_force(settings: TrainerSettings) -> str:
    """The settings in one line, as they are typed; those that are None are left out."""
    return ", ".join(f"{name} {text}" for name, text in settings.typed().items())
