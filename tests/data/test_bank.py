"""Banks of a dataset: groups, voxels, folds, and that memory holds few cases at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from analytic import breast_image, ellipsoid, positions_mm
from breast_of_formulas import ONE, tissues
from geometric_tissue import geometric_tissue
from synbt_aug.data.bank import bank_of, bank_of_dataset, templates_of
from synbt_aug.data.cohort import load_cohort
from synbt_aug.data.nifti import write_volume
from synbt_aug.data.nnunet_raw import write_dataset_json
from synbt_aug.data.phantom_cohort import write_phantom_cohort
from synbt_aug.errors import SynBTError
from synbt_aug.phantom import PhantomSettings
from synbt_aug.signal.intensity import measure_reference, to_linear
from synbt_aug.support.case_ids import case_key
from synbt_aug.tissue import TissueLabel, TissueMap
from synbt_aug.tumor.template import SIGNAL_MARGIN_MM, Template
from synbt_aug.volume import BreastVolume, Spacing

SMALL = PhantomSettings(shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0), diameter_mm=16.0)
LESIONS = ((34.0, 24.0, 24.0), (34.0, 48.0, 44.0))
RADII = (8.0, 6.0)


def two_lesions(spacing: Spacing = (1.0, 1.0, 1.0)) -> BreastVolume:
    """The analytic breast with balls of 16 and 12 mm, 31.2 mm apart."""
    image = breast_image(spacing)
    shape = tuple(image.shape[1:])
    tumor = torch.zeros(shape, dtype=torch.bool)
    for centre, radius in zip(LESIONS, RADII, strict=True):
        tumor |= ellipsoid(shape, centre, (radius,) * 3, spacing)
    image[1][tumor] += 150
    return BreastVolume(image, spacing, tumor=tumor)


def cut(volume: BreastVolume, voxels: bool = False) -> tuple[Template, ...]:
    return templates_of(volume, measure_reference(volume.image), "a", voxels=voxels)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    return write_phantom_cohort(folder, range(3), settings=SMALL, workers=1)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.8, 0.8), (1.5, 1.5, 0.7)])
def test_lesions_of_a_case_keep_their_places_in_mm_whatever_the_spacing(spacing: Spacing) -> None:
    first, second = cut(two_lesions(spacing))
    assert first.group == second.group == case_key("a")
    assert first.diameter_mm == pytest.approx(16.0, abs=0.8)
    assert second.diameter_mm == pytest.approx(12.0, abs=0.8)
    assert second.offset_mm == pytest.approx((0.0, 24.0, 20.0), abs=max(spacing))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.8, 0.8)])
def test_the_signal_surrounds_the_mask_by_the_margin(spacing: Spacing) -> None:
    for template in cut(two_lesions(spacing), voxels=True):
        assert isinstance(template.signal, torch.Tensor)
        assert template.signal.shape == (
            2,
            *(n + 2 * SIGNAL_MARGIN_MM for n in template.mask.shape),
        )
        m = SIGNAL_MARGIN_MM
        post = template.signal[1, m:-m, m:-m, m:-m].float()
        assert float(post[template.mask].mean()) > float(post[~template.mask].mean()) + 0.5


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.8, 0.8)])
def test_each_lesion_brings_its_own_course_over_all_phases_in_order_of_time(
    spacing: Spacing,
) -> None:
    pair = two_lesions(spacing)
    assert pair.tumor is not None
    big = ellipsoid(pair.shape, LESIONS[0], (RADII[0],) * 3, spacing)
    # The larger washes out, the smaller stays; the scan of channel 2 came before that of 1.
    before, after = (breast_image(spacing, seed=k)[1] for k in (5, 6))
    before[pair.tumor] += 150
    after[pair.tumor] += 150
    after[big] -= 90
    image = torch.cat([pair.image, before[None], after[None]])
    first, second = cut(BreastVolume(image, spacing, tumor=pair.tumor, earlier=1))
    assert first.course == pytest.approx((1.0, 1.0, 0.45), abs=0.06)
    assert second.course == pytest.approx((1.0, 1.0, 1.0), abs=0.06)
    alone = cut(pair)
    assert [t.course for t in alone] == [(), ()]
    assert [t.appearance for t in alone] == [first.appearance, second.appearance]


def test_courses_are_read_from_the_files_of_a_dataset(tmp_path: Path) -> None:
    phases = PhantomSettings(
        shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0), diameter_mm=16.0, times_s=(90.0, 200.0, 300.0)
    )
    folder = write_phantom_cohort(tmp_path, [2], settings=phases, workers=1)
    (largest, *_) = bank_of_dataset(folder).bank.templates
    assert len(largest.course) == 3 and largest.course[0] == 1.0
    assert all(0.3 < value < 2.0 for value in largest.course)


def test_at_one_millimetre_the_signal_is_the_case_s() -> None:
    volume = two_lesions()
    linear = to_linear(volume.image, measure_reference(volume.image))
    first, _ = cut(volume, voxels=True)
    assert isinstance(first.signal, torch.Tensor)
    m, (d, h, w) = SIGNAL_MARGIN_MM, (26, 16, 16)
    box = (slice(None), *(slice(k - m, k + 16 + m) for k in (d, h, w)))
    assert torch.equal(first.signal, linear[box].half())


def test_voxels_are_kept_only_when_asked_for(cohort: Path) -> None:
    # A weights folder is shared; its bank is cut without a word on voxels.
    assert not any(t.signal is not None for t in bank_of(load_cohort(cohort)).templates)
    assert not any(t.signal is not None for t in cut(two_lesions()))
    assert bank_of(load_cohort(cohort), voxels=True).has_signal


@pytest.mark.parametrize("voxels", [False, True])
def test_a_dataset_s_bank_is_that_of_its_cohort(cohort: Path, voxels: bool) -> None:
    told: list[tuple[int, int]] = []
    built = bank_of_dataset(
        cohort, voxels=voxels, workers=2, on_case=lambda done, total: told.append((done, total))
    )
    whole = bank_of(load_cohort(cohort, first_post=True), voxels=voxels)
    assert built.bank.digest == whole.digest
    assert built.cases == 3 and built.skipped == ()
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_fold_s_bank_holds_its_training_cases(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"phantom_{seed:07d}" for seed in range(3)]
    monkeypatch.setattr("synbt_aug.data.cohort.read_fold", lambda folder, fold: (names[:2], names))
    assert {t.source for t in bank_of_dataset(cohort, fold=0).bank.templates} <= set(names[:2])


def test_a_case_that_cannot_be_read_is_told_and_the_others_are_taken(
    cohort: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(cohort, folder)
    next((folder / "imagesTr").glob("phantom_0000001_0000*")).write_bytes(b"no image")
    built = bank_of_dataset(folder)
    assert built.cases == 2
    (line,) = built.skipped
    assert line.startswith("phantom_0000001: ")


def test_a_dataset_without_tumors_is_refused(tmp_path: Path) -> None:
    settings = PhantomSettings(shape=(48, 48, 48), spacing=(2.0, 2.0, 2.0), with_tumor=False)
    folder = write_phantom_cohort(tmp_path / "healthy", [0], settings=settings, workers=1)
    with pytest.raises(SynBTError, match="at least 6 mm; these cases hold none"):
        bank_of_dataset(folder)


def speckled(folder: Path, share: float, spacing: Spacing) -> Path:
    """A case with a tumor 35 mm across, of whose voxels a share is marked."""
    image = breast_image(spacing)
    tumor = ellipsoid(tuple(image.shape[1:]), (34.0, 36.0, 36.0), (17.5,) * 3, spacing)
    tumor &= torch.rand(tumor.shape, generator=torch.Generator().manual_seed(0)) < share
    affine = np.diag([*spacing[::-1], 1.0])
    for channel in range(2):
        stored = image[channel].round().numpy().astype(np.int16)
        write_volume(folder / f"imagesTr/a_{channel:04d}.nii.gz", stored, affine)
    write_volume(folder / "labelsTr/a.nii.gz", tumor.numpy().astype(np.uint8), affine)
    write_dataset_json(folder, cases=1, channels=["pre", "post"])
    return folder


@pytest.mark.parametrize(
    ("share", "spacing", "said"),
    [
        (0.2, (1.0, 1.0, 1.0), "of the 1 in these cases 1 is too scattered"),
        (0.4, (2.0, 1.0, 1.0), "of the 1 in these cases 1 is too scattered"),
        # At .7 mm nothing is left of a few voxels.
        (0.02, (0.7, 0.7, 0.7), "voxels of .*a.nii.gz leave none: they are too scattered"),
    ],
)
def test_a_tumor_of_scattered_voxels_is_told_as_such(
    tmp_path: Path, share: float, spacing: Spacing, said: str
) -> None:
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    with pytest.raises(SynBTError, match=said):
        bank_of_dataset(speckled(tmp_path, share, spacing), workers=1)


def test_places_are_told_where_tissues_are_known_and_only_there(cohort: Path) -> None:
    case = load_cohort(cohort, first_post=True)[0]
    assert all(t.places is None for t in bank_of([case]).templates)
    told = bank_of([case], segmenter=geometric_tissue)
    assert all(t.places is not None for t in told.templates)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.8, 0.8), (1.5, 1.5, 0.7)])
def test_places_are_the_same_whatever_the_spacing(spacing: Spacing) -> None:
    # A ball of 8 mm in fat, on the axis of a breast of formulas: its middle at D = 30 lies 20 mm
    # below the tip of the skin and 30 mm before the chest wall.
    fine = tissues(gland_radii=None)
    centre = (30.0, 40.0, 40.0)
    # Gland on one side of it: half of what is around.
    fine[(positions_mm(ONE)[1] > 40) & (fine == TissueLabel.FAT)] = TissueLabel.GLAND
    labels = resampled(fine, spacing)
    shape = tuple(labels.shape)
    tumor = ellipsoid(shape, centre, (8.0,) * 3, spacing)
    image = torch.where(labels > 0, 100.0, 0.0)[None].repeat(2, 1, 1, 1)
    image += torch.randn(image.shape, generator=torch.Generator().manual_seed(0))

    def known(pre: Tensor, mm: Spacing, valid: Tensor | None = None) -> TissueMap:
        return TissueMap.of_labels(torch.where(tumor, int(TissueLabel.GLAND), labels), mm)

    volume = BreastVolume(image, spacing, tumor=tumor)
    reference = measure_reference(volume.image)
    (template,) = templates_of(volume, reference, "a", segmenter=known)
    assert template.places is not None
    skin, chest, nipple, gland = template.places[0].tolist()
    assert skin == pytest.approx(18.0, abs=2.5)
    assert chest == pytest.approx(30.0, abs=2.5)
    assert nipple == pytest.approx(18.0, abs=4.0)
    assert gland == pytest.approx(0.5, abs=0.1)
    others = template.places[1:].float()
    assert float(others[:, 0].min()) >= 8 and float(others[:, 3].std()) > 0.1


def resampled(labels: Tensor, spacing: Spacing) -> Tensor:
    """The nearest of labels at 1 mm, from the first voxel on."""
    for axis, mm in enumerate(spacing):
        index = (torch.arange(int(labels.shape[axis] / mm)) * mm).round().long()
        labels = labels.index_select(axis, index.clamp_max(labels.shape[axis] - 1))
    return labels
