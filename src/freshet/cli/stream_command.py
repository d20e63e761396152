"""`freshet stream`: events from Kafka or Redis Streams into the log."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, answer, opened

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.streaming import Consumed


def stream(
    once: Annotated[
        bool, typer.Option("--once", help="End when what is there now is in the log, as from cron.")
    ] = False,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Bring events from the stream of [stream] into the log, each exactly once, until told to stop.

    SIGTERM and Ctrl-C finish the batch. Killed in any other way, it goes on where the log ends.
    """
    from freshet.streaming import LogConsumer
    from freshet.wiring_streams import open_stream

    with opened(workspace) as ws, _told_to_stop() as stop:
        settings = ws.config.stream
        group = None if once else settings.group
        consumer = LogConsumer(ws, settings, lambda start: open_stream(settings, start, group))
        found = consumer.run(stop, once=once)
    content = document("stream", {"stream": f"{settings.kind}/{settings.topic}", **asdict(found)})
    answer(content, as_json, lambda console: _show(console, found))


@contextmanager
def _told_to_stop() -> Iterator[Event]:
    """Set by SIGTERM and SIGINT; a second one ends the process as usual."""
    stop = Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show(console: Console, found: Consumed) -> None:
    console.print(
        f"{found.read:,} messages in {found.batches:,} batches: {found.added:,} events, "
        f"{found.duplicates:,} duplicates, {sum(found.refused.values()):,} refused"
    )
    for why, count in found.refused.items():
        console.print(f"  quarantined: {count:,}, {why}")
    if found.lost:
        console.print(f"  lost before they were read: {found.lost:,}")
