"""Whether a device is there to calculate on, what it is fast at, and how values get there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError

#: Tensors that lie side by side begin at multiples of so many bytes.
_ALIGNED = 16


def check_device(device: torch.device | str, name: str = "device") -> torch.device:
    """A device that torch can use here.

    Args:
        device: As torch calls it.
        name: What the user calls the setting.

    Raises:
        SynBTError: If there is no such device, or torch was built without it.
    """
    try:
        place = torch.device(device)
        if place.type == "meta":
            raise RuntimeError("meta tensors hold no numbers")
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ImportError) as error:
        gpus = [f"cuda:{k}" for k in range(torch.cuda.device_count())]
        raise SynBTError(
            f"{name} needs a device that torch can use here ({', '.join(['cpu', *gpus])}), got "
            f"{str(device)!r}. Set {name}='cpu', or install a driver and a torch built for it."
        ) from error
    return place


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for bfloat16, so that it is faster there than in float32.

    GPUs of CUDA from compute capability 8 on, and processors with AMX or AVX512-BF16. What a
    device only emulates is slower than float32.

    Args:
        device: That torch can use here.
    """
    if device.type == "cuda":
        return torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Values on a device; what was launched there before is not waited for.

    `values.to(device)` waits for it on CUDA, and so does `torch.tensor(values, device=device)`.
    From ordinary memory a copy may wait all the same when it is larger than 64 KB: it goes by way
    of pinned memory, which torch keeps until it was read.

    Args:
        values: On the CPU, or anywhere; what comes back to the CPU is waited for.
        device: Where they are needed.
    """
    if values.device.type != "cpu" or device.type in ("cpu", "mps"):
        return values.to(device)
    if device.type == "cuda" and not values.is_pinned():
        values = values.contiguous().pin_memory()
    return values.to(device, non_blocking=True)


@dataclass(frozen=True)
class Layout:
    """Several tensors side by side in one row of bytes.

    Args:
        parts: First byte, type and shape of each.
        size: Bytes of all.
    """

    parts: tuple[tuple[int, torch.dtype, torch.Size], ...]
    size: int

    @classmethod
    def of(cls, values: Sequence[Tensor]) -> Layout:
        """Of tensors of these types and shapes, wherever they are."""
        parts, end = [], 0
        for value in values:
            parts.append((end, value.dtype, value.shape))
            # Each begins where any type may.
            end += -(-value.numel() * value.element_size() // _ALIGNED) * _ALIGNED
        return cls(tuple(parts), end)

    def views(self, content: Tensor) -> list[Tensor]:
        """The tensors in such bytes, which are shape `(n,)`, uint8, and may be more than these."""
        found = []
        for start, dtype, shape in self.parts:
            part = content.narrow(0, start, math.prod(shape) * dtype.itemsize)
            found.append(part.view(dtype).view(shape))
        return found

    def filled(self, values: Sequence[Tensor], *, pinned: bool) -> Tensor:
        """Bytes on the CPU that hold these values.

        Args:
            values: On the CPU; they are copied.
            pinned: Whether CUDA is to copy them without waiting.
        """
        content = torch.empty(self.size, dtype=torch.uint8, pin_memory=pinned)
        for view, value in zip(self.views(content), values, strict=True):
            view.copy_(value)
        return content


def sent_together(values: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Values on a device; those that lie on the CPU go there in one copy, as `sent` does it.

    Args:
        values: On the CPU, or anywhere.
        device: Where they are needed.
    """
    here = [k for k, value in enumerate(values) if value.device.type == "cpu"]
    found = list(values)
    if device.type == "cpu" or len(here) < 2:
        return [sent(value, device) for value in values]
    several = [values[k] for k in here]
    layout = Layout.of(several)
    content = sent(layout.filled(several, pinned=device.type == "cuda"), device)
    for k, view in zip(here, layout.views(content), strict=True):
        found[k] = view
    return [sent(value, device) for value in found]
