"""A release that serves some users first, and how the last such trial ended: for the dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from freshet.core.time import datetime_of
from freshet.core.types import Experiment
from freshet.experiments.canary import trial
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace

NEWS = timedelta(days=30)
"""How long the end of a trial is told."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a trial saw of one metric: the relative effect, and the interval that holds at every look."""

    metric: str
    effect: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CanaryView:
    """One trial.

    Attributes:
        release: that is tried on `share` of the users; `control` serves all others.
        since, until: begin, and latest end (ISO, UTC); `stopped`: its end, '' while it runs.
        seen, problems: what the last look found, in run `looked`; '' = nobody has looked yet.
        metrics, margin: what it must not harm; it serves everybody once harm is below this share.
        outcome: runs; back = it was taken back; all = it serves everybody; over = it ended otherwise.
        reason: why it ended.
    """

    release: int
    control: int
    share: float
    since: str
    until: str
    stopped: str
    metrics: tuple[str, ...]
    margin: float
    looked: str
    seen: tuple[Seen, ...]
    problems: tuple[str, ...]
    outcome: str
    reason: str


def canary_view(ws: Workspace, now: datetime) -> CanaryView | None:
    """The trial that runs, else the last that ended within `NEWS`; None where there is neither.

    Raises:
        ArtifactError: the file of an experiment, or a record of a run, is damaged.
    """
    found = [one for one in ws.experiments.all() if one.canary]
    last = max(found, key=lambda one: (one.running, one.start), default=None)
    if last is None or (last.stop is not None and now - datetime_of(last.stop) > NEWS):
        return None
    looked, details = _last_look(ws, last)
    settings = ws.config.canary
    return CanaryView(
        trial.tried(last),
        last.began,
        last.arm(trial.CANARY).share,
        _moment(last.start),
        _moment(trial.until(last, settings)),
        "" if last.stop is None else _moment(last.stop),
        last.metrics,
        settings.margin,
        looked,
        tuple(
            Seen(str(one["metric"]), float(one["effect"]), float(one["low"]), float(one["high"]))
            for one in details.get("judged", ())
            if one["experiment"] == last.name
        ),
        tuple(str(one) for one in details.get("problems", ())),
        _outcome(ws, last),
        last.reason,
    )


def _outcome(ws: Workspace, one: Experiment) -> str:
    if one.running:
        return "runs"
    new = trial.tried(one)
    if any(back.before == new and back.release == one.began for _, back in ws.decisions.rollbacks()):
        return "back"
    return "all" if ws.releases.pointer() == new else "over"


def _last_look(ws: Workspace, one: Experiment) -> tuple[str, Mapping[str, Any]]:
    """The run that looked at it last, with what its step `guard` found."""
    for record in _since(ws, one.start):
        for step in record.steps:
            if step.name == "guard" and any(
                found["experiment"] == one.name
                for part in ("judged", "splits")
                for found in step.details[part]
            ):
                return record.id, step.details
    return "", {}


def _since(ws: Workspace, start: int) -> Iterator[Record]:
    """Runs that began since a moment, newest first; the ledger tells the second in which each did."""
    second = datetime_of(start).replace(microsecond=0)
    for path in reversed(ws.ledger.paths()):
        record = ws.ledger.get(path.stem)
        if datetime.fromisoformat(record.started) < second:
            return
        yield record


def _moment(microseconds: int) -> str:
    return datetime_of(microseconds).isoformat(timespec="minutes")
