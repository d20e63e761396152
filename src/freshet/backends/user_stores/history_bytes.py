"""Users' histories as bytes, and how two histories of one user become one.

`merge` is commutative, associative and idempotent, so it makes no difference in which order, how often and by
how many processes facts are remembered.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import REMEMBERED, Fact, History

_HEAD = struct.Struct("<II")  # items, interests


def encode(history: History) -> bytes:
    """Bytes that `decode` reads: counts, items, item times, interest times, interests; wide parts first."""
    return b"".join(
        (
            _HEAD.pack(len(history.items), len(history.interests)),
            np.asarray(history.items, "<u8").tobytes(),
            np.asarray(history.item_times, "<i8").tobytes(),
            np.asarray(history.interest_times, "<i8").tobytes(),
            np.asarray(history.interests, "<i4").tobytes(),
        )
    )


def decode(data: bytes) -> History:
    """The history whose bytes these are; its arrays are aligned and writable."""
    whole = bytearray(data)
    m, j = _HEAD.unpack_from(whole)
    times = _HEAD.size + 8 * m
    taken = times + 8 * m
    return History(
        np.frombuffer(whole, np.uint64, m, _HEAD.size),
        np.frombuffer(whole, np.int64, m, times),
        np.frombuffer(whole, np.int32, j, taken + 8 * j),
        np.frombuffer(whole, np.int64, j, taken),
    )


def merge(first: History, second: History) -> History:
    """What both say: of an item or interest the later time, of the items the last REMEMBERED."""
    items, item_times = _latest(
        np.concatenate([first.items, second.items]), np.concatenate([first.item_times, second.item_times])
    )
    order = np.lexsort((items, item_times))[-REMEMBERED:]
    interests, interest_times = _latest(
        np.concatenate([first.interests, second.interests]),
        np.concatenate([first.interest_times, second.interest_times]),
    )
    return History(items[order], item_times[order], interests, interest_times)


def engage(data: bytes | None, facts: Iterable[Fact]) -> bytes:
    """Bytes of a user's history after further engagements: as by merging, in a fraction of the time.

    Args:
        data: of the history before; None = there was none.
        facts: engagements of the user.
    """
    items, times, taken, interests = _lists(data) if data else ([], [], [], [])
    for fact in facts:
        _engage_item(items, times, fact.item, fact.time)
        if fact.interest >= 0:
            _engage_interest(interests, taken, fact.interest, fact.time)
    wide = array("Q", items).tobytes() + array("q", times).tobytes() + array("q", taken).tobytes()
    return _HEAD.pack(len(items), len(interests)) + wide + array("i", interests).tobytes()


def _lists(data: bytes) -> tuple[list[int], list[int], list[int], list[int]]:
    """Items and their times, times of interests and these."""
    m, j = _HEAD.unpack_from(data)
    times = _HEAD.size + 8 * m
    taken = times + 8 * m
    interests = taken + 8 * j
    whole = memoryview(data)
    return (
        whole[_HEAD.size : times].cast("Q").tolist(),
        whole[times:taken].cast("q").tolist(),
        whole[taken:interests].cast("q").tolist(),
        whole[interests:].cast("i").tolist(),
    )


def _engage_item(items: list[int], times: list[int], item: int, time: int) -> None:
    """Put an item in its place by (time, key); what is beyond REMEMBERED falls out."""
    if item in items:
        at = items.index(item)
        if times[at] >= time:
            return
        del items[at], times[at]
    at = bisect_right(times, time)
    while at and times[at - 1] == time and items[at - 1] > item:
        at -= 1
    items.insert(at, item)
    times.insert(at, time)
    if len(items) > REMEMBERED:
        del items[0], times[0]


def _engage_interest(interests: list[int], taken: list[int], interest: int, time: int) -> None:
    at = bisect_left(interests, interest)
    if at < len(interests) and interests[at] == interest:
        taken[at] = max(taken[at], time)
    else:
        interests.insert(at, interest)
        taken.insert(at, time)


def _latest(keys: NDArray[Any], times: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Each key once, ascending, with its latest time."""
    order = np.lexsort((times, keys))
    keys, times = keys[order], times[order]
    last = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=last[:-1])
    return keys[last], times[last]
