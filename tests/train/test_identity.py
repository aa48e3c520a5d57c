"""What tells one set of cases, or one network, from another."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from synbt_aug.tissue.labels_to_image import LabelMap
from synbt_aug.train.identity import (
    identity_of_cases,
    identity_of_maps,
    identity_of_network,
    identity_of_tensors,
)


def test_names_shapes_types_and_values_count() -> None:
    base = [("a", torch.arange(6.0))]
    others = [
        [("b", torch.arange(6.0))],
        [("a", torch.arange(6.0).view(2, 3))],
        [("a", torch.arange(6))],
        [("a", torch.arange(6.0) + 1e-6)],
        [*base, ("b", torch.zeros(1))],
    ]
    assert len({identity_of_tensors(tensors) for tensors in (base, *others)}) == 6
    assert identity_of_tensors([("a", torch.arange(6.0))]) == identity_of_tensors(base)


def test_cases_are_told_by_image_and_tumor_and_order(cases: list) -> None:
    other_tumor = dataclasses.replace(cases[1], tumor=1 - cases[1].tumor.clamp_max(1))
    sets = [cases, cases[::-1], cases[:2], [cases[0], other_tumor, cases[2]]]
    assert len({identity_of_cases(one) for one in sets}) == 4


def test_maps_are_told_by_labels_and_scan() -> None:
    labels, scan = torch.zeros(4, 4, 4, dtype=torch.uint8), torch.zeros(2, 2, 2)
    sets = [[LabelMap(labels, scan)], [LabelMap(labels + 1, scan)], [LabelMap(labels, scan + 1)]]
    assert len({identity_of_maps(one) for one in sets}) == 3


def test_a_network_is_told_by_its_weights_and_none_by_none() -> None:
    one = nn.Linear(2, 2)
    same, other = nn.Linear(2, 2), nn.Linear(2, 2)
    same.load_state_dict(one.state_dict())
    assert identity_of_network(one) == identity_of_network(same) != identity_of_network(other)
    assert identity_of_network(None) is None
