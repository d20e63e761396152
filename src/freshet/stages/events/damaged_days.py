"""Days of the log that can't be read: which errors say so, and which day it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import duckdb

from freshet.core.errors import ArtifactError
from freshet.stages.events.event_days import DayFile

_NO_DAMAGE = (duckdb.InterruptException, duckdb.OutOfMemoryException, duckdb.IOException)
"""Errors of the engine that say nothing of what a file holds: somebody's wish, memory, the disk."""


@contextmanager
def reading(days: Iterable[DayFile]) -> Iterator[None]:
    """A block that reads days of the log.

    Raises:
        ArtifactError: one of them is damaged, or holds something else than its checksum was made of.
    """
    try:
        yield
    except _NO_DAMAGE:
        raise
    except duckdb.Error as error:
        for day in days:
            day.verify()  # names the damaged one
        raise ArtifactError(
            f"days of events can't be read: {str(error)[:300]}", hint="`freshet doctor` names what is damaged"
        ) from error
