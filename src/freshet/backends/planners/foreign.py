"""Other libraries at work on files that they may not like."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from freshet.core.errors import FreshetError

MOST = 300
"""Characters of what a library said."""


class Foreign:
    """A block that calls other libraries and nothing else: whatever they raise is told as an error of ours.

    Readers of checkpoints raise nearly anything about a file that isn't what they expect (KeyError,
    ZeroDivisionError, a plain Exception), which is no bug but an answer about the file.

    Args:
        told: makes the error from what the library said, in one line.
    """

    def __init__(self, told: Callable[[str], FreshetError]) -> None:
        self._told = told

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, (FreshetError, MemoryError)):
            said = " ".join(str(error).split())
            raise self._told(f"{type(error).__name__}: {said}"[:MOST]) from None
