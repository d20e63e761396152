"""Step: events that serving recorded -> the event log; what it showed -> files of impressions.

Events are recognised by their identity and files of impressions are named by where they begin, so that a run
killed between writing and noting it does no harm: the next one writes the same again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.config import Columns, Events
from freshet.core.errors import ArtifactError
from freshet.core.ports import Journal, UserStore
from freshet.core.safe_names import checked
from freshet.core.time import date_of
from freshet.core.types import TRANSITION, AsOf, Entry, user_number
from freshet.experiments.measurement.experiment_metrics import IMPRESSION
from freshet.experiments.measurement.frozen_rules import kept_columns
from freshet.experiments.measurement.impression_files import IMPRESSIONS, SHOWN
from freshet.stages import events
from freshet.storage.durable import make_folder, written
from freshet.storage.ledger import Run
from freshet.storage.user_ids import people_of
from freshet.storage.workspace import DRAFTS, Workspace

BATCH = 100_000
"""Entries in memory at a time."""

COLUMNS = Columns(user="user", item="item", time="time", value="value", id="id")


@dataclass(frozen=True, slots=True)
class Collected:
    """What came in.

    Attributes:
        events: taken from the journal; `added` are new to the log, `duplicates` and `quarantined` are not.
        impressions: taken from their journal.
        forgotten: entries of the journal of events that no release needs any more.
    """

    events: int
    added: int
    duplicates: int
    quarantined: int
    impressions: int
    forgotten: int


def collect(ws: Workspace, run: Run, users: UserStore, now: datetime) -> Collected:
    """Take what serving recorded and what it showed since the last time, until this call.

    Raises:
        StateError: the user store can't be read or written; what was collected before that stays.
        Busy: another import finished meanwhile.
    """
    with run.step("collect") as step:
        reports = list(_import(ws, users, now, run))
        shown = _write_impressions(ws, users, run)
        found = Collected(
            events=sum(report.rows_read for report in reports),
            added=sum(report.added for report in reports),
            duplicates=sum(report.duplicates for report in reports),
            quarantined=sum(sum(report.quarantined.values()) for report in reports),
            impressions=shown,
            forgotten=_trim_events(ws, users),
        )
        step.details = {name: getattr(found, name) for name in found.__slots__}
    return found


def _import(ws: Workspace, users: UserStore, now: datetime, run: Run) -> Iterator[events.ImportReport]:
    """Import the journal's events behind the last one collected."""
    settings = ws.config.events.model_copy(update={"columns": COLUMNS, "time_format": "iso"})
    log, columns = events.EventLog(ws.source), kept_columns(ws)
    progress, done = run.progress("collect"), 0
    for entries in _new(users, users.events, "events"):
        draft = ws.root / DRAFTS / f"collected-{uuid4().hex[:8]}.parquet"
        make_folder(draft.parent)
        try:
            pq.write_table(_event_table(entries, settings, columns), draft)
            yield log.import_events(draft, settings, now=now, keep=columns, refuse=False, stored=True)
        finally:
            draft.unlink(missing_ok=True)
        _note(users, "events", entries[-1].position)
        done += len(entries)
        progress(done, done)


def _event_table(entries: list[Entry], settings: Events, kept: Collection[str]) -> pa.Table:
    """Events as rows; columns that rules read come from those that the client sent beside them."""
    bodies = [json.loads(entry.body[TRANSITION.itemsize :]) for entry in entries]
    own = {"id", "user", "item", "time", "value", IMPRESSION}
    further = sorted(events.parse(settings.positive).columns.union(kept) - own)
    text = {name: [_text(one["columns"].get(name)) for one in bodies] for name in further}
    return pa.table(
        {
            **{
                name: pa.array([one[name] or None for one in bodies], pa.string())
                for name in ("id", IMPRESSION)
            },
            **{name: pa.array([one[name] for one in bodies], pa.string()) for name in ("user", "item")},
            "time": pa.array([one["time"] for one in bodies], pa.timestamp("us", "UTC")),
            "value": pa.array([one["value"] for one in bodies], pa.float64()),
            **{name: pa.array(cells, pa.string()) for name, cells in text.items()},
        }
    )


def _text(cell: Any) -> str | None:
    return None if cell is None else str(cell)


