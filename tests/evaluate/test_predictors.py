from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.evaluate.predictors import (
    Command,
    NnunetModel,
    check_channels,
    predicted_file,
    segmenter_of,
)

PYTHON = sys.executable


def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    images, output = tmp_path / "my images", tmp_path / "out"
    images.mkdir()
    output.mkdir()
    return images, output, tmp_path / "log"


def test_a_command_gets_both_folders_and_its_words_are_logged(tmp_path: Path) -> None:
    images, output, log = folders(tmp_path)
    script = "import sys; print(sys.argv[1:]); print('told', file=sys.stderr)"
    Command(f'{PYTHON} -c "{script}" --in={{input}} {{output}}').predict(images, output, log)
    assert log.read_text() == f"{[f'--in={images}', str(output)]}\ntold\n"


def test_a_command_that_fails_tells_its_last_lines(tmp_path: Path) -> None:
    images, output, log = folders(tmp_path)
    script = "import sys; print('no model here'); sys.exit(3)"
    with pytest.raises(SynBTError, match="exit code 3.*no model here"):
        Command(f'{PYTHON} -c "{script}" {{input}} {{output}}').predict(images, output, log)
    with pytest.raises(SynBTError, match="cannot be started.*no-such-program"):
        Command("no-such-program {input} {output}").predict(images, output, log)


def test_what_is_no_segmenter_is_refused_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match=r"needs \{output\}"):
        segmenter_of("predict.py {input}")
    with pytest.raises(SynBTError, match="is neither"):
        segmenter_of(str(tmp_path / "none"))
    with pytest.raises(SynBTError, match="holds no plans.json"):
        segmenter_of(str(tmp_path))
    with pytest.raises(SynBTError, match="cannot be split into words"):
        segmenter_of("run '{input} {output}")


def test_a_model_without_its_checkpoint_says_what_is_there(tmp_path: Path) -> None:
    for name in ("plans.json", "dataset.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(SynBTError, match="no checkpoint_final.pth of any fold; it has none"):
        NnunetModel(tmp_path)
    (tmp_path / "fold_2").mkdir()
    (tmp_path / "fold_2" / "checkpoint_final.pth").write_bytes(b"")
    assert NnunetModel(tmp_path).folds == ("2",)
    with pytest.raises(SynBTError, match="of fold_0; it has fold_2"):
        NnunetModel(tmp_path, ("0",))


def test_a_model_of_other_channels_is_refused(tmp_path: Path) -> None:
    described = {"channel_names": {"0": "pre", "1": "post", "2": "T2"}, "labels": {"tumor": 2}}
    (tmp_path / "plans.json").write_text("{}")
    (tmp_path / "dataset.json").write_text(json.dumps(described))
    (tmp_path / "fold_all").mkdir()
    (tmp_path / "fold_all" / "checkpoint_final.pth").write_bytes(b"")
    model = NnunetModel(tmp_path)
    assert model.tumor_label == 2
    check_channels(model, ("pre", "post", "T2"))
    with pytest.raises(SynBTError, match=r"needs 3 channels \(pre, post, T2\), but .* has 2"):
        check_channels(model, ("pre", "post"))


def test_a_prediction_that_was_not_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"")
    assert predicted_file(tmp_path, "a") == tmp_path / "a.nii"
    with pytest.raises(SynBTError, match=r"no prediction of b: .*which holds a.nii"):
        predicted_file(tmp_path, "b")
