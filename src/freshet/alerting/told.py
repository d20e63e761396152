"""Who was told of what: `alerts/told.json` of a workspace.

That somebody is being told is noted before it is tried, and that it went well after it. A process that is
killed between the two tells once more; and who may have heard of a beginning hears of the end.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from freshet.core.errors import ArtifactError
from freshet.core.types.alerts import Alert, Notice
from freshet.storage.durable import make_folder, read_json, write_text

FOLDER = "alerts"
_FILE = "told.json"
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(minutes=30)
"""How long a receiver that took nothing is left alone: doubled from try to try."""
KEPT_ENDED = timedelta(days=7)
"""How long a receiver that is away is still to be told of an end."""


@dataclass(frozen=True, slots=True)
class Told:
    """That a receiver was told.

    Attributes:
        at: when it was told last that the alert fires; None where it is not known to have heard of it.
        times: how often.
        ended: it was told of the end.
    """

    at: datetime | None
    times: int
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """An alert that fires, or whose end is still to be told; `told` by name of the receiver."""

    alert: Alert
    told: dict[str, Told] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A receiver that took nothing: how often, why the last time, and when it is tried again."""

    tries: int
    why: str
    next_try: datetime


@dataclass(frozen=True, slots=True)
class State:
    """All that is remembered: alerts by name, receivers in trouble by theirs."""

    alerts: dict[str, Known] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)

    def note(self, firing: Sequence[Alert], now: datetime) -> State:
        """What fires now, and what has ended: with the beginning that was noted first."""
        found: dict[str, Known] = {}
        for one in firing:
            before = self.alerts.get(one.name)
            if before is None or before.alert.ended is not None or before.alert.labels != one.labels:
                found[one.name] = Known(one)
            else:
                found[one.name] = replace(before, alert=replace(one, since=before.alert.since))
        for name, known in self.alerts.items():
            if name in found:
                continue
            ended = known if known.alert.ended is not None else _ended(known, now)
            late = ended.alert.ended is not None and now - ended.alert.ended > KEPT_ENDED
            if not late and any(not told.ended for told in ended.told.values()):
                found[name] = ended
        return replace(self, alerts=found)

    def due(self, receiver: str, every_look: bool, repeat: timedelta, now: datetime) -> list[Notice]:
        """What a receiver is to be told now; nothing while it is left alone."""
        trouble = self.troubles.get(receiver)
        if trouble is not None and now < trouble.next_try <= now + LONGEST_WAIT:  # else a clock was set back
            return []
        found = []
        for known in self.alerts.values():
            told = known.told.get(receiver)
            times = 0 if told is None else told.times
            if known.alert.ended is not None:
                if told is not None and not told.ended:
                    found.append(Notice(known.alert, times))
            elif told is None or told.at is None or every_look or not told.at <= now < told.at + repeat:
                found.append(Notice(known.alert, times))
        return found

    def telling(self, receiver: str, notices: Sequence[Notice]) -> State:
        """A receiver is about to be told: from now on it may have heard."""
        alerts = dict(self.alerts)
        for notice in notices:
            known = alerts[notice.alert.name]
            told = known.told.get(receiver, Told(None, 0))
            alerts[notice.alert.name] = replace(known, told={receiver: told} | known.told)
        return replace(self, alerts=alerts)

    def took(self, receiver: str, notices: Sequence[Notice], now: datetime) -> State:
        """A receiver was told."""
        alerts = dict(self.alerts)
        for notice in notices:
            known, over = alerts[notice.alert.name], notice.alert.ended is not None
            told = Told(now, notice.number + (not over), over)
            alerts[notice.alert.name] = replace(known, told=known.told | {receiver: told})
        over_for_all = [
            name
            for name, known in alerts.items()
            if known.alert.ended is not None and all(told.ended for told in known.told.values())
        ]
        for name in over_for_all:
            del alerts[name]
        troubles = {name: one for name, one in self.troubles.items() if name != receiver}
        return State(alerts, troubles)

    def failed(self, receiver: str, why: str, now: datetime) -> State:
        """A receiver took nothing; it is left alone for a while, longer each time."""
        before = self.troubles.get(receiver)
        tries = 1 if before is None else before.tries + 1
        wait = min(FIRST_WAIT * 2 ** min(tries - 1, 20), LONGEST_WAIT)
        return replace(self, troubles=self.troubles | {receiver: Trouble(tries, why, now + wait)})

    def without_others(self, receivers: Sequence[str]) -> State:
        """The same for receivers that there still are."""
        alerts = {
            name: replace(known, told={who: one for who, one in known.told.items() if who in receivers})
            for name, known in self.alerts.items()
        }
        return State(alerts, {who: one for who, one in self.troubles.items() if who in receivers})


_READER = TypeAdapter(State)


def _ended(known: Known, now: datetime) -> Known:
    return replace(known, alert=replace(known.alert, ended=now))


def read_state(root: Path) -> State:
    """What was remembered; nothing where that can't be read: then all is told once more."""
    try:
        return _READER.validate_python(read_json(root / FOLDER / _FILE))
    except (ArtifactError, ValidationError):
        return State()


def write_state(root: Path, state: State) -> None:
    """Remember it."""
    write_text(root / FOLDER / _FILE, _READER.dump_json(state, indent=1).decode() + "\n")


@contextmanager
def alone(root: Path) -> Iterator[bool]:
    """A block in which this process tells and no other does; gives False where another one is at it."""
    make_folder(root / FOLDER)
    handle = os.open(root / FOLDER, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
