"""Where events come from as they happen: a topic or stream at a server, in partitions that keep an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        partition: that it is in; a stream without partitions has one, `0`.
        offset: by which the server knows it.
        position: where reading goes on behind it; only the backend that made it can read it.
        body: None where the message says that its key is deleted.
        why_not: why the backend could not read it, '' where it could; the body is then what there is of it.
    """

    partition: str
    offset: str
    position: str
    body: bytes | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of a partition that the server no longer has, though they were not read.

    Attributes:
        lost: how many, None where nobody knows.
        why: such as `trimmed`.
    """

    partition: str
    lost: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought.

    Attributes:
        messages: in the order of each partition.
        forget: partitions of which earlier messages must be dropped unless they were committed: they were
            taken away, or are read again from the start. None of `messages` is meant.
        gaps: found on the way; `messages` go on behind them.
    """

    messages: Sequence[Message] = ()
    forget: frozenset[str] = frozenset()
    gaps: Sequence[Gap] = ()


@dataclass(frozen=True, slots=True)
class Lag:
    """How far reading is behind.

    Attributes:
        behind: partition that this reader holds -> messages that it has not read.
    """

    behind: Mapping[str, int] = field(default_factory=dict)


Start = Callable[[Sequence[str]], Mapping[str, str]]
"""Of partitions that were just given to this reader, the positions to read from; what it leaves out is read
from its first message. Called anew each time, since others may have read on meanwhile."""


class EventStream(Protocol):
    """A stream of events, read by one thread.

    Raises (all methods):
        StreamUnreachable: the server can't be reached or answers with errors; retryable.
        ConfigError: there is no such stream, or the server refuses the credentials.
    """

    @property
    def name(self) -> str:
        """Kind and name, such as `kafka/orders`; what is known of it is kept under this."""

    def identity(self) -> str:
        """Names this very stream: one that was deleted and made again has another; '' = nobody knows."""

    def poll(self, most: int, seconds: float) -> Polled:
        """Up to `most` messages, waiting for the first at most so long.

        `most = 0` brings none, and tells the server that this reader is alive: messages wait there.
        """

    def seek(self, positions: Mapping[str, str | None]) -> None:
        """Read these partitions from other positions; None = from their first message."""

    def lag(self) -> Lag:
        """How far this reader is behind what the server has."""

    def ends(self) -> Mapping[str, str]:
        """Partition -> position behind its last message now; partitions without messages are left out."""

    def reached(self, partition: str, position: str, end: str) -> bool:
        """Whether a position is at or behind an end."""

    def tell(self, positions: Mapping[str, str]) -> None:
        """Tell the server how far was committed, for whoever watches; nothing reads it back. Never raises."""

    def close(self) -> None:
        """Give the partitions back."""
