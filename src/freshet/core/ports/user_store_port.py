"""Where serving remembers users: histories, journals of events and impressions, notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from freshet.core.types import (
    Entry,
    Fact,
    History,
)


@dataclass(frozen=True, slots=True)
class Erased:
    """What a user store has lost for good.

    Attributes:
        histories, events, impressions: records.
        left: in words, what the store could not reach, such as a server's older files; none = nothing.
    """

    histories: int
    events: int
    impressions: int
    left: tuple[str, ...] = ()


class Journal(Protocol):
    """Entries in the order in which they came, kept until they are trimmed."""

    def append(self, bodies: Sequence[bytes]) -> None:
        """Add entries; they are durable when this returns.

        If it raises, some may be there; the same entries again, maybe with more behind them, add the others.
        """

    def read(self, after: int, limit: int) -> list[Entry]:
        """The first `limit` entries behind a position, in order; 0 is before the first."""

    def end(self) -> int:
        """Position of the last entry that was added, 0 before any; one that was trimmed counts.

        Who reads up to it comes to an end while others go on adding.
        """

    def trim(self, upto: int) -> None:
        """Forget the entries up to and including a position, and the identities of the events among them.

        It goes in steps, oldest first: one that raises may have forgotten some.
        """


class Notes(Protocol):
    """A few small named values that outlive the process."""

    def get(self, name: str) -> bytes | None:
        """The value, None where there is none."""

    def put(self, name: str, value: bytes) -> None:
        """Replace the value; durable when this returns."""


class UserStore(Protocol):
    """What serving remembers: users' histories, a journal of events, a journal of impressions, notes.

    Histories merge: of an item or interest the later time stays, and of the items the last
    `freshet.core.types.REMEMBERED` by (time, key). So the order in which facts and merges come makes no
    difference, and doing one twice changes nothing.

    Raises (all methods):
        StateError: the store can't be reached or is full; retryable. What raised has either happened whole or
            not at all.
    """

    @property
    def note(self) -> str:
        """A line that a person should read before the state is used, or ''."""

    @property
    def events(self) -> Journal:
        """Bodies of recorded facts."""

    @property
    def impressions(self) -> Journal:
        """What was shown."""

    @property
    def notes(self) -> Notes:
        """Positions, and what has been loaded."""

    def histories(self, users: Sequence[bytes]) -> list[History]:
        """Of each user; empty for one who is not known."""

    def record(self, facts: Sequence[Fact]) -> list[bool]:
        """Remember facts, all or none, durably: histories and the journal of events in one step.

        Returns:
            For each whether it was new; False for an identity that the journal or an earlier fact of the call
            has: that one changes nothing.
        """

    def merge(self, histories: Iterable[tuple[bytes, History]]) -> None:
        """Join histories to what is remembered, such as those of an imported log; need not be atomic."""

    def erase(self, users: Sequence[bytes], mine: Callable[[bytes], bool]) -> Erased:
        """Remove users: histories, entries of both journals, and the bytes that deleting leaves behind.

        Others may read and write meanwhile. Doing it again changes nothing. Called with nobody, it removes
        what this process may have written since of what others deleted: buffers keep bytes, too.

        Args:
            users: keys of their histories.
            mine: whether an entry's body is of one of them.
        """

    def close(self) -> None:
        """Let go of files and connections."""
