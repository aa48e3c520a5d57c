"""What SynBT cannot train, said before any work is done."""

from __future__ import annotations

from collections.abc import Sequence

from synbt_aug.errors import SynBTError


def check_plan(
    *,
    configuration: str,
    patch_size: Sequence[int],
    is_cascaded: bool,
) -> None:
    """See that a configuration is one that tumors can be painted into.

    Args:
        configuration: Its name.
        patch_size: Of the network.
        is_cascaded: Whether it is the second stage of a cascade.

    Raises:
        SynBTError: For 2D configurations and second stages.
    """
    if len(patch_size) != 3:
        raise SynBTError(
            f"SynBT paints tumors in 3D, but the configuration {configuration} has patches of "
            f"{len(patch_size)} dimensions. Train 3d_fullres or 3d_lowres, or take nnUNetTrainer "
            f"for this one."
        )
    if is_cascaded:
        raise SynBTError(
            f"{configuration} is the second stage of a cascade: its input holds the first stage's "
            f"prediction, which knows nothing of a tumor painted now. Train 3d_fullres, or take "
            f"nnUNetTrainer for both stages."
        )
