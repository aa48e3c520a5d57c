from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from synbt_aug.cli import demo_sections, demo_training
from synbt_aug.cli.demo_training import Plan, Trained
from synbt_aug.cli.steps import StepFailed
from synbt_aug.errors import SynBTError
from synbt_aug.support.files import write_json

_PLAN = Plan(
    cases=2,
    held_out=2,
    shape=(48, 48, 48),
    tumor_mm=10.0,
    patch=(32, 32, 32),
    epochs=2,
    iterations=12,
)
_LOG = """x: SynBT fit: good (2 cases)
x: Epoch 0
x: SynBT: painted 3 of 24 samples, 12% (asked for 10%, drawn 5); could not be painted: no room 2; 3 tumors; injection 900 ms + augmentation 50 ms an iteration
x: train_loss 0.5
x: val_loss 0.4
x: Pseudo dice [0.1]
x: Epoch 1
x: SynBT: painted 1 of 24 samples, 4% (asked for 10%, drawn 1); 1 tumors; injection 300 ms + augmentation 50 ms an iteration
x: train_loss 0.25
x: val_loss 0.2
x: Pseudo dice [0.3]
"""  # noqa: E501


class StandIn:
    """Leaves behind what nnU-Net's commands would; predicts each reference, the last one empty."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []
        self.environment: dict[str, str] = {}

    def __call__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        what: str,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.ran.append(list(command))
        self.environment = dict(environment)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(_LOG)
        if command[0] == "nnUNetv2_plan_and_preprocess":
            dataset = Path(environment["nnUNet_preprocessed"]) / demo_training.DATASET
            dataset.mkdir()
            write_json(
                dataset / "nnUNetPlans.json",
                {"configurations": {"3d_fullres": {}}, "plans_name": ""},
            )
        elif command[0] == "nnUNetv2_train":
            model = f"{demo_training.DATASET}/nnUNetTrainerSynBT__nnUNetPlansTiny__3d_fullres"
            folder = Path(environment["nnUNet_results"]) / model / "fold_0" / "synbt_examples"
            folder.mkdir(parents=True)
            Image.new("RGB", (32, 16)).save(folder / "01-phantom_1100000.png")
            for line in _LOG.splitlines():
                assert on_line is not None
                on_line(line)
        else:
            images, folder = (Path(command[command.index(o) + 1]) for o in ("-i", "-o"))
            shutil.copytree(images.with_name("labelsTs"), folder)


@pytest.fixture
def nnunet(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(demo_training, "run_program", stand_in)
    return stand_in


@pytest.fixture
def trained(nnunet: StandIn, tmp_path: Path) -> Trained:
    return demo_training.train_on_phantoms(tmp_path / "nnunet", device="cpu", plan=_PLAN)


def test_phantoms_are_trained_on_predicted_and_scored(trained: Trained, nnunet: StandIn) -> None:
    assert [command[0] for command in nnunet.ran] == [
        "nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict",
    ]  # fmt: skip
    assert [case.name for case in trained.scores.cases] == ["phantom_1200000", "phantom_1200001"]
    dice = trained.scores.means["dice"]
    assert dice is not None and dice.mean == 1.0
    assert trained.curves.painted == 4 and trained.curves.dice == [0.1, 0.3]
    # Training cases are not among those that are predicted.
    raw = trained.folder / "raw" / demo_training.DATASET
    assert {path.name for path in (raw / "labelsTr").iterdir()} == {
        "phantom_1100000.nii.gz", "phantom_1100001.nii.gz",
    }  # fmt: skip
    assert list(trained.seconds) == ["phantoms", "planning", "training", "prediction"]


def test_nnunet_works_in_folders_of_the_demo_and_with_its_settings(
    nnunet: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("nnUNet_results", "/of/the/user")
    monkeypatch.setenv("SYNBT_PROBABILITY", "1")
    monkeypatch.setenv("SYNBT_NO_HOOK", "1")
    before = dict(os.environ)
    demo_training.train_on_phantoms(tmp_path, device="cpu", plan=_PLAN, weights=str(tmp_path / "w"))
    given = nnunet.environment
    assert given["nnUNet_results"] == str(tmp_path.resolve() / "results")
    assert given["SYNBT_PROBABILITY"] == str(_PLAN.probability)
    assert given["SYNBT_WEIGHTS"] == str(tmp_path.resolve() / "w")
    assert "SYNBT_NO_HOOK" not in given
    assert dict(os.environ) == before


def test_the_demo_trains_with_weights_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNBT_HOME", str(tmp_path))
    ours = tmp_path / "weights" / "ours"
    ours.mkdir(parents=True)
    (ours / "manifest.json").touch()
    assert Plan().settings("ours")["SYNBT_WEIGHTS"] == str(ours.resolve())


def test_a_second_run_keeps_what_is_complete(trained: Trained, nnunet: StandIn) -> None:
    again = demo_training.train_on_phantoms(trained.folder, device="cpu", plan=_PLAN)
    assert len(nnunet.ran) == 3 and len(again.kept) == 4
    assert again.scores == trained.scores and again.seconds == trained.seconds
    # Other weights mean another training, on the same phantoms.
    more = demo_training.train_on_phantoms(
        trained.folder, device="cpu", plan=_PLAN, weights=str(trained.folder)
    )
    assert list(more.kept) == ["phantoms", "planning"] and len(nnunet.ran) == 5


def test_the_sections_say_what_was_done_and_do_not_boast(trained: Trained) -> None:
    sections = demo_sections.training_sections(trained)
    page = "".join(section.html() for section in sections)
    for words in (
        "nnUNetv2_train 1 3d_fullres 0 -tr nnUNetTrainerSynBT",
        "export SYNBT_PROBABILITY=0.1",
        "It says nothing about what synthetic tumors gain",
        "SynBT fit: good (2 cases)",
        "6 of 48",
        "4 of the 6 drawn",
        "2 (no room: 2)",
        "600 ms",
        "phantom_1200001",
        "1.00 (1.00 to 1.00, n = 2)",
        "both masks: 2",
    ):
        assert words in page, words
    # One training patch; two held-out cases of four slices.
    assert page.count("<img") == 1 + 2 * 4 and page.count("<svg") == 1
    assert "4 injected tumors (2 samples skipped)" in demo_sections.in_one_line(trained)
    assert demo_training.figures(trained)["tumors injected while training"] == 4


def test_a_case_without_a_distance_is_shown_without_one(trained: Trained) -> None:
    from synbt_aug.data.nifti import read_label, write_mask
    from synbt_aug.evaluate.segmentation import score_folders

    path = trained.predictions / "phantom_1200000.nii.gz"
    scan = read_label(path)
    write_mask(path, scan, scan.stored * 0)
    scores = score_folders(trained.predictions, trained.held_out / "labelsTs")
    object.__setattr__(trained, "scores", scores)
    page = demo_sections.training_sections(trained)[-1].html()
    assert "missed: 1" in page and "<td>-</td>" in page and "n = 1)" in page


def test_without_the_packages_the_report_says_what_to_type() -> None:
    page = demo_sections.left_out_section(["nnunetv2", "medpy"]).html()
    assert "nnunetv2 and medpy are not installed" in page
    assert "pip install &#x27;synbt-aug[nnunet,eval]&#x27;" in page
    assert "Left out by --quick." in demo_sections.left_out_section().html()


def test_a_failed_step_shows_the_end_of_its_log(tmp_path: Path) -> None:
    error = StepFailed("The training", 1, tmp_path / "train.log", ["Traceback", "RuntimeError: no"])
    page = demo_sections.failed_section(error).html()
    assert "The training failed with exit code 1" in page
    assert str(tmp_path / "train.log") in page and "Traceback\nRuntimeError: no" in page


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "medpy" else object()
    )
    assert demo_training.missing_packages() == ["medpy"]


@pytest.mark.parametrize(
    ("device", "visible", "name", "sets"),
    [
        ("cpu", "", "cpu", {}),
        ("cuda", "3", "cuda", {}),
        ("cuda:1", "", "cuda", {"CUDA_VISIBLE_DEVICES": "1"}),
        ("cuda:1", "4,7", "cuda", {"CUDA_VISIBLE_DEVICES": "7"}),
    ],
)
def test_a_device_by_its_number_is_the_one_nnunet_sees(
    device: str, visible: str, name: str, sets: dict[str, str]
) -> None:
    found = demo_training.nnunet_device(device, {"CUDA_VISIBLE_DEVICES": visible})
    assert found == (name, sets)


def test_a_device_that_nnunet_cannot_train_on_is_refused() -> None:
    with pytest.raises(SynBTError, match="cpu, cuda or mps, not on xpu"):
        demo_training.nnunet_device("xpu", {})


def test_the_plan_is_small_enough_for_two_cores() -> None:
    plan = Plan()
    # A tumor painted takes seconds on a CPU: not many more than a minute of it.
    assert plan.epochs * plan.iterations * 2 * plan.probability <= 40
    assert min(n - p for n, p in zip(plan.shape[::-1], plan.patch, strict=True)) >= 0


def test_long_commands_are_broken_as_a_shell_reads_them(trained: Trained) -> None:
    import shlex

    typed = "\n".join(demo_training.as_typed(trained))
    # The shell joins what a backslash breaks, but not within quotes: each line stands alone.
    assert all(shlex.split(line.removesuffix("\\")) for line in typed.splitlines())
    assert " \\\n    " in typed
    read = [shlex.split(line) for line in typed.replace("\\\n", " ").splitlines()]
    planning, tiny, *others = read[-4:]
    assert [planning, *others] == [list(command) for command in trained.commands]
    assert tiny[:2] == ["python", "-c"] and len(tiny) == 3
    compile(tiny[2], "typed", "exec")
