"""Users' histories as bytes, and how two histories of one user become one.

`merge` is commutative, associative and idempotent, so it makes no difference in which order, how often and by
how many processes facts are remembered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.types import REMEMBERED, Fact, History

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


def told(facts: Iterable[Fact]) -> dict[bytes, History]:
    """What facts say of each user, by user; facts that aren't engagements say nothing."""
    by_user: dict[bytes, list[Fact]] = {}
    for fact in facts:
        if fact.engaged:
            by_user.setdefault(fact.user, []).append(fact)
    return {user: _history(of_user) for user, of_user in by_user.items()}


def _history(facts: list[Fact]) -> History:
    placed = [fact for fact in facts if fact.interest >= 0]
    said = History(
        np.array([fact.item for fact in facts], np.uint64),
        np.array([fact.time for fact in facts], np.int64),
        np.array([fact.interest for fact in placed], np.int32),
        np.array([fact.time for fact in placed], np.int64),
    )
    return said if len(facts) == 1 else merge(said, History.empty())


def _latest(keys: NDArray[Any], times: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Each key once, ascending, with its latest time."""
    order = np.lexsort((times, keys))
    keys, times = keys[order], times[order]
    last = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=last[:-1])
    return keys[last], times[last]
