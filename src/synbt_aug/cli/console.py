"""What the command line prints: progress, tables, log lines, and one line for an error."""

from __future__ import annotations

import contextlib
import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from traceback import walk_tb

from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from synbt_aug.errors import SynBTError
from synbt_aug.support.progress import Reporter

PACKAGE_FOLDER = Path(__file__).resolve().parents[1]

console = Console(highlight=False)
_errors = Console(stderr=True, highlight=False)


def complain(sentence: str) -> None:
    """Print one red line to stderr."""
    _errors.print(f"Error: {sentence}", style="bold red", markup=False, soft_wrap=True)


def note(sentence: str) -> None:
    """Print one plain line."""
    console.print(sentence, markup=False, soft_wrap=True)


def sentence_for(error: BaseException) -> str | None:
    """What to tell the user about an error, or None where it is a bug to be shown whole.

    A `ValueError` is the user's to mend when our own code raised it; one from deep inside
    another library is not.
    """
    if isinstance(error, SynBTError):
        return _one_line(str(error))
    if isinstance(error, ValueError) and _raised_by_us(error):
        return _one_line(str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "Out of memory. Use --device cpu, a smaller --batch, or close other programs."
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    return None


def log_to_screen(level: int) -> None:
    """Send the package's log lines to stderr."""
    logger = logging.getLogger("synbt_aug")
    logger.setLevel(level)
    logger.handlers[:] = [
        RichHandler(console=_errors, show_path=False, show_level=False, omit_repeated_times=False)
    ]
    logger.propagate = False


@contextlib.contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Progress with the time left; gives a function of (done, total)."""
    reporter = Reporter(what, _errors)
    try:
        # Shown from the first news on: an error before it stands alone.
        yield reporter.tell
    finally:
        reporter.close()


def seconds(text: str) -> float:
    """`90s`, `45m`, `1.5h` or `1:30:00` in seconds.

    Raises:
        SynBTError: If the text is none of these.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip()):
        return float(match.group(1)) * units[match.group(2)]
    if match := re.fullmatch(r"(\d+):(\d\d):(\d\d)", text.strip()):
        hours, minutes, rest = (int(part) for part in match.groups())
        return 3600.0 * hours + 60.0 * minutes + rest
    raise SynBTError(f"A time is written as 90s, 45m, 1.5h or 1:30:00, not {text!r}.")


def triple(text: str, what: str, kind: type = float) -> tuple:
    """`192x192x128` as three numbers.

    Raises:
        SynBTError: If there are not three.
    """
    try:
        values = tuple(kind(part) for part in re.split(r"[x,]", text))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(math.isfinite(value) for value in values):
        raise SynBTError(f"{what} is three numbers such as 192x192x128, not {text!r}.")
    return values


def numbers(option: str, text: str) -> tuple[float, ...]:
    """`8,12,20` as numbers.

    Raises:
        SynBTError: If one is none.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise SynBTError(f"{option} needs numbers such as 8,12,20, not {text!r}.") from error


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = Table()
    for column in columns:
        # Folded, not cut, where the screen is narrow: a cut number reads as another one.
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text: a name may hold what rich takes for a style.
        table.add_row(*map(Text, row))
    console.print(table)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _raised_by_us(error: BaseException) -> bool:
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    return bool(frames) and PACKAGE_FOLDER in Path(frames[-1]).resolve().parents
