from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from synbt_aug.data import read_pair
from synbt_aug.synthesizer import TumorSynthesizer
from synbt_aug.tumor.request import AppearanceRequest

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture
def paint(synbt: Callable, scans: Path, weights: Path) -> Callable:
    """`synbt synthesize` on the phantom's scans."""

    def run(output: Path, *options: object) -> object:
        pre, post = scans / "pre.nii.gz", scans / "post.nii.gz"
        return synbt("synthesize", pre, post, "-o", output, "--weights", weights, *options)

    return run


def _stored(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj.get_unscaled())


def test_a_tumor_is_painted_and_nothing_else_changes_on_disk(
    paint: Callable, scans: Path, tmp_path: Path
) -> None:
    existing = scans / "tumor.nii.gz"
    said = paint(tmp_path, "--diameter-mm", 12, "--existing", existing, "--seed", 3)
    assert said.code == 0, said.err
    tumor = _stored(tmp_path / "tumor.nii.gz") > 0
    diameter = (6 * tumor.sum() * 1.5**3 / np.pi) ** (1 / 3)
    assert diameter == pytest.approx(12, abs=1.5)
    assert not (tumor & (_stored(existing) > 0)).any()
    near = np.zeros_like(tumor)
    low, high = np.argwhere(tumor).min(0) - 2, np.argwhere(tumor).max(0) + 3
    near[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = True
    for name in ("pre", "post"):
        before, after = nib.load(scans / f"{name}.nii.gz"), nib.load(tmp_path / f"{name}.nii.gz")
        differ = _stored(scans / f"{name}.nii.gz") != _stored(tmp_path / f"{name}.nii.gz")
        assert differ.any() and not (differ & ~near).any()
        assert before.get_data_dtype() == after.get_data_dtype()
        assert (before.affine == after.affine).all()
    with Image.open(tmp_path / "preview.png") as preview:
        assert preview.width > 1000
    assert "diameter" in said.out and "Written to" in said.out


def test_a_recipe_replays_the_same_files(paint: Callable, tmp_path: Path) -> None:
    assert paint(tmp_path / "a", "--steps", 3, "--seed", 5, "--diameter-mm", 10).code == 0
    said = paint(tmp_path / "b", "--recipe", tmp_path / "a" / "recipe.json")
    assert said.code == 0, said.err
    for name in ("pre", "post", "tumor"):
        first, second = (_stored(tmp_path / f / f"{name}.nii.gz") for f in "ab")
        assert np.array_equal(first, second)
    again = json.loads((tmp_path / "b" / "recipe.json").read_text())
    assert again["texture"]["steps"] == 3


def test_a_tumor_is_painted_where_its_mask_is(paint: Callable, scans: Path, tmp_path: Path) -> None:
    said = paint(tmp_path, "--tumor-mask", scans / "tumor.nii.gz", "--enhancement", "1.5")
    assert said.code == 0, said.err
    asked, label = _stored(scans / "tumor.nii.gz") > 0, _stored(tmp_path / "tumor.nii.gz") > 0
    assert 2 * (asked & label).sum() / (asked.sum() + label.sum()) > 0.8
    assert "(asked 1.50)" in said.out


def test_ranges_draw_what_the_seed_draws_in_python(
    paint: Callable, scans: Path, weights: Path, tmp_path: Path
) -> None:
    asked = ["--tumors", "1:2", "--diameter-mm", "8:12", "--enhancement", "1:2", "--seed", 3]
    assert paint(tmp_path, *asked).code == 0
    pair = read_pair(scans / "pre.nii.gz", scans / "post.nii.gz")
    painted = TumorSynthesizer(weights)(
        pair.volume,
        seed=3,
        tumors=(1, 2),
        diameter_mm=(8.0, 12.0),
        appearance=AppearanceRequest(enhancement=(1.0, 2.0)),
    )
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    assert painted.recipe is not None and recipe["tumors"] == painted.recipe["tumors"]
    assert np.array_equal(_stored(tmp_path / "post.nii.gz").T, painted.image[1])
    assert recipe["request"]["diameter_mm"] == [8.0, 12.0]
    # The same request may be made again.
    assert paint(tmp_path, *asked).code == 0


def test_a_removal_leaves_no_label(paint: Callable, scans: Path, tmp_path: Path) -> None:
    mask = scans / "tumor.nii.gz"
    said = paint(tmp_path, "--remove", mask, "--existing", mask)
    assert said.code == 0, said.err
    assert not _stored(tmp_path / "tumor.nii.gz").any()
    inside = _stored(mask) > 0
    before, after = (_stored(f / "post.nii.gz")[inside].mean() for f in (scans, tmp_path))
    assert after < 0.8 * before


def test_the_same_request_may_be_repeated_and_another_one_asks(
    paint: Callable, tmp_path: Path
) -> None:
    assert paint(tmp_path, "--diameter-mm", 10).code == 0
    assert paint(tmp_path, "--diameter-mm", 10).code == 0
    refused = paint(tmp_path, "--diameter-mm", 11)
    assert refused.code == 2 and "--force" in refused.err
    assert paint(tmp_path, "--diameter-mm", 11, "--force").code == 0


def test_nowhere_to_go_writes_nothing_and_says_why(
    paint: Callable, scans: Path, tmp_path: Path
) -> None:
    everywhere = nib.load(scans / "tumor.nii.gz")
    full = nib.Nifti1Image(np.ones(everywhere.shape, np.uint8), everywhere.affine)
    nib.save(full, tmp_path / "full.nii.gz")
    said = paint(tmp_path / "out", "--existing", tmp_path / "full.nii.gz")
    assert said.code == 3 and "Nothing was painted: no site" in said.err
    assert list((tmp_path / "out").iterdir()) == []


def test_masks_that_hold_nothing_or_negative_values_do_not_pass_for_no_tumor(
    paint: Callable, scans: Path, tmp_path: Path
) -> None:
    tumor = nib.load(scans / "tumor.nii.gz")
    empty, signed = tmp_path / "empty.nii.gz", tmp_path / "signed.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros(tumor.shape, np.uint8), tumor.affine), empty)
    as_int8 = (255 * (_stored(scans / "tumor.nii.gz") > 0)).astype(np.uint8).view(np.int8)
    nib.save(nib.Nifti1Image(as_int8, tumor.affine), signed)
    for option in ("--existing", "--forbidden", "--remove", "--tumor-mask", "--roi"):
        said = paint(tmp_path / "out", option, signed)
        assert said.code == 2 and "signed.nii.gz holds" in said.err and "uint8" in said.err
    for option in ("--remove", "--tumor-mask"):
        said = paint(tmp_path / "out", option, empty)
        assert said.code == 2 and "empty.nii.gz is empty" in said.err
    said = paint(tmp_path / "out", "--existing", empty, "--diameter-mm", 10)
    assert said.code == 0
    assert "mask of existing tumors is empty" in " ".join(said.err.split())


def test_a_speckled_mask_is_refused_with_a_sentence(
    paint: Callable, scans: Path, tmp_path: Path
) -> None:
    tumor = nib.load(scans / "tumor.nii.gz")
    specks = np.random.default_rng(0).random(tumor.shape) < 0.01
    path = tmp_path / "specks.nii.gz"
    nib.save(nib.Nifti1Image(specks.astype(np.uint8), tumor.affine), path)
    said = paint(tmp_path / "out", "--tumor-mask", path)
    assert said.code == 2 and "too scattered, too thin" in said.err
    assert said.err.count("\n") == 1


def test_bad_input_is_told_in_one_line_before_any_work(
    paint: Callable, synbt: Callable, scans: Path, weights: Path, tmp_path: Path
) -> None:
    other = nib.Nifti1Image(np.ones((8, 8, 8), np.uint8), np.eye(4))
    nib.save(other, tmp_path / "other.nii.gz")
    (tmp_path / "recipe.json").write_text("{}")
    (tmp_path / "file").touch()
    out = tmp_path / "out"
    for options, message in (
        (["--existing", tmp_path / "other.nii.gz"], "must lie on the grid of pre.nii.gz"),
        (["--tumor-mask", tmp_path / "none.nii.gz"], "does not exist"),
        (["--diameter-mm", 2], "diameter_mm needs a number from 6"),
        (["--category", "cyst"], "category needs one of 'mass'"),
        (["--recipe", tmp_path / "recipe.json"], "names the texture"),
        (["--recipe", "a", "--remove", "b"], "--remove and --recipe do not go together"),
        (["--remove", "a", "--tumors", 2], "--remove leaves no choice of --tumors: leave that out"),
        (
            ["--remove", "a", "--multifocal", 0.4],
            "--remove leaves no choice of --multifocal: leave that out",
        ),
        (["--tumor-mask", "a", "--diameter-mm", 9], "--tumor-mask leaves no choice of --diameter"),
        (["--recipe", "a", "--rim", 2], "--recipe leaves no choice of an appearance"),
        (["--remove", "a", "--tissue", "b"], "--remove leaves no choice of --tissue"),
        (["--roi", "a", "--tissue", "b"], "leave --tissue out"),
        (["--tissue", tmp_path / "none"], "tissue needs 'shipped' or a folder"),
        (
            ["--texture", "crayon"],
            "--texture is one of diffusion, syntumor, copy_paste, not 'crayon'",
        ),
        (["--device", "cuda:77"], "--device needs a device that torch can use here (cpu"),
        (["--device", "meta"], "got 'meta'"),
        (["--diameter-mm", "10-30"], "--diameter-mm needs a number such as 20, or a range such as"),
        (["--diameter-mm", "30:10"], "smaller number of a range first"),
        (["--tumors", "two"], "--tumors needs a number such as 2, or a range such as 1:3"),
        (["--tumors", 0], "--tumors needs a number from 1 to 100, got 0"),
        (["--enhancement", "1:nan"], "enhancement needs a number from"),
        (["--weights", "best"], "needs 'shipped' or the path"),
        (["--bank", tmp_path / "none.npz"], "A tumor bank needs a .npz file"),
        (["-o", tmp_path / "file" / "x"], "output folder must be writable"),
        (["-o", scans], "would be overwritten"),
    ):
        said = paint(out, *options)
        assert said.code == 2 and message in said.err, (options, said.err)
        assert said.err.count("\n") == 1
    pre = scans / "pre.nii.gz"
    said = synbt("synthesize", pre, tmp_path / "none.nii.gz", "-o", out, "--weights", weights)
    assert said.code == 2 and "The post-contrast scan must be a NIfTI file" in said.err
    assert not out.exists() or list(out.iterdir()) == []


def test_the_real_case_takes_a_tumor_of_the_size_asked_for(
    synbt: Callable, real_case: Path, weights: Path, tmp_path: Path
) -> None:
    images = real_case / "images" / "DUKE_153"
    mask = real_case / "segmentations" / "boxthresh" / "DUKE_153.nii.gz"
    said = synbt(
        "synthesize", images / "duke_153_0000.nii.gz", images / "duke_153_0001.nii.gz",
        "-o", tmp_path, "--diameter-mm", 20, "--existing", mask, "--weights", weights,
    )  # fmt: skip
    assert said.code == 0, said.err
    label = _stored(tmp_path / "tumor.nii.gz") > 0
    assert (6 * label.sum() / np.pi) ** (1 / 3) == pytest.approx(20, abs=1)
    existing = _stored(mask) > 0
    for phase, name in (("0000", "pre"), ("0001", "post")):
        before = _stored(images / f"duke_153_{phase}.nii.gz")
        differ = before != _stored(tmp_path / f"{name}.nii.gz")
        assert differ.any() and not (differ & existing).any()


@pytest.fixture(scope="module")
def later(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two later scans of the same breast, each with its own scale."""
    post = nib.load(scans / "post.nii.gz")
    folder, paths = tmp_path_factory.mktemp("later"), []
    for number, gain in ((2, 2), (3, 3)):
        paths.append(folder / f"late{number}.nii.gz")
        nib.save(nib.Nifti1Image(_stored(scans / "post.nii.gz") * gain, post.affine), paths[-1])
    return paths


def test_a_series_is_painted_with_one_recipe_that_replays_it_bitwise(
    synbt: Callable, scans: Path, later: list[Path], weights: Path, tmp_path: Path
) -> None:
    series = [scans / "pre.nii.gz", scans / "post.nii.gz", *later]
    common = ["--weights", weights, "--diameter-mm", 12, "--seed", 3]
    said = synbt(
        "synthesize", *series, "-o", tmp_path / "a", *common, "--existing", scans / "tumor.nii.gz",
        "--curve", "washout",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "curve  washout (0." in said.out and "post2.nii.gz, post3.nii.gz, tumor" in said.out
    recipe = json.loads((tmp_path / "a" / "recipe.json").read_text())
    assert recipe["tumors"][0]["curve"]["kind"] == "washout"
    names = ("pre", "post", "post2", "post3")
    tumor = _stored(tmp_path / "a" / "tumor.nii.gz") > 0
    for source, name in zip(series, names, strict=True):
        before, after = _stored(source), _stored(tmp_path / "a" / f"{name}.nii.gz")
        assert before.dtype == after.dtype and (before != after)[tumor].mean() > 0.9
        # Nothing changes but near the tumor.
        assert (before != after).sum() < 4 * tumor.sum()
    said = synbt(
        "synthesize", *series, "-o", tmp_path / "b", "--weights", weights,
        "--recipe", tmp_path / "a" / "recipe.json", "--existing", scans / "tumor.nii.gz",
    )  # fmt: skip
    assert said.code == 0, said.err
    for name in (*names, "tumor"):
        first, second = (_stored(tmp_path / f / f"{name}.nii.gz") for f in "ab")
        assert np.array_equal(first, second), name


def test_a_recipe_of_a_series_is_not_replayed_into_a_pair(
    synbt: Callable, scans: Path, later: list[Path], weights: Path, paint: Callable, tmp_path: Path
) -> None:
    series = [scans / "pre.nii.gz", scans / "post.nii.gz", *later]
    assert synbt("synthesize", *series, "-o", tmp_path / "a", "--weights", weights).code == 0
    said = paint(tmp_path / "b", "--recipe", tmp_path / "a" / "recipe.json")
    assert said.code == 2 and "made for pre and 3 post-contrast scans" in said.err


def test_a_curve_without_later_scans_is_refused(paint: Callable, tmp_path: Path) -> None:
    said = paint(tmp_path, "--curve", "washout")
    assert said.code == 2 and "--curve is of later scans: name them after POST" in said.err
