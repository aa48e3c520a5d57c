"""Memory that is free goes back to the system, where the C library would keep it for itself.

glibc keeps freed blocks of up to 32 MB, and the next piece of work adds to them: painting after
finding tissues held .3 GB that nobody used. Returning them costs some page faults, so that only
commands that hold whole scans ask for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc

# <malloc.h>; larger blocks are mapped, and unmapped when they are freed.
_M_MMAP_THRESHOLD, _MAPPED_BYTES = -3, 1 << 20


def return_freed_memory() -> None:
    """From now on give large freed blocks back at once."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def give_back_memory() -> None:
    """Give back what is free now, after a large piece of work."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
