"""The arithmetic that networks run in: float32, or 16 bits where the device is fast at them.

"auto" takes bfloat16 on a device with units for it, after one comparison with float32: some
releases of cuDNN and oneDNN had convolutions that were wrong in bfloat16. What was chosen for
painting stands in the recipe, so that a replay calculates the same way anywhere.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from synbt_aug.errors import SynBTError
from synbt_aug.support.device import multiplies_bfloat16

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)

#: The name that leaves the choice to the device.
AUTO = "auto"

#: Types of autocast by the names that settings and recipes use.
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}

#: Largest root mean square difference to float32, in standard deviations of what float32 gives,
#: that the check passes. bfloat16 rounds to 1/256; the shipped networks differ by .003 to .02.
TOLERANCE = 0.05


def check_precision(name: str) -> str:
    """The name, if there is such a precision.

    Raises:
        SynBTError: If there is not.
    """
    if not isinstance(name, str) or name not in (AUTO, *PRECISIONS):
        names = ", ".join(map(repr, (AUTO, *PRECISIONS)))
        raise SynBTError(f"precision needs one of {names}, got {name!r}.")
    return name


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Context in which networks calculate in a precision of `PRECISIONS`."""
    dtype = PRECISIONS[precision]
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def prepared(network: Network, precision: str) -> Network:
    """A network as it is fastest in a precision; itself in float32.

    Under autocast each pass casts the weights anew: here they are cast once, in a copy, to the
    same values. On a CPU they lie channels last, as oneDNN's convolutions in 16 bits want them.

    Args:
        network: On its device; it is left as it is.
        precision: Of `PRECISIONS`; the network still wants `autocast` around it.
    """
    dtype = PRECISIONS[precision]
    if dtype is None:
        return network
    ready = copy.deepcopy(network)
    for part in ready.modules():
        if isinstance(part, (nn.Conv3d, nn.ConvTranspose3d, nn.Linear)):
            part.to(dtype)
            if part.weight.ndim == 5 and part.weight.device.type == "cpu":
                part.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return ready


def choose(results: Callable[[str], Sequence[Tensor]], device: torch.device, networks: str) -> str:
    """What "auto" means for some networks on a device; says once what and why.

    Args:
        results: What the networks make of some small input in a precision of `PRECISIONS`.
        device: Theirs.
        networks: What they are, for the sentence: "the networks that paint".

    Returns:
        "bf16" where the device has units for bfloat16 and it gives what float32 gives, within
        `TOLERANCE`; else "fp32".
    """
    if not multiplies_bfloat16(device):
        _say(f"precision: {networks} run in float32, since {device} has no fast bfloat16.")
        return "fp32"
    error = difference(results("bf16"), results("fp32"))
    if not error <= TOLERANCE:
        _warn(
            f"precision: bfloat16 on {device} differs from float32 by {error:.2g} standard "
            f"deviations, more than {TOLERANCE}: {networks} run in float32. Another release of "
            f"torch may do better."
        )
        return "fp32"
    _say(f"precision: {networks} run in bfloat16 on {device}, {error:.1g} SD from float32.")
    return "bf16"


def difference(fast: Sequence[Tensor], exact: Sequence[Tensor]) -> float:
    """The largest root mean square difference of some tensors to exact ones.

    Returns:
        In standard deviations of the exact tensor; NaN or infinite where one is not finite.
    """
    pairs = zip(fast, exact, strict=True)
    errors = [((a.float() - b).square().mean().sqrt() / b.std()) for a, b in pairs]
    # torch's maximum hands a NaN on, Python's may not.
    return float(torch.stack(errors).amax())


@cache
def _say(text: str) -> None:
    logger.info(text)


@cache
def _warn(text: str) -> None:
    logger.warning(text)
