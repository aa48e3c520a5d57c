"""Which entries of a MONAI dictionary are pre, post and label."""

from __future__ import annotations

from collections.abc import Hashable

from monai.config import KeysCollection
from monai.utils import ensure_tuple

from synbt_aug.errors import SynBTError


def image_keys(keys: KeysCollection, label_key: Hashable | None = None) -> tuple[Hashable, ...]:
    """The keys of the image, or of pre and post.

    Args:
        keys: As a user gave them; the label's among them is left out, so that the list given to
            all other transforms will do.
        label_key: The label's.

    Raises:
        SynBTError: If there are not one or two.
    """
    found = tuple(key for key in ensure_tuple(keys) if key != label_key)
    if len(found) not in (1, 2) or len(set(found)) != len(found):
        raise SynBTError(
            f"keys needs one image with two channels, such as 'image', or the keys of pre and "
            f"post, such as ('pre', 'post'); got {tuple(ensure_tuple(keys))}."
        )
    return found
