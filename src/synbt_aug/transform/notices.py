"""What one transform has to say, each sentence once."""

from __future__ import annotations

import logging
import sys
import warnings

logger = logging.getLogger(__name__)


class Notices:
    """What a transform has said.

    A second pipeline of the same process is told, too: neither this module nor Python's own
    record of warnings, which is the process's, decides what was said.
    """

    def __init__(self) -> None:
        self._given: set[str] = set()

    def warn(self, text: str) -> None:
        """Warn, unless this transform has said the same already."""
        if not self._is_new(text):
            return
        caller = sys._getframe(1)
        # Without a registry Python's filter "once a place" does not apply.
        warnings.warn_explicit(
            text, UserWarning, caller.f_code.co_filename, caller.f_lineno, registry=None
        )

    def log(self, text: str) -> None:
        """Log what is worth knowing and no reason to worry, unless it was said already."""
        if self._is_new(text):
            logger.info(text)

    def _is_new(self, text: str) -> bool:
        new = text not in self._given
        self._given.add(text)
        return new
