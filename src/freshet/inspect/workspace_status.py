"""The state of a workspace: what serves, how old it is, what is due, what waits, and its runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.time import datetime_of
from freshet.core.types import AsOf
from freshet.experiments.canary import trial
from freshet.exports.delivery_lines import TargetLine, WebhookLine, target_lines, webhook_line
from freshet.inspect.release_view import Drives, artifact
from freshet.inspect.screened import Screened, screened
from freshet.stages.events import refused_sources
from freshet.stages.events.plausibility import body
from freshet.stages.events.refused_sources import Refusal
from freshet.stages.events.snapshots import Snapshot
from freshet.stages.events.snapshots import latest as latest_snapshot
from freshet.stages.prompts.workspace_wording import planner_of
from freshet.stages.tuning import Gate, gates_of
from freshet.stages.tuning.gate_verdict import report_of
from freshet.storage.durable import read_json
from freshet.storage.lease import is_held
from freshet.storage.manifests import TableManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace
from freshet.streaming import SeenStream, seen_streams


@dataclass(frozen=True, slots=True)
class LogSize:
    """The log: events, days with events, first and last of them, rows that were refused."""

    events: int
    days: int
    first: str | None
    last: str | None
    quarantined: int


@dataclass(frozen=True, slots=True)
class Due:
    """A path that `freshet run` would take now, and why."""

    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that a gate halted: what it waits for a decision on."""

    run: str
    kind: str
    version: str
    message: str


@dataclass(frozen=True, slots=True)
class CanaryLine:
    """A release that serves some users first: its number, their share, since and until when (ISO, UTC)."""

    release: int
    share: float
    since: str
    until: str


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a workspace.

    Attributes:
        behind_days: days of the log that the current release has not seen, with those of the newest source
            offered where it was refused; None where only that one is missing, and its days aren't known to be
            newer.
        age_days: days between the current release's moment and today.
        running: a run is writing now.
        cut_short: trained artifacts behind the current release whose training the clock ended.
        gates: those of the current release's model, as judged under today's `[gates]`; none where it was not.
        exports: which release each target of `[export]` has; `webhook`: what it was told, None without one.
        canary: the release that is tried on some users, None where there is none.
        screen: what was held back when the current release was made, None where nobody screened.
        streams: that the log has read from, and how far it was behind them.
    """

    release: Release | None
    behind_days: int | None
    age_days: int | None
    log: LogSize
    due: tuple[Due, ...]
    waiting: tuple[Waiting, ...]
    running: bool
    drives: Drives | None
    cut_short: tuple[str, ...]
    gates: tuple[Gate, ...]
    exports: tuple[TargetLine, ...] = ()
    webhook: WebhookLine | None = None
    streams: tuple[SeenStream, ...] = ()
    canary: CanaryLine | None = None
    screen: Screened | None = None


def status(ws: Workspace, today: date) -> Status:
    """The state of a workspace on a day."""
    snapshot = latest_snapshot(ws.root)[1]
    release = ws.releases.current()
    latest = body(snapshot.days)[-1].day + timedelta(days=1) if snapshot.days else None
    refused = refused_sources.pending(ws)
    made = artifact(ws, "tables", release.table) if release else None
    as_of = AsOf.parse(release.as_of).day if release else None
    return Status(
        release,
        _behind(latest, as_of, refused) if latest and as_of else None,
        (today - as_of).days if as_of else None,
        _size(ws, snapshot),
        (*_refused(refused), *_due(ws, release, latest)),
        _waiting(ws),
        is_held(ws.root / "LEASE"),
        Drives.of(read_json(made.path / "mixture.json")) if made else None,
        cut_short(ws, release) if release else (),
        _gates(ws, release.model) if release else (),
        target_lines(ws, release),
        webhook_line(ws),
        seen_streams(ws),
        _canary(ws),
        screened(ws, release),
    )


def _canary(ws: Workspace) -> CanaryLine | None:
    one = trial.running(ws)
    if one is None:
        return None
    begin, end = (
        datetime_of(at).isoformat(timespec="minutes")
        for at in (one.start, trial.until(one, ws.config.canary))
    )
    return CanaryLine(trial.tried(one), one.arm(trial.CANARY).share, begin, end)


def cut_short(ws: Workspace, release: Release) -> tuple[str, ...]:
    """Trained artifacts behind a release whose training the clock ended before its own end."""

    def input_of(kind: str, version: str, name: str) -> str:
        found = ws.store.find(kind, version) if version else None
        return str(found.manifest["inputs"].get(name, "")) if found else ""

    behind = (
        ("models", release.model),
        ("sequences", input_of("tables", release.table, "sequence")),
        ("itemmodels", input_of("rankers", release.ranker, "itemmodel")),
    )
    found = [ws.store.find(kind, version) for kind, version in behind if version]
    return tuple(f"{a.kind}/{a.version}" for a in found if a is not None and a.manifest.get("stopped"))


def _behind(latest: date, as_of: date, refused: Refusal | None) -> int | None:
    if refused is None:
        return (latest - as_of).days
    offered = latest if refused.until is None else max(latest, refused.until + timedelta(days=1))
    return (offered - as_of).days or None  # what was refused is missing, whatever its days


def _refused(refused: Refusal | None) -> tuple[Due, ...]:
    if refused is None:
        return ()
    return (Due("import", f"the newest source offered was refused by run {refused.run}: {refused.why}"),)


def _gates(ws: Workspace, model: str) -> tuple[Gate, ...]:
    report = report_of(ws, model)
    return gates_of(report) if report else ()


def _size(ws: Workspace, snapshot: Snapshot) -> LogSize:
    refused = sum(map(_rows, (ws.root / "quarantine").glob("*.parquet")))
    days = [str(day.day) for day in snapshot.days]
    first, last = (days[0], days[-1]) if days else (None, None)
    return LogSize(snapshot.rows, len(days), first, last, refused)


def _rows(path: Path) -> int:
    """Of a quarantine file; 0 where it is damaged, which `freshet doctor` says."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0


