"""A stream read into the live signals: each event goes the way of one that a client posts.

Where reading goes on is noted in the user store after the events are durable there. So an event may come
twice, after a crash or a rebalance, and is recognised: it counts once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from freshet.core.config import Events, StreamConfig
from freshet.core.ports import EventStream, Gap, Notes, Start
from freshet.serving.messages import Event
from freshet.stages.events.message_events import read_messages

WAIT = 0.5
"""Seconds that a call waits for messages."""
TOGETHER = 5_000
"""Messages of one call at most."""


@dataclass(frozen=True, slots=True)
class LiveBatch:
    """Events to record.

    Attributes:
        reached: partition -> position behind the messages of this batch.
        refused: reason -> messages; `freshet stream` keeps them in quarantine.
        gaps: messages that the server had deleted before they were read.
    """

    events: Sequence[Event]
    reached: Mapping[str, str]
    refused: Mapping[str, int]
    gaps: Sequence[Gap] = ()


class LiveStream:
    """Reads a stream for one server; `take` and `done` take turns, in one thread.

    Args:
        root: the workspace.
        settings: `[stream]`.
        events: `[events]`, as it is now.
        keep: columns of events to keep beside those of the positive rule.
        notes: of the user store.
        open_stream: opens the stream, given where to read from.
    """

    def __init__(
        self,
        root: Path,
        settings: StreamConfig,
        events: Callable[[], Events],
        keep: Iterable[str],
        notes: Notes,
        open_stream: Callable[[Start], EventStream],
    ) -> None:
        self._root = root
        self._settings = settings
        self._events = events
        self._keep = tuple(keep)
        self._notes = notes
        self._open = open_stream
        self._stream: EventStream | None = None
        self._identity = ""
        self.name = f"{settings.kind}/{settings.topic}"

    def take(self) -> LiveBatch:
        """The next events; none after half a second without.

        Raises:
            StreamUnreachable: the server can't be reached; call again.
            ConfigError: there is no such stream, or an environment variable is not set.
            StateError: the user store can't be read.
        """
        if self._stream is None:
            self._stream = self._open(self._start)
        identity = self._stream.identity() if not self._identity else self._identity
        if identity != self._identity:
            self._identity = identity
            self._start_anew(self._stream)
        polled = self._stream.poll(TOGETHER, WAIT)
        if not polled.messages:
            return LiveBatch((), {}, {}, polled.gaps)
        rows, refused = read_messages(
            self._root,
            self.name,
            polled.messages,
            self._events(),
            now=datetime.now(UTC),
            keep=self._keep,
            most_bytes=self._settings.message_bytes,
        )
        events = [Event(one.user, one.item, one.time, one.value, one.id, columns=one.columns) for one in rows]
        reached = {message.partition: message.position for message in polled.messages}
        return LiveBatch(events, reached, refused, polled.gaps)

    def done(self, batch: LiveBatch) -> None:
        """Note that a batch's events are durable: they are not read again.

        Raises:
            StateError: it can't be noted; call again.
        """
        for partition, position in batch.reached.items():
            content = {"identity": self._identity, "position": position}
            self._notes.put(self._note(partition), json.dumps(content).encode())
        if self._stream is not None:
            self._stream.tell(batch.reached)

    def lag(self) -> int:
        """Messages that the partitions held here are behind."""
        return 0 if self._stream is None else sum(self._stream.lag().behind.values())

    def close(self) -> None:
        """Leave the group; another server takes over."""
        if self._stream is not None:
            self._stream.close()

    def _start(self, partitions: Sequence[str]) -> Mapping[str, str]:
        found = {}
        for partition in partitions:
            noted = self._notes.get(self._note(partition))
            if noted is not None:
                content = json.loads(noted)
                if content["identity"] in ("", self._identity) or not self._identity:
                    found[partition] = str(content["position"])
        return found

    def _start_anew(self, stream: EventStream) -> None:
        """Read a stream that was made again from its start: what was noted is of the one before."""
        for partition in stream.lag().behind:
            noted = self._notes.get(self._note(partition))
            if noted is not None and json.loads(noted)["identity"] not in ("", self._identity):
                stream.seek({partition: None})

    def _note(self, partition: str) -> str:
        return f"stream {self.name} {partition}"
