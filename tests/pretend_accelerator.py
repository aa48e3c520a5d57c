"""A pretend accelerator: counts what a GPU would launch, wait for and copy, without one.

A wrapper tensor says that it lives on another device, and works on the CPU. Each operation on it
counts as a launch, unless it only looks at a tensor in another way; each that needs a value on the
CPU counts as a wait, and so does each copy to the device that is not asked for with
`non_blocking=True`: CUDA finishes all that was launched before. What mixes the two devices as CUDA
would refuse to raises.

    with PretendAccelerator() as there:
        result = function(there.put(images))
    assert there.waits == []
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import nullcontext
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

#: The name that the pretend device goes by: torch knows it, and nothing else here uses it.
FAR = torch.device("meta")

#: Operations whose answer the CPU needs, so that it waits for all that was launched before.
_WAITING = {
    "_local_scalar_dense", "item", "is_nonzero", "equal",
    "nonzero", "masked_select", "unique", "_unique2", "unique_dim", "bincount",
}  # fmt: skip

#: Operations that look at a tensor in another way, and launch nothing.
_LOOKING = {"detach", "lift_fresh", "alias", "_unsafe_view", "empty", "new_empty", "empty_like"}

_ROOTS = ("synbt_aug", "monai")


class Far(Tensor):
    """A tensor on the pretend device."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Far:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=FAR,
            requires_grad=False,
        )
        made.inner = inner
        return made  # type: ignore[no-any-return]

    def __init__(self, inner: Tensor) -> None:
        pass

    def tolist(self) -> Any:
        _current().waits.append(f"tolist at {_where()}")
        return self.inner.tolist()

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Far({self.inner!r})"

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _current().run(func, args, kwargs or {})


_RUNNING: list[PretendAccelerator] = []


def _current() -> PretendAccelerator:
    return _RUNNING[-1]


def _where() -> str:
    """The innermost line of the package that asked for it."""
    frame = sys._getframe(1)
    while frame is not None:
        folders, _, name = frame.f_code.co_filename.rpartition("/")
        if any(f"/{root}/" in f"{folders}/" for root in _ROOTS):
            return f"{name}:{frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back
    return "the test"