def _write_impressions(ws: Workspace, users: UserStore, run: Run) -> int:
    """Write what was shown behind the last that was written; returns how many answers."""
    _trim_collected(users)  # what a run killed before its trimming has left
    name, count, people = _name(users), 0, people_of(ws.source).as_stored()
    progress = run.progress("impressions")
    for entries in _new(users, users.impressions, IMPRESSIONS):
        shown = [json.loads(entry.body) for entry in entries]
        shown = [one for one in shown if not (one["user"] and people.refuses(one["user"], one["time"]))]
        start = _noted(users, IMPRESSIONS)
        for day, answers in groupby(sorted(shown, key=_day), key=_day):
            rows = [row for answer in answers for row in _rows(answer)]
            path = ws.source / IMPRESSIONS / f"date={day}" / f"{name}-{start:015d}.parquet"
            with written(path) as aside:
                pq.write_table(pa.Table.from_pylist(rows, SHOWN), aside, compression="zstd")
        _note(users, IMPRESSIONS, entries[-1].position)
        count += len(entries)
        progress(count, count)
    _trim_collected(users)
    return count


def _rows(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {
        name: answer[name] for name in ("id", "time", "user", "release", "context", "answered", "explored")
    }
    shared |= {name: answer.get(name, "") for name in ("experiment", "arm")}  # older servers have none
    shared["user_key"] = user_number(answer["user"]) if answer["user"] else 0
    for place, offer in enumerate(answer["interests"]):
        own = {name: offer[name] for name in ("score", "propensity", "reason", "items")}
        yield shared | own | {"place": place, "interest": offer["id"]}


def _day(answer: dict[str, Any]) -> str:
    return date_of(answer["time"]).isoformat()


def _trim_collected(users: UserStore) -> None:
    users.impressions.trim(_noted(users, IMPRESSIONS))


def _trim_events(ws: Workspace, users: UserStore) -> int:
    """Trim events that are in the log and older than this release and the one before; returns how many.

    The live overlay is made anew from those since the release's moment, so they stay; after a rollback too.
    """
    since = _needed_since(ws)
    if since is None:
        return 0
    collected = _noted(users, "events")
    upto = count = 0
    while entries := users.events.read(upto, BATCH):
        for entry in entries:
            if entry.position > collected or _time(entry) >= since:
                break
            upto, count = entry.position, count + 1
        else:
            continue
        break
    users.events.trim(upto)
    return count


def _needed_since(ws: Workspace) -> int | None:
    """The oldest moment of the current release, the one before and those of running arms; None before any."""
    release = ws.releases.current()
    if release is None:
        return None
    days = [release.as_of]
    if release.previous is not None:
        with suppress(ArtifactError):  # one that was damaged or set aside can't be gone back to
            days.append(ws.releases.get(release.previous).as_of)
    for experiment in ws.experiments.running():  # their live signals are made anew at a restart, too
        for arm in experiment.arms:
            with suppress(ArtifactError):
                number = arm.serves.release or ws.experiments.pointer(experiment, arm.name)
                days.append(ws.releases.get(number).as_of)
    return AsOf.parse(min(days)).microseconds


def _time(entry: Entry) -> int:
    return int(np.frombuffer(entry.body, TRANSITION, 1)["time"][0])


def _new(users: UserStore, journal: Journal, name: str) -> Iterator[list[Entry]]:
    """Entries behind the noted position, a batch at a time; the caller notes each batch when it is safe.

    The end is fixed at the start: what comes meanwhile is for the next time, or there would be none.
    """
    end = journal.end()
    while (after := _noted(users, name)) < end:
        entries = [entry for entry in journal.read(after, min(BATCH, end - after)) if entry.position <= end]
        if not entries:  # others have collected and trimmed them
            return
        yield entries


def _noted(users: UserStore, name: str) -> int:
    return int(users.notes.get(f"collected {name}") or 0)


def _note(users: UserStore, name: str, position: int) -> None:
    users.notes.put(f"collected {name}", str(position).encode())


def _name(users: UserStore) -> str:
    """Names this state in names of files: the positions of another one start at 1 as well."""
    if (name := users.notes.get("name")) is None:
        name = uuid4().hex[:8].encode()
        users.notes.put("name", name)
    return checked(name.decode(errors="backslashreplace"), "name of a state")
