"""What a caller may have set for all of torch, left for a while.

Painting means the same inside somebody's autocast and under somebody's default device. Nothing
global is changed: torch's own contexts are entered and left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_torch(devices: Iterable[torch.device] = ()) -> Iterator[None]:
    """Without the caller's autocast and default device.

    In bfloat16 a tumor's surface moves by a voxel. The networks enter an autocast of their own
    where `precision` asks for it.

    Args:
        devices: Where there will be arithmetic.
    """
    with ExitStack() as stack:
        for kind in sorted({device.type for device in devices}):
            stack.enter_context(torch.autocast(kind, enabled=False))
        # Entered only where needed: it slows every call of torch a little.
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
