from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from synbt_aug.errors import SynBTError
from synbt_aug.settings.dataset import unpainted_line
from synbt_aug.settings.injection import InjectionSettings
from synbt_aug.settings.reading import TRAINER_SETTINGS
from synbt_aug_nnunet.settings import TrainerSettings, gather_settings


def described(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "channel_names": {"0": "pre", "1": "post"},
        "labels": {"background": 0, "tumor": 1},
    }
    return values | changes


def test_the_dataset_gives_way_to_variables_and_both_to_the_trainers_name() -> None:
    dataset = described(synbt={"probability": 0.1, "num_epochs": 10, "tumors": 2})
    settings = gather_settings(
        dataset, {"num_epochs": 1}, {"SYNBT_PROBABILITY": "0.2", "SYNBT_NUM_EPOCHS": "20"}
    )
    assert (settings.probability, settings.num_epochs, settings.tumors) == (0.2, 1, 2)


def test_channels_labels_and_tissue_are_read_from_their_names() -> None:
    settings = gather_settings(
        described(
            channel_names={"0": "T2", "1": "post", "2": "pre"},
            labels={"background": 0, "breast": 1, "vessel": 2, "tumor": 3, "FGT": 4},
        ),
        environment={},
    )
    assert (settings.pre_channel, settings.post_channel) == (2, 1)
    assert settings.tumor_label == 3 and settings.paint_over == (1, 4)


def test_what_is_set_is_not_guessed() -> None:
    settings = gather_settings(
        described(
            channel_names={"0": "pre", "1": "post", "2": "post 2"},
            labels={"background": 0, "breast": 1, "tumor": 2},
            synbt={"paint_over": []},
        ),
        environment={"SYNBT_POST_CHANNEL": "2", "SYNBT_TUMOR_LABEL": "1"},
    )
    assert (settings.pre_channel, settings.post_channel) == (0, 2)
    assert settings.tumor_label == 1 and settings.paint_over == ()


PHASES = {str(k): name for k, name in enumerate(["pre", "post 1", "post 2", "T2"])}


def test_several_post_scans_leave_the_first() -> None:
    assert gather_settings(described(channel_names=PHASES), environment={}).post_channel == 1


@pytest.mark.parametrize(
    ("names", "channels"),
    [
        ({"1": "pre", "2": "post1", "3": "post2"}, (0, 1)),
        ({"1": "pre", "2": "post"}, (0, 1)),
        ({"T1_pre": "zscore", "T1_post": "zscore"}, (0, 1)),
        ({"2": "post", "1": "pre"}, (1, 0)),
    ],
)
def test_the_order_of_the_channels_counts_and_not_their_keys(
    names: dict[str, str], channels: tuple[int, int]
) -> None:
    settings = gather_settings(described(channel_names=names), environment={})
    assert (settings.pre_channel, settings.post_channel) == channels


def test_later_phases_and_subtractions_are_told_by_their_names() -> None:
    names = {"0": "post1", "1": "T2", "2": "pre", "3": "post2", "4": "sub"}
    settings = gather_settings(described(channel_names=names), environment={})
    assert (settings.pre_channel, settings.post_channel) == (2, 0)
    assert (settings.post_channels, settings.subtraction_channels) == ((0, 3), (4,))
    assert settings.scans == (2, 0, 3) and settings.earlier == 0


def test_a_phase_that_is_painted_first_may_be_a_later_one() -> None:
    dataset = described(channel_names=PHASES, synbt={"post_channel": 2})
    settings = gather_settings(dataset, environment={})
    assert settings.scans == (0, 2, 1) and settings.earlier == 1


def test_post_channels_that_are_set_are_taken_as_they_are() -> None:
    dataset = described(channel_names=PHASES)
    settings = gather_settings(dataset, environment={"SYNBT_POST_CHANNELS": "1"})
    assert settings.scans == (0, 1)
    with pytest.raises(
        SynBTError, match="missing in 2: post 2.*name later phases in post_channels"
    ):
        unpainted_line(dataset, settings)
    with pytest.raises(SynBTError, match="post_channels names channel 5, which dataset.json does"):
        gather_settings(dataset, environment={"SYNBT_POST_CHANNELS": "1,5"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"post_channels": (0, 1)}, "names channel 0, which is pre_channel"),
        ({"post_channels": (1, 2, 1)}, "post_channels names a channel twice"),
        ({"subtraction_channels": (1,)}, "channel 1, which is a scan of the series"),
        ({"post_channels": tuple(range(2, 11))}, "may hold 8 post-contrast scans, got 10"),
        ({"curve": "rising"}, "curve needs one of 'washout'"),
    ],
)
def test_channels_that_are_two_things_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        InjectionSettings(**settings)


def test_maps_are_refused_unless_they_are_allowed() -> None:
    dataset = described(channel_names={"0": "pre", "1": "post", "2": "MIP"})
    with pytest.raises(SynBTError, match="2: MIP.*SYNBT_UNPAINTED_CHANNELS=allow, or"):
        unpainted_line(dataset, gather_settings(dataset, environment={}))
    allowed = gather_settings(dataset, environment={"SYNBT_UNPAINTED_CHANNELS": "allow"})
    assert "contradict the label in 2: MIP" in str(unpainted_line(dataset, allowed))


