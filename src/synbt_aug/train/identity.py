"""What a training learned from, as a few digits: a resumed run must learn from the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from torch import Tensor

from synbt_aug.networks import VQVAE
from synbt_aug.support.case_ids import case_key
from synbt_aug.tissue.labels_to_image import LabelMap

# Every so many voxels count: 260 cases are told from others in a second.
_EVERY = 1009


class _Stateful(Protocol):
    def state_dict(self) -> Mapping[str, Any]: ...


def identity_of_tensors(tensors: Iterable[tuple[str, Tensor]], every: int = 1) -> str:
    """SHA-256 of names, shapes and values.

    Args:
        tensors: In order.
        every: Every so many values count, the first among them.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, value in tensors:
        digest.update(repr((name, tuple(value.shape), value.dtype)).encode())
        # Copied: a slice of a step has no bytes of its own.
        some = value.detach().flatten()[::every].cpu().float().contiguous()
        digest.update(some.numpy().tobytes())
    return digest.hexdigest()[:16]


def identity_of_cases(cases: Iterable[Any]) -> str:
    """Of training cases: their ids, sizes, images and tumors."""
    parts: list[tuple[str, Tensor]] = []
    for case in cases:
        name = case_key(str(getattr(case, "name", "")))
        parts += [(f"{name} q", case.q), (f"{name} tumor", case.tumor)]
    return identity_of_tensors(parts, _EVERY)


def identity_of_maps(maps: Iterable[LabelMap]) -> str:
    """Of label maps: their ids, sizes, labels and scans."""
    parts: list[tuple[str, Tensor]] = []
    for one in maps:
        name = case_key(one.name)
        parts += [(f"{name} labels", one.labels), (f"{name} scan", one.scan)]
    return identity_of_tensors(parts, _EVERY)


def identity_of_encoder(vqvae: VQVAE) -> str:
    """Of the part of an autoencoder that a denoiser's latents come from."""
    state = vqvae.state_dict()
    return identity_of_tensors(sorted((k, v) for k, v in state.items() if k.startswith("encoder.")))


def identity_of_network(network: _Stateful | None) -> str | None:
    """Of a network's weights; None for none."""
    if network is None:
        return None
    return identity_of_tensors(sorted(network.state_dict().items()))
