"""One training a folder: a lock that ends with its process, however that ends.

The system holds the lock, and the file that carries it may stay. On Windows, and on network disks
without locks, nothing is held.
"""

from __future__ import annotations

import errno
import logging
import os
import platform
from pathlib import Path

from synbt_aug.errors import SynBTError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

LOCK_FILE = ".training.lock"


class FolderLock:
    """Held from its making until `release`, or until the process ends.

    Args:
        folder: Made if it is missing.

    Raises:
        SynBTError: If another training holds it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / LOCK_FILE).open("a+", encoding="utf-8")
        try:
            _lock(self._file.fileno())
        except BlockingIOError as error:
            self._file.seek(0)
            holder = self._file.read(200).strip() or "another process"
            self._file.close()
            raise SynBTError(
                f"{folder} is being trained in by {holder}. Wait for it, or name another folder."
            ) from error
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {platform.node()}")
        self._file.flush()

    def release(self) -> None:
        """Let others have the folder."""
        self._file.close()


def refuse_locked(folder: Path) -> None:
    """See that nobody trains in a folder, before data is read for nothing.

    Raises:
        SynBTError: If somebody does.
    """
    if (folder / LOCK_FILE).is_file():
        FolderLock(folder).release()


def _lock(descriptor: int) -> None:
    if fcntl is None:
        return
    try:
        # Not lockf: its locks do not tell two trainings in one process apart.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise BlockingIOError(error.errno, error.strerror) from error
        logger.info("This disk has no locks (%s): nothing keeps a second training out.", error)
