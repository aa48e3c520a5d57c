"""Whether work on a device can be recorded once and replayed, told before it is tried.

A CUDA graph holds launches with the addresses that they read and write. It cannot hold a number
that the CPU reads from the device, nor a copy to or from the CPU: such a recording fails, and may
leave torch's allocator in disorder. A pass that is watched tells both beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

#: Operations whose result depends on numbers of the device in a way that the CPU must know.
_READING = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


class NotRecordable(RuntimeError):
    """Work that reads from its device, or copies to or from the CPU."""


class Watch(TorchDispatchMode):
    """Looks at each operation inside, and refuses what cannot be recorded.

    Args:
        given: What the work is given; its outputs are its own.

    Attributes:
        read: What else it reads, such as weights and matrices that are made once and kept: a
            recording holds their addresses, so they must stay as long as it does.

    Raises:
        NotRecordable: Where the CPU would read a number, or something is copied to or from it.
    """

    def __init__(self, given: Sequence[Tensor]) -> None:
        super().__init__()
        self._known = WeakTensorKeyDictionary()
        self.read: list[Tensor] = []
        for value in given:
            self._known[value] = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        taken = _tensors((args, kwargs))
        if any(one.device.type != "cpu" for one in taken) and _reads(func, args):
            raise NotRecordable(f"{func} reads a number from the device")
        result = func(*args, **(kwargs or {}))
        made = _tensors(result)
        places = {one.device.type for one in (*taken, *made) if _counts(func, one)}
        if len(places) > 1:
            raise NotRecordable(f"{func} copies between {' and '.join(sorted(places))}")
        for one in taken:
            if one not in self._known:
                self._known[one] = True
                self.read.append(one)
        for one in made:
            self._known[one] = True
        return result


def _reads(func: Any, args: Any) -> bool:
    name = func.overloadpacket.__name__
    if name.lstrip("_").startswith("index"):
        # By whole numbers it is fixed what comes out, by a mask it is not.
        masks = (torch.bool, torch.uint8)
        indices = [one for one in _tensors(args[1:2]) if name != "index_select"]
        return any(one.dtype in masks for one in indices)
    return any(tag in func.tags for tag in _READING)


def _counts(func: Any, one: Tensor) -> bool:
    """Whether a tensor's place matters: a single number of the CPU goes along with a launch."""
    copies = func.overloadpacket.__name__ in ("_to_copy", "copy_", "copy")
    return copies or one.ndim > 0 or one.device.type != "cpu"


def _tensors(values: Any) -> list[Tensor]:
    return [one for one in tree_leaves(values) if isinstance(one, Tensor)]
