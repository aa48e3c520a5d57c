"""Whether a device is there to calculate on, what it is fast at, and how values get there."""

from __future__ import annotations

import torch
from torch import Tensor

from synbt_aug.errors import SynBTError


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
