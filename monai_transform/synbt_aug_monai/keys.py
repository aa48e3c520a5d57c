"""Which entries of a MONAI dictionary are pre, post and label."""

from __future__ import annotations

from collections.abc import Hashable

from monai.config import KeysCollection
from monai.utils import ensure_tuple

from synbt_aug.errors import SynBTError


def image_keys(keys: KeysCollection, *others: Hashable | None) -> tuple[Hashable, ...]:
    """The keys of the image, or of pre and post.

    Args:
        keys: As a user gave them; those of the label and the roi among them are left out, so
            that the list given to all other transforms will do.
        *others: Those of label and roi.

    Raises:
        SynBTError: If there are not one or two.
    """
    found = tuple(key for key in ensure_tuple(keys) if key not in others)
    if len(found) not in (1, 2) or len(set(found)) != len(found):
        raise SynBTError(
            f"keys needs one image with two channels, such as 'image', or the keys of pre and "
            f"post, such as ('pre', 'post'); got {tuple(ensure_tuple(keys))}."
        )
    return found
