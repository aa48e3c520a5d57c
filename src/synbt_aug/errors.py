"""What the package says when it cannot go on.

One family, so that the command line can print the sentence without a traceback, and
so that callers can catch it as the `ValueError` it is.
"""

from __future__ import annotations


class SynBTError(ValueError):
    """Something about the input, the settings or the machine stops the work.

    The message says what was needed, what came, and what to type.
    """


class ExtraMissingError(SynBTError, ImportError):
    """An optional package is not installed."""

    def __init__(self, what: str, extra: str, package: str | None = None) -> None:
        missing = f" ({package} is not installed)" if package else ""
        super().__init__(f"{what} needs an extra{missing}: pip install 'synbt-aug[{extra}]'")


#: Errors that cost one painting, not the run. torch's own for "out of memory" is a RuntimeError,
#: ours are ValueErrors.
FAILURES = (RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError)


def failure_reason(error: BaseException) -> str:
    """Why something was not painted, where an error of `FAILURES` came between."""
    return f"{'out of memory' if is_out_of_memory(error) else 'error'}: {first_line(error)}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python ran out of memory."""
    # By name: torch.OutOfMemoryError is not in every torch that we take.
    return type(error).__name__ in ("OutOfMemoryError", "MemoryError")


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
