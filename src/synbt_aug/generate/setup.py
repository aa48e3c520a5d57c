"""From what a user asked to a run: settings in force, sources, and the folder that holds both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from synbt_aug import __version__
from synbt_aug.data.channels import channel_names
from synbt_aug.data.layout import refuse_foreign_dataset
from synbt_aug.data.nnunet_raw import read_fold
from synbt_aug.data.raw_dataset import only_labelled, read_raw_dataset
from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.predictors import NnunetModel, check_channels
from synbt_aug.generate.keeping import KeepBy
from synbt_aug.generate.plan import digest_of_sources, plan_of
from synbt_aug.generate.run import GenerateRun, with_real_tumor
from synbt_aug.settings.dataset import places_of, settings_for, unpainted_line
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.shared_synthesizer import shared_synthesizer
from synbt_aug.support.files import check_output_folder
from synbt_aug.support.run_settings import keep_settings

#: What every case of a folder shares; a folder made with other settings is not added to.
SETTINGS_FILE = "generate.json"

#: Settings that say what is painted. The others are of a training, or follow from the dataset.
_PAINTING = (
    *("tumors", "multifocal", "diameter_mm", "enhancement", "rim", "heterogeneity"),
    *("pre_contrast", "category", "distractors", "only_tumor_free", "only_free_side"),
    *("precision", "tissue", "pre_channel", "post_channel", "tumor_label", "paint_over"),
    *("roi_labels", "curve", "post_channels", "subtraction_channels"),
)


def prepare_run(
    dataset: Path,
    folder: Path,
    asked: Mapping[str, Any],
    *,
    fold: int | None = None,
    seed: int = 0,
    keep_by: KeepBy | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> GenerateRun:
    """Check everything, load the generator, and open the folder.

    Args:
        dataset: The sources.
        folder: The new dataset.
        asked: Settings by their names in `InjectionSettings`; the rest is the dataset's own.
        fold: Paint only into training cases of this fold of nnU-Net's.
        seed: All that is random follows from it.
        keep_by: What decides which cases are kept.
        device: Where the networks run.
        say: Takes lines about channels that are not painted.

    Raises:
        SynBTError: If a setting is wrong, a case cannot be painted, or the folder holds another
            dataset or one made with other settings.
    """
    if folder.resolve() == dataset.resolve():
        raise SynBTError(f"The new dataset needs a folder of its own, not {folder}: use -o.")
    found = read_raw_dataset(dataset)
    names = channel_names(found.described)
    if keep_by is not None:
        check_channels(keep_by.segmenter, names)
    injection = settings_for(found.described, InjectionSettings, asked)
    if (line := unpainted_line(found.described, injection)) is not None:
        say(line)
    which = None if fold is None else read_fold(dataset, fold)[0]
    # Of a case without a mask nobody knows its tumors: as a training case it would deny them.
    sources = only_labelled(found.files, which)
    places = places_of(injection)
    if injection.only_tumor_free:
        free = {case.name for case in sources.cases} - with_real_tumor(
            replace(found, files=sources), places
        )
        if not free:
            raise SynBTError(f"only_tumor_free: every case of {dataset} has a real tumor.")
        sources = sources.only(free)
    if keep_by is not None:
        keep_by = replace(keep_by, tumor_label=_label_of(keep_by, injection.tumor_label))
    synthesizer = shared_synthesizer(injection, device)
    values = injection.to_dict()
    settings: dict[str, Any] = {
        **{name: values[name] for name in _PAINTING},
        "sources": digest_of_sources(sources),
        "fold": fold,
        "seed": seed,
        "weights": synthesizer.weights.digest,
        "bank": synthesizer.bank.digest,
        "texture": synthesizer.texture.recipe(),
        "keep_by": None if keep_by is None else keep_by.identity(),
        "version": __version__,
    }
    check_output_folder(folder)
    if not (folder / SETTINGS_FILE).is_file():
        refuse_foreign_dataset(folder, "A generated dataset")
    keep_settings(folder / SETTINGS_FILE, settings, "a generated dataset")
    return GenerateRun(
        dataset=found,
        places=places,
        plan=plan_of(sources, seed, settings),
        request=injection.request(),
        synthesizer=synthesizer,
        folder=folder,
        settings=settings,
        keep_by=keep_by,
    )


def _label_of(keep_by: KeepBy, default: int) -> int:
    own = keep_by.segmenter.tumor_label if isinstance(keep_by.segmenter, NnunetModel) else None
    return default if own is None else own
