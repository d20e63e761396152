"""Messages that wait to enter the log: bounded, and cut where partitions are taken away."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from freshet.core.ports import Gap, Message, Polled
from freshet.stages.events import Batch

MOST_BYTES = 64_000_000
"""Of bodies in memory."""


class PendingBatch:
    """What was read and isn't in the log yet.

    Attributes:
        begun: partition that this reader holds -> position of the log behind which its messages follow.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._messages: list[Message] = []
        self._bytes = 0
        self._since = 0.0
        self._lost: dict[str, int] = {}
        self.begun: dict[str, str | None] = {}

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def room(self) -> int:
        """Messages that there is room for."""
        return 0 if self._bytes >= MOST_BYTES else self._most - len(self._messages)

    @property
    def age(self) -> float:
        """Seconds since the first message came."""
        return time.monotonic() - self._since if self._messages else 0.0

    def start(self, partitions: Sequence[str], positions: Mapping[str, str]) -> None:
        """Partitions were given to this reader; what came of them before was taken away with them."""
        self.forget(partitions)
        self.begun |= {one: positions.get(one) for one in partitions}

    def add(self, polled: Polled) -> None:
        """Add what a poll brought."""
        if polled.messages and not self._messages:
            self._since = time.monotonic()
        self._messages += polled.messages
        self._bytes += sum(len(one.body or b"") for one in polled.messages)

    def skip(self, gap: Gap) -> None:
        """Count what is lost in a gap."""
        self._lost[gap.partition] = self._lost.get(gap.partition, 0) + (gap.lost or 0)

    def forget(self, partitions: Sequence[str]) -> None:
        """Drop messages of partitions."""
        gone = frozenset(partitions)
        self._messages = [one for one in self._messages if one.partition not in gone]
        self._bytes = sum(len(one.body or b"") for one in self._messages)
        for partition in gone:
            self._lost.pop(partition, None)

    @property
    def reached(self) -> dict[str, str]:
        """Partition -> position behind its last message here."""
        return {one.partition: one.position for one in self._messages}

    @property
    def counts(self) -> dict[str, int]:
        """Partition -> messages."""
        return dict(Counter(one.partition for one in self._messages))

    def batch(self, name: str, identity: str, most_bytes: int) -> Batch:
        """All of it."""
        reached = self.reached
        begun = {one: self.begun.get(one) for one in reached}
        lost = sum(self._lost.get(one, 0) for one in reached)
        return Batch(name, identity, begun, reached, tuple(self._messages), most_bytes, lost)

    def committed(self, batch: Batch) -> None:
        """Go on behind what is in the log now."""
        self.begun |= batch.reached
        for partition in batch.reached:
            self._lost.pop(partition, None)
        self._messages, self._bytes = [], 0
