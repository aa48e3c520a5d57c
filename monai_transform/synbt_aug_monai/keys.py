"""Which entries of a MONAI dictionary are pre, post and label, and which channels are neither."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.utils import ensure_tuple

from synbt_aug.data.channel_roles import Role, roles_of
from synbt_aug.errors import SynBTError
from synbt_aug.transform import Place


def image_keys(keys: KeysCollection, *others: Hashable | None) -> tuple[Hashable, ...]:
    """The keys of the image, or of pre, post and further channels.

    Args:
        keys: As a user gave them; those of the label and the roi among them are left out, so
            that the list given to all other transforms will do.
        *others: Those of label and roi.

    Raises:
        SynBTError: If there is none, or one twice.
    """
    found = tuple(key for key in ensure_tuple(keys) if key not in others)
    if not found or len(set(found)) != len(found):
        raise SynBTError(
            f"keys needs one image with two channels, such as 'image', or the keys of pre and "
            f"post, such as ('pre', 'post'), and of what follows them; got "
            f"{tuple(ensure_tuple(keys))}."
        )
    return found


def channels_of(
    images: Mapping[Hashable, Any], channels: tuple[int, int]
) -> tuple[list[str], list[Place | None], tuple[int, int]]:
    """The channels of the images, and which of them are painted.

    Args:
        images: By name: one that holds pre and post, or pre, post and others of one channel each,
            shape `(C, H, W, D)`.
        channels: Of pre and post, where one image holds both.

    Returns:
        Names, "" for channels of one image; their places; and the positions of pre and post.
    """
    if len(images) > 1:
        return [str(name) for name in images], [(name, 0) for name in images], (0, 1)
    ((name, image),) = images.items()
    count = image.shape[0]
    return [""] * count, [(name, c) for c in range(count)], channels


def other_scans(
    d: Mapping[Hashable, Any], known: Collection[Hashable], shape: tuple[int, ...]
) -> list[str]:
    """Entries of a dictionary that by their names are further phases or computed from phases.

    Args:
        d: All entries.
        known: Keys of those that are read: images, label, roi.
        shape: Voxels along the axes of the images; what has others is no channel of theirs.
    """
    names = [
        str(key)
        for key, value in d.items()
        if key not in known and tuple(getattr(value, "shape", ()))[-3:] == shape
    ]
    roles = zip(names, roles_of(names), strict=True)
    return [name for name, role in roles if role in (Role.POST, Role.DERIVED)]
