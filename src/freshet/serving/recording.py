"""Events that clients tell: checked, read as engagements, and remembered."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson
import pyarrow as pa

from freshet.core.ports import UserStore
from freshet.core.time import DAY
from freshet.core.types import TRANSITION, Fact, History
from freshet.core.types.keys import identity, item_key, user_key, user_number
from freshet.serving.asking import Posted, Receipt
from freshet.serving.opened import OpenRelease
from freshet.stages.events import Rule
from freshet.storage.sql import connect

AHEAD = DAY

KEPT = 100_000
"""Values of which it stays in memory whether they are positive."""


class Positive:
    """The positive rule, applied to single events by the engine that applies it to the log.

    Attributes:
        rule: as it was parsed.
    """

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._columns = sorted(rule.columns)
        self._known: dict[tuple[object, ...], bool] = {}
        self._db = connect()

    def __call__(self, events: Sequence[Posted]) -> list[bool]:
        """Whether each event is an engagement."""
        if not self._columns:
            return [True] * len(events)
        values = [tuple(_value(event, name) for name in self._columns) for event in events]
        new = [value for value in dict.fromkeys(values) if value not in self._known]
        if new:
            if len(self._known) > KEPT:
                self._known.clear()
                new = list(dict.fromkeys(values))
            self._known.update(zip(new, self._test(new), strict=True))
        return [self._known[value] for value in values]

    def _test(self, values: list[tuple[object, ...]]) -> list[bool]:
        columns = {
            name: pa.array([None if cell is None else str(cell) for cell in column], pa.string())
            for name, column in zip(self._columns, zip(*values, strict=True), strict=True)
        }
        self._db.register("told", pa.table(columns))
        found = self._db.sql(f"SELECT {self.rule.sql} FROM told").fetchall()
        self._db.unregister("told")
        return [bool(positive) for (positive,) in found]


def _value(event: Posted, name: str) -> object:
    own = {"user": event.user, "item": event.item, "value": event.value}
    return own.get(name, event.columns.get(name))


@dataclass
class Recorder:
    """Turns events into facts and has them remembered, one call at a time.

    Attributes:
        positive: the positive rule.
        missing: what stands for no id, as `types.ids.no_ids` has it.
        lock: a user's events must be read against a history that no other call is changing.
    """

    positive: Positive
    missing: frozenset[str]
    lock: threading.Lock

    def record(
        self,
        state: UserStore,
        release: OpenRelease,
        events: Sequence[Posted],
        now: int,
        oldest_days: float = math.inf,
    ) -> list[Receipt]:
        """Remember events durably.

        Args:
            now: microseconds since 1970 (UTC); the time of events that tell none.
            oldest_days: how far back an event may lie.

        Raises:
            StateError: the state can't be written; nothing of the call was remembered.
        """
        timed = [self._completed(event, now) for event in events]
        refused = [self._problem(event, now, oldest_days) for event in timed]
        good = [event for event, why in zip(timed, refused, strict=True) if not why]
        with self.lock:
            new = iter(state.record(self._facts(state, release, good)) if good else ())
        return [
            Receipt("refused", why) if why else Receipt("recorded" if next(new) else "duplicate")
            for why in refused
        ]

    def _completed(self, event: Posted, now: int) -> Posted:
        """An event with a time, and without an id that stands for none: each would repeat the one before."""
        if event.time is None:
            event = replace(event, time=now)
        return replace(event, id="") if event.id and event.id.lower() in self.missing else event

    def _problem(self, event: Posted, now: int, oldest_days: float) -> str:
        """Why an event is refused, '' if it isn't; what the log would put in quarantine is told at once."""
        for what, said in (("user", event.user), ("item", event.item)):
            if said.lower() in self.missing:
                none = f"{said!r}, which stands for none ([events] missing)"
                return f"the {what} is {none if said else 'empty'}"
        return _problem(event, now, oldest_days)

    def _facts(self, state: UserStore, release: OpenRelease, events: Sequence[Posted]) -> list[Fact]:
        users = list(dict.fromkeys(event.user for event in events))
        keys = {user: user_key(user) for user in users}
        known = {
            user: _Known.of(history)
            for user, history in zip(users, state.histories([keys[user] for user in users]), strict=True)
        }
        facts = []
        for event, engaged in zip(events, self.positive(events), strict=True):
            assert event.time is not None
            place = release.items.get(event.item, -1)
            interest = int(release.interests.ids[place]) if place >= 0 else -1
            last = successor = -1
            if engaged and interest >= 0:
                last, successor = known[event.user].move(release, event, place)
                known[event.user].engage(interest, event.time)
            facts.append(
                Fact(
                    identity(event.id or None, event.user, event.item, event.time),
                    keys[event.user],
                    item_key(event.item),
                    interest,
                    event.time,
                    engaged,
                    body_of(event, last, successor),
                )
            )
        return facts


@dataclass
class _Known:
    """When a user engaged each interest last, by stable id, as a call goes on."""

    times: dict[int, int]

    @classmethod
    def of(cls, history: History) -> _Known:
        return cls(dict(zip(history.interests.tolist(), history.interest_times.tolist(), strict=True)))

    def engage(self, interest: int, time: int) -> None:
        self.times[interest] = max(time, self.times.get(interest, time))

    def move(self, release: OpenRelease, event: Posted, place: int) -> tuple[int, int]:
        """(last interest, successor) by stable id as far as the event is a transition, each -1 where not.

        An event that comes late is read against what was engaged before its own time, as far as is known.
        """
        time = event.time or 0
        earlier = {interest: when for interest, when in self.times.items() if when < time}
        interest = int(release.interests.ids[place])
        if interest in self.times and time - self.times[interest] <= release.horizon:
            return -1, -1
        ids = np.fromiter(earlier.keys(), np.int32, len(earlier))
        when = np.fromiter(earlier.values(), np.int64, len(earlier))
        seen = release.recall(ids, when, time, user_number(event.user))
        last = int(seen.recent[-1])
        return int(release.interests.ids[last]) if last >= 0 else -1, interest


def body_of(event: Posted, last: int, successor: int) -> bytes:
    """The journal's entry of an event: its move, then the event itself as JSON."""
    assert event.time is not None
    move = np.array([(event.time, user_number(event.user), last, successor)], TRANSITION)
    told = {
        "user": event.user,
        "item": event.item,
        "time": event.time,
        "value": float(event.value),
        "id": event.id,
        "impression": event.impression,
        "columns": dict(event.columns),
    }
    return move.tobytes() + orjson.dumps(told, option=orjson.OPT_SERIALIZE_NUMPY)


def _problem(event: Posted, now: int, oldest_days: float) -> str:
    """Why an event is refused, '' if it isn't."""
    assert event.time is not None
    if not math.isfinite(event.value):
        return "the value is not a finite number"
    if event.time < 0:
        return "the time lies before 1970"
    if event.time > now + AHEAD:
        return "the time lies more than a day in the future: is the clock of the client right?"
    if now - event.time > oldest_days * DAY:
        limit = f"{oldest_days:g} days back ([http] oldest_event_days)"
        return f"the time lies more than {limit}: `freshet import` takes it"
    return ""