def test_where_nothing_is_painted_no_channel_contradicts_the_label() -> None:
    dataset = described(channel_names=PHASES, synbt={"probability": 0})
    assert unpainted_line(dataset, gather_settings(dataset, environment={})) is None


def test_a_pair_alone_leaves_nothing_unpainted() -> None:
    assert unpainted_line(described(), gather_settings(described(), environment={})) is None


def test_labels_may_be_floats_or_text() -> None:
    labels = {"background": "0", "breast": 2.0, "tumor": "1"}
    settings = gather_settings(described(labels=labels, synbt={"roi_labels": [2]}), environment={})
    assert (settings.tumor_label, settings.paint_over) == (1, (2,))


def test_labels_without_names_are_refused() -> None:
    with pytest.raises(SynBTError, match=r"dataset\.json names no label"):
        gather_settings(described(labels={"background": 0}), environment={})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_epochs": 0}, "num_epochs needs a number from 1 on, got 0"),
        ({"num_val_iterations_per_epoch": -1}, "needs a number from 1 on, got -1"),
        ({"fit_cases": -1}, "fit_cases needs a number from 0 on, got -1"),
        ({"probability": 2}, "probability needs a number from 0 to 1"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SynBTError, match=message):
        TrainerSettings(**values)


def test_what_is_learned_does_not_depend_on_where_and_how_it_is_shown() -> None:
    a = TrainerSettings(generator_device="cpu", fit_cases=1, examples=0)
    assert a.learned_from() == TrainerSettings().learned_from()
    assert a.learned_from() != TrainerSettings(num_epochs=5).learned_from()


def test_the_trainers_class_can_settle_channels_and_labels() -> None:
    dataset = described(
        channel_names={"0": "a", "1": "b", "2": "c"}, labels={"background": 0, "x": 1, "y": 2}
    )
    fixed = {"tumor_label": 2, "pre_channel": 2, "post_channel": 1, "paint_over": (1,)}
    settings = gather_settings(dataset, fixed, {})
    assert (settings.tumor_label, settings.pre_channel, settings.post_channel) == (2, 2, 1)
    assert settings.paint_over == (1,)
    with pytest.raises(SynBTError, match=r"synbt_fixed .* no setting called probabilty"):
        gather_settings(described(), {"probabilty": 1}, {})


@pytest.mark.parametrize(
    ("variable", "meant"),
    [("PROBABILTY", "PROBABILITY"), ("PROB", "PROBABILITY"), ("EPOCHS", "NUM_EPOCHS")],
)
def test_a_mistyped_variable_is_refused_with_the_nearest_name(variable: str, meant: str) -> None:
    with pytest.raises(SynBTError, match=f"SYNBT_{variable}. Did you mean SYNBT_{meant}"):
        gather_settings(described(), environment={f"SYNBT_{variable}": "1"})


def test_variables_that_are_no_settings_are_left_alone() -> None:
    others = {"SYNBT_REAL_DATA": "/", "SYNBT_NO_HOOK": "1", "HOME": "/"}
    assert gather_settings(described(), environment=others) == gather_settings(
        described(), environment={}
    )


def test_the_trainers_own_settings_are_those_that_other_hosts_leave_alone() -> None:
    assert {f.name for f in fields(TrainerSettings)} - {
        f.name for f in fields(InjectionSettings)
    } == set(TRAINER_SETTINGS)


def test_ranges_come_from_the_dataset_and_from_variables() -> None:
    dataset = described(synbt={"diameter_mm": [10, 30], "tumors": 2})
    settings = gather_settings(dataset, environment={"SYNBT_TUMORS": "1:3"})
    assert (settings.diameter_mm, settings.tumors) == ((10.0, 30.0), (1, 3))
    assert settings.learned_from()["diameter_mm"] == [10.0, 30.0]


def test_a_section_that_is_no_section_is_refused() -> None:
    with pytest.raises(SynBTError, match=r"needs synbt as named values.*got \[1\]"):
        gather_settings(described(synbt=[1]), environment={})


def test_a_device_that_torch_does_not_know_is_refused() -> None:
    with pytest.raises(SynBTError, match="generator_device needs 'auto'.*got 'gpu'"):
        TrainerSettings(generator_device="gpu")


def test_roi_labels_come_with_the_dataset() -> None:
    labels = {"background": 0, "tumor": 1, "sites": 2}
    settings = gather_settings(described(labels=labels, synbt={"roi_labels": [2]}), environment={})
    assert settings.roi_labels == (2,) and settings.open_labels == (2,)


def test_roi_labels_that_the_dataset_lacks_are_refused() -> None:
    with pytest.raises(
        SynBTError, match="roi_labels names 5, .* no such label. There are: .*tumor 1"
    ):
        gather_settings(described(synbt={"roi_labels": [5]}), environment={})


@pytest.mark.parametrize("name", ["graphs", "lookahead"])
def test_what_was_not_run_on_a_gpu_is_off_unless_it_is_asked_for(name: str) -> None:
    assert getattr(gather_settings(described(), environment={}), name) is False
    asked = gather_settings(described(), environment={f"SYNBT_{name.upper()}": "true"})
    assert getattr(asked, name) is True
    # It changes how fast, not what is learned.
    assert asked.learned_from() == gather_settings(described(), environment={}).learned_from()
    with pytest.raises(SynBTError, match=f"{name} needs true or false, got 'perhaps'"):
        TrainerSettings(**{name: "perhaps"})
