"""The `synbt` command, one file for each family of commands.

Importing this costs nothing heavy: torch and our own modules are imported inside the commands, so
that `--help` and usage errors answer at once.
"""

from __future__ import annotations

from synbt_aug.cli.app import app, main

__all__ = ["app", "main"]
