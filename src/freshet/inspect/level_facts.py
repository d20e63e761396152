"""What service levels are judged by, gathered once: a look at few files, and no part of a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from freshet.core.errors import ArtifactError, FreshetError
from freshet.core.types import AsOf
from freshet.exports.delivery_lines import TargetLine, WebhookLine, target_lines, webhook_line
from freshet.inspect.freshness import Freshness, freshness
from freshet.inspect.job_listing import ScheduleView, schedule_view
from freshet.inspect.live_state import Live
from freshet.stages.events import snapshots
from freshet.stages.events.plausibility import body
from freshet.storage import rollback
from freshet.storage.ledger import Record
from freshet.storage.manifests import ModelManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace
from freshet.streaming import SeenStream, seen_streams

RUNS = 500
"""Runs looked at, the latest ones, at least."""
FAR = timedelta(days=400)
"""Those since then are all looked at: one may wait for a person behind many collects."""
PATHS = ("run", "refresh", "finetune")
"""Commands that keep what serves fresh."""
SET_ASIDE = timedelta(days=7)
"""How long what was set aside as damaged is news."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run as far as levels need it; `ended` by the ledger, `outcome` as `Workspace.outcome` has it."""

    id: str
    command: str
    outcome: str
    message: str
    started: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Facts:
    """A workspace at a moment.

    Attributes:
        release: that serves; `evidence`, `model`: moments they know the log up to, None without them.
        looked: the last moment at which a policy found the evidence still good.
        log_end: the midnight after the newest day of the log; None while it is empty.
        attempts: runs of `PATHS` that have ended, newest first, but for those that somebody stopped;
            `waiting`: for review, newest first.
        live: None where nobody was asked.
        missing: parts of the release, and records of runs, that are not there or can't be read;
            `set_aside`: as damaged, lately.
        held: why a guardrail lets nothing be published, '' where none does.
        schedule: what runs by itself; None where that can't be told.
    """

    now: datetime
    release: Release | None
    evidence: datetime | None
    looked: datetime | None
    model: datetime | None
    log_end: datetime | None
    freshness: Freshness | None
    attempts: tuple[Run, ...]
    waiting: tuple[Run, ...]
    live: Live | None
    streams: tuple[SeenStream, ...]
    missing: tuple[str, ...]
    set_aside: tuple[str, ...]
    held: str
    targets: tuple[TargetLine, ...]
    webhook: WebhookLine | None
    schedule: ScheduleView | None

    def days_since(self, moment: datetime) -> float:
        """Days between a moment and now; 0 where it is still to come."""
        return max(0.0, (self.now - moment) / timedelta(days=1))


def gather(ws: Workspace, now: datetime, live: Live | None, measure: bool) -> Facts:
    """All facts at a moment.

    Args:
        live: of what serving remembers; None = nothing is said of it.
        measure: work out drift and loss, which takes seconds, where that was not done for this log yet.

    Raises:
        ArtifactError: the log or the ledger can't be read.
    """
    release = ws.releases.current()
    days = snapshots.latest(ws.source)[1].days
    records, unread = _records(ws, now)
    runs = [_run(ws, record) for record in records if not record.was_stopped]
    return Facts(
        now.astimezone(UTC),
        release,
        AsOf.parse(release.as_of).moment if release else None,
        _looked(records),
        _model_moment(ws, release),
        AsOf(body(days)[-1].day).plus(1).moment if days else None,
        _freshness(ws, release, measure),
        tuple(run for run in runs if run.command.split()[0] in PATHS and run.outcome != "running"),
        tuple(run for run in runs if run.outcome == "waiting"),
        live,
        seen_streams(ws),
        (*unread, *(_missing(ws, release) if release else ())),
        tuple(_set_aside(ws, now)),
        _held(ws),
        target_lines(ws, release),
        webhook_line(ws),
        _schedule(ws, now),
    )


def _records(ws: Workspace, now: datetime) -> tuple[list[Record], list[str]]:
    """The latest records that levels need, newest first, and those that can't be read."""
    found, unread = [], []
    for number, path in enumerate(reversed(ws.ledger.paths())):
        try:
            started, record = ws.ledger.digest(path, _needed)
        except ArtifactError:
            unread.append(f"runs/{path.name}")
            continue
        if number >= RUNS and datetime.fromisoformat(started) < now - FAR:
            break
        if record is not None:
            found.append(record)
    return found, unread


def _needed(record: Record) -> tuple[str, Record | None]:
    """When a run began, and its record if levels need it."""
    needed = record.command.split()[0] in PATHS or record.outcome == "waiting"
    return record.started, record if needed else None


def _held(ws: Workspace) -> str:
    try:
        return rollback.held_by_guardrail(ws)
    except ArtifactError:  # a record that can't be read, which is told by itself
        return ""


def _run(ws: Workspace, record: Record) -> Run:
    started = datetime.fromisoformat(record.started).astimezone(UTC)
    ended = started + timedelta(seconds=record.seconds)
    return Run(record.id, record.command, ws.outcome(record), record.message, started, ended)


def _looked(records: list[Record]) -> datetime | None:
    for record in records:
        for step in record.steps:
            if step.name == "cadence" and not step.failed and record.outcome == "done":
                return AsOf.parse(record.as_of).moment
    return None


def _model_moment(ws: Workspace, release: Release | None) -> datetime | None:
    made = ws.store.find("models", release.model) if release and release.model else None
    return AsOf.parse(ModelManifest.of(made).as_of).moment if made else None


def _freshness(ws: Workspace, release: Release | None, measure: bool) -> Freshness | None:
    if release is None:
        return None
    try:
        return freshness(ws, release, measure)
    except FreshetError:  # what it reads is damaged, which has a level of its own
        return None


def _schedule(ws: Workspace, now: datetime) -> ScheduleView | None:
    try:
        return schedule_view(ws, now)
    except FreshetError:  # a damaged record or pause, which is told by itself
        return None


def _missing(ws: Workspace, release: Release) -> Iterator[str]:
    """Parts without a manifest: whether files are whole is for `freshet doctor`, which reads them all."""
    for kind, version in (
        ("tables", release.table),
        ("interests", release.interests),
        ("models", release.model),
        ("overlays", release.overlay),
        ("rankers", release.ranker),
        ("feedback", release.feedback),
        ("user_rows", release.users),
    ):
        try:
            there = not version or ws.store.find(kind, version) is not None
        except ArtifactError:
            there = False
        if not there:
            yield f"{kind}/{version}"


def _set_aside(ws: Workspace, now: datetime) -> Iterator[str]:
    """What was moved to `damaged/` lately, by its path there."""
    folder = ws.root / "damaged"
    since = (now - SET_ASIDE).timestamp()
    for path in sorted(folder.glob("*/*")) if folder.is_dir() else ():
        if path.lstat().st_ctime >= since:
            yield path.relative_to(folder).as_posix()
