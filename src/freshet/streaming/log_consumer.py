"""Reads a stream into the log: batches and how far they go enter it together, so that nothing does so twice.

Offsets that count are those in the log's newest snapshot. A batch enters only where the log still ends where
the batch begins; so a reader that was taken for dead, or two at a time, do no harm. While another run holds
the workspace, the batch waits, at most `batch_rows` messages of it; the others wait at the server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

from freshet.core.config import StreamConfig
from freshet.core.errors import (
    Busy,
    FreshetError,
    StoreUnreachable,
    StreamGap,
    StreamMoved,
    StreamUnreachable,
)
from freshet.core.ports import EventStream, Gap, Polled, Start
from freshet.experiments.measurement.frozen_rules import kept_columns
from freshet.stages.events import Batch, BatchReport, EventLog, StreamState, first_day
from freshet.stages.events.pruning import prune
from freshet.storage.workspace import Workspace
from freshet.streaming.pending_batch import PendingBatch
from freshet.streaming.stream_lag import note_lag

WAIT = 0.5
"""Seconds that one poll waits for messages."""
AGAIN = 1.0
"""Seconds between two tries while another run holds the workspace, or the server is gone."""
LOOK, RECORD = 10.0, 3600.0
"""Seconds between two looks at the lag, and between two entries in the ledger."""
PATIENCE = 60.0
"""Seconds for which a call that is to end (`once`) waits for a server."""


@dataclass(slots=True)
class Consumed:
    """What came in; read = added + duplicates + all refused.

    Attributes:
        refused: reason -> messages.
        lost: messages that the server had deleted before they were read, as far as it is known.
        batches: that were committed.
        retried: batches that others were faster with.
        snapshot: version of the log afterwards, '' where nothing came in.
    """

    read: int = 0
    added: int = 0
    duplicates: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    batches: int = 0
    retried: int = 0
    snapshot: str = ""

    def add(self, batch: Batch, report: BatchReport) -> None:
        """Count a batch that is in the log."""
        self.read += report.read
        self.added += report.added
        self.duplicates += report.duplicates
        for why, count in report.refused.items():
            self.refused[why] = self.refused.get(why, 0) + count
        self.lost += batch.lost
        self.batches += 1
        self.snapshot = report.snapshot.version


class LogConsumer:
    """Reads one stream into the log of a workspace.

    Args:
        ws: the workspace; its lease is held while a batch enters.
        settings: `[stream]`.
        open_stream: opens the stream, given where to read from.
    """

    def __init__(
        self, ws: Workspace, settings: StreamConfig, open_stream: Callable[[Start], EventStream]
    ) -> None:
        self._ws = ws
        self._settings = settings
        self._say = ws.reporter.say
        self._log = EventLog(ws.source)
        self._pending = PendingBatch(settings.batch_rows)
        self._consumed, self._recorded = Consumed(), Consumed()
        self._said: dict[str, str] = {}
        self._look_at = self._record_at = self._again_at = 0.0
        self._identity, self._ended_at, self._away_since = "", 0.0, 0.0
        self._open = open_stream

    def run(self, stop: Event, *, once: bool = False) -> Consumed:
        """Read until told to stop, or with `once` until what was there at the beginning is in the log.

        Raises:
            StreamGap: messages were deleted before they were read, and `gaps = "stop"`.
            StreamUnreachable: with `once`, the server has been gone for a minute.
            StoreUnreachable: the workspace's bucket refuses us, or with `once` has been away for a minute.
            InputError: none of many messages can be used; nothing of them was skipped.
            ConfigError: there is no such stream, or a setting of the log is wrong.
        """
        stream = self._patiently(lambda: self._open(self._start), stop)
        if stream is None:
            return self._consumed
        self._record_at = time.monotonic() + RECORD
        try:
            self._check_identity(stream)
            ends = stream.ends() if once else None
            while not stop.is_set():
                if self._turn(stream, ends):
                    break
            if len(self._pending):
                self._try_commit(stream)  # what can't enter now is read again the next time
        finally:
            self._look(stream)
            stream.close()
            self._record()
        return self._consumed

    def _turn(self, stream: EventStream, ends: Mapping[str, str] | None) -> bool:
        """Poll once, commit if it is time; whether all there was at the beginning is in the log."""
        pending = self._pending
        try:
            polled = stream.poll(pending.room, WAIT)
        except StreamUnreachable as error:
            self._wait_for(error, once=ends is not None)
            return False
        self._back("server")
        pending.forget([*polled.forget])
        for gap in polled.gaps:
            self._meet(stream, gap)
        pending.add(polled)
        is_end = ends is not None and self._at_end(stream, ends) and self._is_quiet(stream, polled)
        full = pending.room <= 0 or pending.age >= self._settings.batch_seconds or is_end
        if len(pending) and full and time.monotonic() >= self._again_at:
            self._try_commit(stream, once=ends is not None)
        if time.monotonic() >= self._look_at:
            self._look(stream)
        if time.monotonic() >= self._record_at:
            self._record()
        return is_end and not len(pending) and self._at_end(stream, ends or {})  # a seek may have gone back

    def _at_end(self, stream: EventStream, ends: Mapping[str, str]) -> bool:
        """Whether the partitions that are ours were read to the end."""
        at = {**self._pending.begun, **self._pending.reached}
        mine = {one: end for one, end in ends.items() if one in at}
        if not at:
            return not ends  # nothing was given to us yet, or there is nothing
        return all((here := at[one]) is not None and stream.reached(one, here, end)
                   for one, end in mine.items())  # fmt: skip

    def _is_quiet(self, stream: EventStream, polled: Polled) -> bool:
        """Whether nothing came meanwhile, or has been coming for so long that a call is to end."""
        self._ended_at = self._ended_at or time.monotonic()
        if time.monotonic() - self._ended_at > LOOK:
            return True
        try:
            return not polled.messages and not sum(stream.lag().behind.values())
        except StreamUnreachable:
            return False

    def _start(self, partitions: Sequence[str]) -> Mapping[str, str]:
        """Where the log ends, for partitions that were just given to us."""
        state = self._state()
        if new := [one for one in partitions if state.positions and one not in state.positions]:
            self._say(f"new partitions: {', '.join(new)}, read from their first message")
        self._pending.start(partitions, state.positions)
        if self._identity and state.identity and self._identity != state.identity:
            return {}  # these are of the stream before
        return {one: at for one, at in state.positions.items() if one in partitions}

    def _state(self) -> StreamState:
        name = f"{self._settings.kind}/{self._settings.topic}"
        return self._log.snapshot().streams.get(name, StreamState())

    def _check_identity(self, stream: EventStream) -> None:
        """Notice a stream that was deleted and made again: its offsets say nothing of the one before.

        Raises:
            StreamGap: it was, and `gaps = "stop"`.
        """
        now, known = stream.identity(), self._identity or self._state().identity
        if now and known and now != known:
            if not self._pending.begun:  # nothing was given to us yet
                return
            self._meet(stream, *(Gap(one, None, "the stream was deleted and made again")
                                 for one in self._pending.begun))  # fmt: skip
            self._pending.forget([*self._pending.begun])
            stream.seek(dict.fromkeys(self._pending.begun))
        self._identity = now or known

    def _meet(self, stream: EventStream, *gaps: Gap) -> None:
        for gap in gaps:
            many = "messages" if gap.lost is None else f"{gap.lost:,} messages"
            where = f"{stream.name}, partition {gap.partition}"
            found = f"{where}: {many} were lost before they were read: {gap.why}"
            if self._settings.gaps == "stop":
                raise StreamGap(
                    found,
                    hint='import them from elsewhere; [stream] gaps = "continue" counts them and goes on',
                )
            self._say(found)
            self._pending.skip(gap)

    def _try_commit(self, stream: EventStream, *, once: bool = False) -> None:
        """Bring the batch into the log, if nobody holds the workspace; else a little later.

        Whether a bucket that was away has it all the same, the next try sees by its positions.
        """
        try:
            self._check_identity(stream)
            if not len(self._pending):
                return
            batch = self._pending.batch(stream.name, self._identity, self._settings.message_bytes)
            with self._ws.hold("stream", tell=False):
                first_day.lift(self._ws.source, self._ws.config.retention.events_days)
                report = self._log.import_messages(
                    batch, self._ws.config.events, now=datetime.now(UTC), keep=kept_columns(self._ws)
                )
                if self._ws.bucket is None:
                    prune(self._ws.source, self._settings.keep_hours)
        except StreamMoved as error:
            self._consumed.retried += 1
            self._pending.forget([*error.positions])
            self._pending.begun |= error.positions
            stream.seek(error.positions)
        except (Busy, StreamUnreachable, StoreUnreachable) as error:
            self._put_off(error, once=once)
        else:
            self._back("workspace")
            self._away_since = 0.0
            self._pending.committed(batch)
            self._consumed.add(batch, report)
            stream.tell(batch.reached)
            self._report(batch, report)
            note_lag(self._ws, stream.name, {}, report.last)

    def _put_off(self, error: FreshetError, *, once: bool) -> None:
        """Try again later; raises where a bucket refuses us, or a call that is to end has waited long."""
        self._tell_once("workspace", f"{error.message}: {len(self._pending):,} messages wait")
        self._again_at = time.monotonic() + AGAIN
        if isinstance(error, StoreUnreachable):
            self._away_since = self._away_since or time.monotonic()
            if not error.retryable or (once and time.monotonic() - self._away_since > PATIENCE):
                raise error

    def _report(self, batch: Batch, report: BatchReport) -> None:
        for note in report.notes:
            self._tell_once(note, f"note: {note}")
        refused = "".join(f", {count:,} refused: {why}" for why, count in report.refused.items())
        self._say(f"{batch.name}: {report.added:,} events, {report.duplicates:,} duplicates{refused}")

    def _look(self, stream: EventStream) -> None:
        self._look_at = time.monotonic() + LOOK
        with suppress(StreamUnreachable):
            behind = dict(stream.lag().behind)
            for partition, count in self._pending.counts.items():  # read, and not in the log yet
                behind[partition] = behind.get(partition, 0) + count
            note_lag(self._ws, stream.name, behind, None)

    def _record(self) -> None:
        """Put what came in since the last time into the ledger; the log itself has the sums."""
        self._record_at = time.monotonic() + RECORD
        now, before = self._consumed, self._recorded
        if now.batches == before.batches:
            return
        with suppress(Busy, StoreUnreachable), self._ws.run("stream") as run, run.step("stream") as step:
            step.details = {
                "stream": f"{self._settings.kind}/{self._settings.topic}",
                "read": now.read - before.read,
                "added": now.added - before.added,
                "duplicates": now.duplicates - before.duplicates,
                "quarantined": sum(now.refused.values()) - sum(before.refused.values()),
                "lost": now.lost - before.lost,
                "batches": now.batches - before.batches,
            }
            self._recorded = Consumed(
                now.read, now.added, now.duplicates, dict(now.refused), now.lost, now.batches, now.retried
            )

    def _patiently(self, call: Callable[[], EventStream], stop: Event) -> EventStream | None:
        """Open it, again and again for a minute; None where it was told to stop meanwhile."""
        until = time.monotonic() + PATIENCE
        while not stop.is_set():
            try:
                return call()
            except StreamUnreachable as error:
                if time.monotonic() >= until:
                    raise
                self._tell_once("server", error.message)
                stop.wait(AGAIN)
        return None

    def _wait_for(self, error: StreamUnreachable, *, once: bool) -> None:
        if "gone since" not in self._said:
            self._said["gone since"] = str(time.monotonic())
        if once and time.monotonic() - float(self._said["gone since"]) > PATIENCE:
            raise error
        self._tell_once("server", f"{error.message}; {error.hint}")
        time.sleep(AGAIN)

    def _tell_once(self, what: str, text: str) -> None:
        if what not in self._said:
            self._said[what] = text
            self._say(text)

    def _back(self, what: str) -> None:
        """What was in the way is not any more."""
        self._said.pop("gone since", None) if what == "server" else None
        if self._said.pop(what, None) is not None:
            self._say(f"the {what} is back")
