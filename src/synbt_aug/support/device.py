"""Whether a device is there to calculate on."""

from __future__ import annotations

import torch

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
