from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synbt_aug.errors import SynBTError
from synbt_aug.networks import precision
from synbt_aug.phantom import PhantomSettings, make_phantom
from synbt_aug.support.files import read_json, write_json
from synbt_aug.tissue import grid_shape
from synbt_aug.tissue.network import NetworkSettings, TissueNetwork
from synbt_aug.tissue.segmenter import TissueSegmenter, load_segmenter, normalise


@pytest.fixture(scope="module")
def segmenter() -> TissueSegmenter:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TissueSegmenter(TissueNetwork(NetworkSettings(channels=(4, 8, 8))), {"seed": 0})


@given(st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_the_scale_of_the_signal_does_not_matter(factor: float, shift: float) -> None:
    # More than a hundred ranges away from zero, float32 itself loses the signal.
    offset = shift * factor
    volume = torch.rand(8, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(
        normalise(factor * volume + offset), normalise(volume), rtol=0, atol=0.02
    )


def test_the_first_and_last_percentile_become_minus_one_and_one() -> None:
    scaled = normalise(torch.arange(1001.0).view(1001, 1, 1)).flatten()
    assert scaled[10] == -1 and scaled[990] == 1
    # Beyond them the scale goes on: 10 of 980 steps are 2 * 10 / 980.
    assert scaled[1000].item() == pytest.approx(1 + 20 / 980)


def test_voxels_without_signal_neither_count_nor_shine() -> None:
    volume = torch.rand(6, 6, 6)
    valid = torch.ones(6, 6, 6, dtype=torch.bool)
    valid[0] = False
    spoiled = volume.clone()
    spoiled[0] = 1e6
    torch.testing.assert_close(normalise(spoiled, valid), normalise(volume, valid))
    assert bool((normalise(spoiled, valid)[0] == -1).all())


def test_a_constant_volume_stays_finite() -> None:
    assert bool(torch.isfinite(normalise(torch.full((4, 4, 4), 7.0))).all())
    nothing = torch.zeros(4, 4, 4, dtype=torch.bool)
    assert bool((normalise(torch.rand(4, 4, 4), nothing) == -1).all())


@pytest.mark.parametrize("shape", [(20, 20, 20), (5, 64, 33), (2, 2, 2)])
def test_any_shape_gets_probabilities_on_its_grid(
    segmenter: TissueSegmenter, shape: tuple[int, int, int]
) -> None:
    tissue = segmenter(torch.rand(shape), (1.5, 0.7, 1.0))
    assert tuple(tissue.probability.shape[1:]) == grid_shape(shape, (1.5, 0.7, 1.0))
    torch.testing.assert_close(tissue.probability.sum(0), torch.ones_like(tissue.probability[0]))
    assert tissue.at_host().shape == shape


def test_integers_and_any_autocast_give_the_same(segmenter: TissueSegmenter) -> None:
    scan = (1000 * torch.rand(20, 20, 20)).to(torch.int16)
    plain = segmenter(scan.float(), (1.0, 1.0, 1.0)).probability
    with torch.autocast("cpu", torch.bfloat16):
        cast = segmenter(scan, (1.0, 1.0, 1.0)).probability
    assert torch.equal(plain, cast)


@pytest.mark.parametrize(("fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_its_precision_is_chosen_by_the_device(
    segmenter: TissueSegmenter, fast: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "multiplies_bfloat16", lambda device: fast)
    chosen = TissueSegmenter(segmenter.network, precision="auto")
    assert chosen.precision == expected
    scan = torch.rand(20, 24, 28, generator=torch.Generator().manual_seed(2))
    exact, found = (s(scan, (2.0, 2.0, 2.0)).probability for s in (segmenter, chosen))
    assert found.dtype == torch.float32
    assert torch.equal(exact, found) is not fast
    assert float((exact - found).abs().mean()) < 0.005


def test_the_shipped_one_finds_the_same_tissues_in_bfloat16() -> None:
    phantom = make_phantom(1_000_003, PhantomSettings(shape=(96, 96, 80), with_tumor=False))
    scan = torch.from_numpy(phantom.pre)
    exact, fast = (load_segmenter(precision=p)(scan, phantom.spacing) for p in ("fp32", "bf16"))
    # Measured: 999 of 1000 voxels.
    assert float((exact.labels == fast.labels).float().mean()) > 0.995


def test_it_comes_back_from_its_folder(segmenter: TissueSegmenter, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    again = load_segmenter(segmenter.save(tmp_path))
    assert torch.equal(torch.get_rng_state(), state)
    scan = torch.rand(24, 24, 24)
    # Stored in float16: three digits.
    torch.testing.assert_close(
        again(scan, (1.0, 1.0, 1.0)).probability,
        segmenter(scan, (1.0, 1.0, 1.0)).probability,
        rtol=0,
        atol=0.01,
    )
    assert again.card == {"seed": 0}


def test_a_folder_without_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(SynBTError, match="synbt train tissue -o FOLDER"):
        load_segmenter(tmp_path)


def test_a_damaged_file_is_told(segmenter: TissueSegmenter, tmp_path: Path) -> None:
    segmenter.save(tmp_path)
    path = tmp_path / "tissue.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SynBTError, match="is damaged"):
        load_segmenter(tmp_path)


def test_weights_of_another_shape_are_told(segmenter: TissueSegmenter, tmp_path: Path) -> None:
    segmenter.save(tmp_path)
    facts = read_json(tmp_path / "tissue.json")
    facts["settings"]["channels"] = [4, 8, 16]
    write_json(tmp_path / "tissue.json", facts)
    with pytest.raises(SynBTError, match="does not fit this version"):
        load_segmenter(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [None, [], "small", {"channels": [10**9] * 3}, {"channels": [-4, 8]}, {"grid_mm": 1e9}],
)
def test_settings_that_no_training_wrote_are_told(
    segmenter: TissueSegmenter, tmp_path: Path, settings: object
) -> None:
    segmenter.save(tmp_path)
    facts = read_json(tmp_path / "tissue.json")
    write_json(tmp_path / "tissue.json", {**facts, "settings": settings})
    with pytest.raises(SynBTError, match=r"does not fit this version of synbt-aug \(.* needs a"):
        load_segmenter(tmp_path)