class PretendAccelerator(TorchDispatchMode):
    """Counts as long as it is entered.

    Attributes:
        launches: Kernels launched.
        waits: Where the CPU would have waited, in order.
        to_device, to_host: Bytes copied.
        by_line: Launches by the line of the package that asked for them.
        recording: Takes each operation down, as a CUDA graph does; None: nothing is recorded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0
        self.waits: list[str] = []
        self.to_device = 0
        self.to_host = 0
        self.by_line: Counter[str] = Counter()
        self.recording: Any = None

    def put(self, tensor: Tensor) -> Tensor:
        """A copy on the pretend device; not counted."""
        return Far(tensor.detach().clone())

    def put_module(self, module: nn.Module) -> nn.Module:
        """Move a module's parameters and buffers there; not counted."""
        for part in module.modules():
            for name, parameter in list(part._parameters.items()):
                if parameter is not None:
                    there = nn.Parameter(Far(parameter.detach()), requires_grad=False)
                    part._parameters[name] = there
            for name, buffer in list(part._buffers.items()):
                if buffer is not None:
                    part._buffers[name] = Far(buffer.detach())
        return module

    def get(self, tensor: Tensor) -> Tensor:
        """What a tensor there holds; not counted."""
        return tensor.inner if isinstance(tensor, Far) else tensor

    def reset(self) -> None:
        """Forget what was counted."""
        self.launches, self.waits, self.to_device, self.to_host = 0, [], 0, 0
        self.by_line.clear()

    def __enter__(self) -> PretendAccelerator:
        _RUNNING.append(self)
        self._tensor, self._autocast = torch.tensor, torch.autocast
        torch.tensor = self._make  # type: ignore[assignment]
        torch.autocast = self._cast  # type: ignore[assignment, misc]
        return super().__enter__()  # type: ignore[no-any-return]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        torch.tensor, torch.autocast = self._tensor, self._autocast  # type: ignore[misc]
        _RUNNING.pop()

    def _make(self, data: Any, *, device: Any = None, **options: Any) -> Tensor:
        made = self._tensor(data, **options)
        if device is None or torch.device(device) != FAR:
            return made if device is None else made.to(device)
        # torch.tensor copies what it made on the CPU, and knows no other way.
        return self._copied(made, there=True, waits=True)

    def _cast(self, kind: str, *args: Any, **options: Any) -> Any:
        # torch has no autocast for a device that it does not know to calculate.
        return nullcontext() if kind == FAR.type else self._autocast(kind, *args, **options)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Carry an operation out on the CPU, and count it."""
        name = func._schema.name.split("::")[1]
        leaves = tree_leaves((args, kwargs))
        touched = any(isinstance(leaf, Far) for leaf in leaves)
        device = kwargs.get("device")
        there = device is not None and torch.device(device) == FAR
        inner_args = tree_map_only(Far, lambda x: x.inner, args)
        inner = dict(tree_map_only(Far, lambda x: x.inner, kwargs))
        if there:
            inner["device"] = torch.device("cpu")
        if not (touched or there):
            return func(*args, **kwargs)
        if name == "_to_copy" and device is not None and touched != there:
            waits = not kwargs.get("non_blocking", False)
            return self._copied(func(*inner_args, **inner), there, waits)
        if name == "copy_" and isinstance(args[0], Far) != isinstance(args[1], Far):
            waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
            self._copied(inner_args[1], isinstance(args[0], Far), waits)
            func(*inner_args, **inner)
            return args[0]
        self._refuse_mixed(name, leaves)
        picks = self._picks_by_mask(name, args) or self._copies_an_index(name, args)
        if touched and (name in _WAITING or picks):
            self._refuse_recording(name)
            self.waits.append(f"{name} at {_where()}")
        if not self._only_looks(func, name):
            self.launches += 1
            self.by_line[_where()] += 1
        out = func(*inner_args, **inner)
        if self.recording is not None:
            self.recording.write(func, inner_args, inner, out)
        if name in ("_local_scalar_dense", "item", "is_nonzero", "equal"):
            return out
        if name.endswith("_") and not name.startswith("__") and isinstance(args[0], Far):
            return args[0]
        if isinstance(kwargs.get("out"), Far):
            return kwargs["out"]
        return tree_map_only(Tensor, lambda x: x if isinstance(x, Far) else Far(x), out)

    def _refuse_recording(self, name: str) -> None:
        if self.recording is not None:
            raise RuntimeError(f"{name} is not permitted while a stream records, at {_where()}")

    def _copied(self, result: Tensor, there: bool, waits: bool) -> Tensor:
        self._refuse_recording("a copy between devices")
        size = result.numel() * result.element_size()
        if there:
            self.to_device += size
            if waits:
                self.waits.append(f"copy to the device at {_where()}")
            return Far(result)
        self.to_host += size
        self.waits.append(f"copy to the host at {_where()}")
        return result

    @staticmethod
    def _picks_by_mask(name: str, args: Any) -> bool:
        """Whether the result's shape, or what is written, depends on a mask's values."""
        if name not in ("index", "index_put", "index_put_", "_index_put_impl_"):
            return False
        if name != "index" and isinstance(args[2], Tensor) and args[2].numel() == 1:
            return False
        masks = (torch.bool, torch.uint8)
        return any(isinstance(i, Tensor) and i.dtype in masks for i in args[1])

    @staticmethod
    def _copies_an_index(name: str, args: Any) -> bool:
        """Whether a tensor on the device is picked from by numbers that lie on the CPU."""
        if not name.lstrip("_").startswith(("index.", "index_put")) and name != "index":
            return False
        return any(isinstance(i, Tensor) and not isinstance(i, Far) for i in args[1])

    @staticmethod
    def _refuse_mixed(name: str, leaves: list[Any]) -> None:
        if name.startswith("index"):
            return
        for leaf in leaves:
            if isinstance(leaf, Tensor) and not isinstance(leaf, Far) and leaf.ndim > 0:
                raise RuntimeError(
                    f"{name} mixes devices at {_where()}: a CPU tensor of shape {tuple(leaf.shape)}"
                )

    @staticmethod
    def _only_looks(func: Any, name: str) -> bool:
        views = (a.alias_info for a in func._schema.arguments)
        return name in _LOOKING or any(a is not None and not a.is_write for a in views)
