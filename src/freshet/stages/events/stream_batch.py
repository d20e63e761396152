"""A batch of messages on its way into the log: where it begins, where it ends, and when it must not enter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from freshet.core.errors import InputError, StreamMoved
from freshet.core.ports import Message
from freshet.stages.events.first_day import ON_PURPOSE
from freshet.stages.events.message_staging import StagedMessages
from freshet.stages.events.snapshots import Snapshot
from freshet.stages.events.stream_state import Streams, StreamState

HOPELESS = 100
"""Messages of which none can be used are wrong settings; fewer may be somebody's mistake."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of a stream.

    Attributes:
        name: of the stream.
        identity: of this very stream, '' = unknown.
        begun: partition -> position in the log behind which these messages follow, None = from the first one.
        reached: partition -> position behind the last of them.
        most_bytes: larger bodies are refused.
        lost: messages that the server had deleted before they were read.
    """

    name: str
    identity: str
    begun: Mapping[str, str | None]
    reached: Mapping[str, str]
    messages: Sequence[Message]
    most_bytes: int
    lost: int = 0

    def check(self, streams: Streams) -> None:
        """Refuse messages that don't follow what is in the log: others were there, or are.

        Raises:
            StreamMoved: with the positions that the log has.
        """
        held = streams.get(self.name, StreamState()).positions
        moved = {one: held.get(one) for one, begun in self.begun.items() if held.get(one) != begun}
        if moved:
            raise StreamMoved(
                f"{self.name}: others have read on in partition {', '.join(sorted(moved))} meanwhile", moved
            )

    def refuse_hopeless(self, found: StagedMessages) -> None:
        """Refuse to fill the quarantine with a whole stream.

        Raises:
            InputError: none of many messages can be used.
        """
        reasons = {why: count for why, count in found.reasons.items() if why not in ON_PURPOSE}
        wanted = len(self.messages) - sum(found.reasons.get(why, 0) for why in ON_PURPOSE)
        if sum(reasons.values()) < wanted or wanted < HOPELESS:
            return
        main = max(reasons, key=lambda why: reasons[why])
        message, _, raw = next(one for one in found.refused if one[1] == main)
        listed = ", ".join(f"{why}: {count:,}" for why, count in reasons.items())
        raise InputError(
            f"{self.name}: none of {wanted:,} messages can be used ({listed}); such as partition "
            f"{message.partition}, offset {message.offset}{': ' + raw[:300] if found.shown else ''}",
            hint="set [events.columns] and [events] time_format as the messages are; nothing was skipped",
        )

    def after(self, streams: Streams, added: int, good: int, refused: int) -> Streams:
        """The log's streams with this batch; `good` rows came in, of which `added` are new."""
        state = streams.get(self.name, StreamState())
        moved = state.advanced(
            self.identity,
            self.reached,
            added=added,
            duplicates=good - added,
            refused=refused,
            lost=self.lost,
        )
        return {**streams, self.name: moved}


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What became of a batch; read = added + duplicates + all refused.

    Attributes:
        refused: reason -> messages.
        notes: what was assumed.
        last: time of its latest event (UTC, no zone).
        snapshot: the log afterwards.
    """

    read: int
    added: int
    duplicates: int
    refused: dict[str, int]
    notes: tuple[str, ...]
    last: datetime | None
    snapshot: Snapshot
