"""What every event stream promises."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from freshet.core.ports import EventStream, Message, Polled, Start

_PATIENCE = 60.0
"""Seconds for which messages that were sent may take to come."""


def check_event_stream(open_stream: Callable[[Start], EventStream], send: Callable[[bytes], None]) -> None:
    """Run an empty stream through its port's contract; leaves messages behind.

    Args:
        open_stream: opens one and the same stream, with all its partitions; called several times.
        send: adds a message with a body, which is there when it returns.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    given: list[str] = []
    stream = open_stream(lambda partitions: given.extend(partitions) or {})  # type: ignore[func-returns-value]
    try:
        assert not stream.poll(10, 0.01).messages, "an empty stream has messages"
        assert stream.ends() == {}, "an empty stream has ends"
        assert given, "nothing was asked of where to begin"
        bodies = [f'{{"n": {number}}}'.encode() for number in range(7)]
        for body in bodies:
            send(body)
        first = _read(stream, 3)
        assert len(first) <= 3, "more messages than were wanted"
        found = first + _read(stream, 7 - len(first))
        _check_order(found, bodies)
        assert stream.identity() == stream.identity(), "the identity changes"
        assert not stream.poll(0, 0.01).messages, "messages came that nobody wanted"
        assert sum(stream.lag().behind.values()) == 0, "behind, with all read"
        _check_ends(stream, found)
        _check_seek(stream, found)
    finally:
        stream.close()
    _check_resumed(open_stream, found)


def _check_order(found: Sequence[Message], bodies: Sequence[bytes]) -> None:
    read = [message.body for message in found]
    assert sorted(str(body) for body in read) == sorted(map(str, bodies)), f"read {read}, sent {bodies}"
    for partition in {message.partition for message in found}:
        own = [bodies.index(one.body or b"") for one in found if one.partition == partition]
        assert own == sorted(own), f"partition {partition} is out of order"


def _check_ends(stream: EventStream, found: Sequence[Message]) -> None:
    last = _last(found)
    for partition, end in stream.ends().items():
        assert stream.reached(partition, last[partition], end), (
            f"partition {partition}: the end is not reached"
        )
        firsts = [one.position for one in found if one.partition == partition]
        if len(firsts) > 1:
            assert not stream.reached(partition, firsts[0], last[partition]), "the first message is the end"


def _check_seek(stream: EventStream, found: Sequence[Message]) -> None:
    """Reading goes on where it is told to."""
    stream.seek(dict.fromkeys(_last(found)))
    again = _read(stream, len(found))
    assert _keys(again) == _keys(found), "read again from the start, it is something else"
    middle = {one.partition: one.position for one in found[:3]}
    rest = [one for one in found if one not in found[:3]]
    stream.seek({**dict.fromkeys(_last(found)), **middle})
    assert _keys(_read(stream, len(rest))) == _keys(rest), "read on from the middle, it is something else"


def _check_resumed(open_stream: Callable[[Start], EventStream], found: Sequence[Message]) -> None:
    """A position is all that is needed to go on in another process."""
    middle: Mapping[str, str] = {one.partition: one.position for one in found[:4]}
    stream = open_stream(lambda _: middle)
    try:
        rest = [one for one in found if one not in found[:4]]
        assert _keys(_read(stream, len(rest))) == _keys(rest), "opened in the middle, it is something else"
        assert not stream.poll(10, 0.01).messages, "something is read twice"
    finally:
        stream.close()


def _read(stream: EventStream, count: int) -> list[Message]:
    found: list[Message] = []
    until = time.monotonic() + _PATIENCE
    while len(found) < count and time.monotonic() < until:
        polled: Polled = stream.poll(count - len(found), 0.2)
        assert not polled.gaps, f"gaps in a whole stream: {polled.gaps}"
        found += polled.messages
    assert len(found) == count, f"{len(found)} messages came, not {count}"
    return found


def _last(found: Sequence[Message]) -> dict[str, str]:
    return {one.partition: one.position for one in found}


def _keys(found: Sequence[Message]) -> list[tuple[str, str, bytes | None]]:
    return sorted((one.partition, one.offset, one.body) for one in found)