def _due(ws: Workspace, release: Release | None, latest: date | None) -> tuple[Due, ...]:
    if latest is None:
        return (Due("import", "the log holds no events"),)
    if release is None:
        slow = (Due("finetune", "there is no release yet"),) if ws.tuner is not None else ()
        return (*slow, Due("refresh", "there is no release yet"))
    due = []
    why = _tuning_due(ws, release, latest)
    if why:
        due.append(Due("finetune", why))
    behind = (latest - AsOf.parse(release.as_of).day).days
    policy = ws.config.schedule.policy
    if policy != "fixed" and behind > 0 and not why:
        due.append(Due("run", f"{behind} days of events since, which the {policy} policy has not looked at"))
    elif (table := ws.store.find("tables", release.table)) and (left := TableManifest.of(table).not_asked):
        due.append(
            Due("refresh", f"{left:,} prompts were not asked: the planner was gone, or a budget spent")
        )
    elif behind >= ws.config.schedule.refresh_days:
        due.append(Due("refresh", f"{behind} days of events since, every {ws.config.schedule.refresh_days}"))
    elif why or bool(release.model) != (ws.tuner is not None):
        due.append(Due("refresh", "the planner changes"))
    return tuple(due)


def _tuning_due(ws: Workspace, release: Release, latest: date) -> str:
    """Why the slow path is due; empty if it isn't."""
    if ws.tuner is None:
        return ""
    if not release.model:
        return "the release has no model, the configuration asks for one"
    model = artifact(ws, "models", release.model)
    if not planner_of(ws, ws.tuner).items() <= model.manifest["settings"].items():
        return "the configured planner is another one"
    age = (latest - AsOf.parse(model.manifest["as_of"]).day).days
    every = ws.config.tuning.every_days
    return f"the model is {age} days old, every {every}" if age >= every else ""


def _waiting(ws: Workspace) -> tuple[Waiting, ...]:
    found = []
    for record in ws.ledger.records():
        if record.outcome == "waiting" and record.waiting:
            kind = "table" if "table" in record.waiting else "model"
            found.append(Waiting(record.id, kind, str(record.waiting[kind]), record.message))
    return tuple(found)
