"""Records events: checks them, reads them as engagements, and writes them to the user store."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson
import pyarrow as pa

from freshet.core.config import Events
from freshet.core.ports import UserStore
from freshet.core.time import DAY
from freshet.core.types import TRANSITION, Fact, History
from freshet.core.types.ids import User, identity, item_key, no_ids
from freshet.serving.messages import Event, Receipt
from freshet.serving.open_release import OpenRelease
from freshet.stages.events import Rule, parse
from freshet.storage.sql import connect
from freshet.storage.user_ids import FORGOTTEN, NOBODY, People

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

    def __call__(self, events: Sequence[Event]) -> list[bool]:
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
        self._db.register("events", pa.table(columns))
        found = self._db.sql(f"SELECT {self.rule.sql} FROM events").fetchall()
        self._db.unregister("events")
        return [bool(positive) for (positive,) in found]


def _value(event: Event, name: str) -> object:
    own = {"user": event.user, "item": event.item, "value": event.value}
    return own.get(name, event.columns.get(name))


class EventRecorder:
    """Turns events into facts and writes them to the user store, one call at a time."""

    def __init__(self, store: UserStore, config: Events) -> None:
        self._store = store
        self._positive = Positive(parse(config.positive))
        self._missing = no_ids(config.missing)
        # a user's events must be read against a history that no other call is changing
        self._lock = threading.Lock()

    def configure(self, config: Events) -> None:
        """Read events by changed settings from the next call on."""
        self._missing = no_ids(config.missing)
        if config.positive != self._positive.rule.text:
            self._positive = Positive(parse(config.positive))

    def record(
        self,
        release: OpenRelease,
        events: Sequence[Event],
        now: int,
        oldest_days: float = math.inf,
        people: People = NOBODY,
    ) -> list[Receipt]:
        """Remember events durably.

        Args:
            now: microseconds since 1970 (UTC); the time of events that have none.
            oldest_days: how far back an event may lie.
            people: by which names users are remembered, and who is refused.

        Raises:
            StateError: the user store can't be written; nothing of the call was remembered.
        """
        timed = [self._completed(event, now) for event in events]
        refused = [self._problem(event, now, oldest_days) for event in timed]
        refused = [why or _gone(event, people) for event, why in zip(timed, refused, strict=True)]
        good = [event for event, why in zip(timed, refused, strict=True) if not why]
        if people.hashed:
            good = [replace(event, user=people.stored(event.user)) for event in good]
        with self._lock:
            new = iter(self._store.record(self._facts(release, good)) if good else ())
        return [
            Receipt("refused", why) if why else Receipt("recorded" if next(new) else "duplicate")
            for why in refused
        ]

    def _completed(self, event: Event, now: int) -> Event:
        """An event with a time, and without an id that stands for none: each would repeat the one before."""
        if event.time is None:
            event = replace(event, time=now)
        return replace(event, id="") if event.id and event.id.lower() in self._missing else event

    def _problem(self, event: Event, now: int, oldest_days: float) -> str:
        """Why an event is refused, '' if it isn't; what an import would put in quarantine is refused."""
        for what, id in (("user", event.user), ("item", event.item)):
            if id.lower() in self._missing:
                none = f"{id!r}, which stands for none ([events] missing)"
                return f"the {what} is {none if id else 'empty'}"
        return _problem(event, now, oldest_days)

    def _facts(self, release: OpenRelease, events: Sequence[Event]) -> list[Fact]:
        users = [User.of(id) for id in dict.fromkeys(event.user for event in events)]
        histories = self._store.histories([user.key for user in users])
        known = {user.id: _Known.of(user, history) for user, history in zip(users, histories, strict=True)}
        facts = []
        for event, engaged in zip(events, self._positive(events), strict=True):
            assert event.time is not None
            user = known[event.user]
            index = release.items.get(event.item, -1)
            interest = int(release.interests.ids[index]) if index >= 0 else -1
            last = successor = -1
            if engaged and interest >= 0:
                last, successor = user.transition(release, event.time, interest)
                user.engage(interest, event.time)
            facts.append(
                Fact(
                    identity(event.id or None, event.user, event.item, event.time),
                    user.user.key,
                    item_key(event.item),
                    interest,
                    event.time,
                    engaged,
                    body_of(event, user.user, last, successor),
                )
            )
        return facts


@dataclass
class _Known:
    """A user, and when they engaged each interest last, by stable id, as a call goes on."""

    user: User
    times: dict[int, int]

    @classmethod
    def of(cls, user: User, history: History) -> _Known:
        return cls(user, dict(zip(history.interests.tolist(), history.interest_times.tolist(), strict=True)))

    def engage(self, interest: int, time: int) -> None:
        self.times[interest] = max(time, self.times.get(interest, time))

    def transition(self, release: OpenRelease, time: int, interest: int) -> tuple[int, int]:
        """(last interest, successor) by stable id as far as the event is a transition, each -1 where not.

        An event that comes late is read against what was engaged before its own time, as far as is known.
        """
        earlier = {interest: when for interest, when in self.times.items() if when < time}
        if interest in self.times and time - self.times[interest] <= release.horizon:
            return -1, -1
        ids = np.fromiter(earlier.keys(), np.int32, len(earlier))
        when = np.fromiter(earlier.values(), np.int64, len(earlier))
        seen = release.user_context(ids, when, time, self.user.number)
        last = int(seen.recent[-1])
        return int(release.interests.ids[last]) if last >= 0 else -1, interest


def body_of(event: Event, user: User, last: int, successor: int) -> bytes:
    """The journal's entry of an event: its transition, then the event itself as JSON."""
    assert event.time is not None
    transition = np.array([(event.time, user.number, last, successor)], TRANSITION)
    document = {
        "user": event.user,
        "item": event.item,
        "time": event.time,
        "value": float(event.value),
        "id": event.id,
        "impression": event.impression,
        "columns": dict(event.columns),
    }
    return transition.tobytes() + orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _gone(event: Event, people: People) -> str:
    assert event.time is not None
    return FORGOTTEN if people.refuses(event.user, event.time) else ""


def _problem(event: Event, now: int, oldest_days: float) -> str:
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
