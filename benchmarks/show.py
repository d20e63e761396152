"""Progress of a benchmark for a person, on stderr."""

from __future__ import annotations

import sys
import time

from freshet.ports import Progress, silent


class Show:
    """A reporter that says each line with the seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.start:7.1f}s {text}", file=sys.stderr, flush=True)

    def progress(self, name: str) -> Progress:  # noqa: ARG002
        return silent
