"""An experiment in moments: by metric, day and arm, of the day alone and of all days until then.

Out of core: impressions and events are read day by day; what is held is a few numbers per exposed user.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np

from freshet.core.ports import Progress, silent
from freshet.core.time import DAY, date_of, midnight
from freshet.core.types import Experiment
from freshet.experiments.measurement.attribution import Attributed, NamedOutcomes, attribute
from freshet.experiments.measurement.exploration_events import Explored, explored
from freshet.experiments.measurement.exposures import Exposures, database, exposures
from freshet.experiments.measurement.frozen_rules import as_started
from freshet.experiments.measurement.metrics import Kind, Metric
from freshet.experiments.measurement.reactions import Added, before, lacking, outcomes
from freshet.experiments.stats.exposed_users import Users
from freshet.experiments.stats.tally import DayMoments, Tally
from freshet.stages.events import DayFile, EventLog, body
from freshet.storage.workspace import Workspace


@dataclass(frozen=True)
class Measured:
    """What is known of an experiment.

    Attributes:
        exposures: who was shown what; its experiment's arms are the order of all moments.
        days: from the first to the last with impressions or events, ascending.
        moments: by metric, for each day.
        covariates: how many each metric has; 0 = the log holds nothing from before the start.
        events: of the log within these days.
        tallies: by metric, what each user added up to.
        named: what became of events that name an answer; None where no metric asks for them.
    """

    experiment: Experiment
    metrics: tuple[Metric, ...]
    exposures: Exposures
    days: tuple[date, ...]
    moments: dict[str, tuple[DayMoments, ...]]
    covariates: dict[str, int]
    events: int
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    named: NamedOutcomes | None = None


def measure(
    ws: Workspace,
    experiment: Experiment,
    metrics: Sequence[Metric],
    progress: Callable[[str], Progress] = lambda _: silent,
) -> Measured:
    """Measure an experiment by what was collected so far.

    Args:
        progress: gives a callback for long work under a name.

    Raises:
        NotEnoughData: nobody was exposed yet.
        ConfigError: a metric reads a column that no event has.
        ArtifactError: what was found damaged only while it was read.
    """
    log = EventLog(ws.source).snapshot().days
    with tempfile.TemporaryDirectory() as scratch, database(Path(scratch)) as db:
        shown = exposures(db, ws.source, experiment)
        for path in shown.passed_over:
            ws.reporter.say(f"{path.relative_to(ws.source)} is passed over: no readable file of impressions")
        follow = [one for one in metrics if one.kind == "events" and one.attributed]
        hours = as_started(ws.config, experiment).experiments.attribution_hours
        named = attribute(ws, db, shown, log, follow, hours) if follow else None
        return measured(ws, db, shown, log, _days(experiment, shown, log), metrics, progress, named)


def measured(
    ws: Workspace,
    db: duckdb.DuckDBPyConnection,
    shown: Exposures,
    log: Sequence[DayFile],
    days: Sequence[date],
    metrics: Sequence[Metric],
    progress: Callable[[str], Progress] = lambda _: silent,
    named: Attributed | None = None,
) -> Measured:
    """The same of users whose exposures are known; raises as `measure` does.

    Args:
        named: the outcomes that belong to an answer; None = nobody was shown any, and an event that names
            one counts at its own time for the user who told it.
    """
    for one in metrics:
        lacking(log, one)
    experiment = shown.experiment
    span = experiment.start, min(midnight(days[-1]) + DAY, experiment.stop or 1 << 62)
    counting = _Counting(db, shown, log, [one for one in metrics if one.kind == "events"], span, named)
    kinds: list[Kind] = [one.kind for one in metrics if one.kind != "events"]
    settings = as_started(ws.config, experiment)
    told = progress("exploration")
    exploring = explored(db, ws, settings, log, kinds, shown.users, span, told) if kinds else {}
    return _added_up(metrics, counting, exploring, days, progress("days"))


class _Counting:
    """What is read day by day: answers shown, and events.

    Attributes:
        span: start of the experiment and end of what is known, in microseconds since 1970.
    """

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        shown: Exposures,
        log: Sequence[DayFile],
        metrics: Sequence[Metric],
        span: tuple[int, int],
        named: Attributed | None,
    ) -> None:
        self._db, self.shown, self.metrics, self.span, self.named = db, shown, metrics, span, named
        self._log = {day.day: day for day in log}
        self.past = before(db, log, metrics, shown.users, span[0]) if metrics else []
        self._answers = any(one.per == "impression" for one in metrics)

    @property
    def users(self) -> Users:
        return self.shown.users

    def on(self, day: date) -> dict[str, Added]:
        """What a day adds, by metric."""
        follow = [one for one in self.metrics if one.attributed and self.named is not None]
        told = self._told(day, [one for one in self.metrics if one not in follow])
        if self.named is not None and follow:
            by_rule = self.named.on(day, self.users)
            rules = {one.name: one.rules for one in follow}
            told |= {name: Added(by_rule[y], by_rule[d] if d else None) for name, (y, d) in rules.items()}
        answers = self.shown.answers(self._db, day) if self._answers else None
        return {
            one.name: Added(told[one.name].y, answers) if one.per == "impression" else told[one.name]
            for one in self.metrics
        }

    def _told(self, day: date, metrics: Sequence[Metric]) -> dict[str, Added]:
        """What events of the day add by their own time and user."""
        if not metrics:
            return {}
        found, nothing = self._log.get(day), np.zeros(len(self.users), np.int64)
        if found is None:
            return {one.name: Added(nothing, nothing if one.per == "event" else None) for one in metrics}
        added = outcomes(self._db, found, metrics, self.users, self.users.first, self.span[1])
        return {one.name: some for one, some in zip(metrics, added, strict=True)}

    def rows(self, days: Sequence[date]) -> int:
        """Events of these days."""
        return sum(self._log[day].rows for day in days if day in self._log)


def _added_up(
    metrics: Sequence[Metric],
    counting: _Counting,
    exploring: dict[Kind, Explored],
    days: Sequence[date],
    progress: Progress,
) -> Measured:
    users, arms = counting.users, len(counting.shown.experiment.arms)
    past = {one.name: x for one, x in zip(counting.metrics, counting.past, strict=True)}
    past |= {one.name: exploring[one.kind].past for one in metrics if one.kind != "events"}
    tallies = {one.name: Tally(users, arms, past[one.name], one.per == "user") for one in metrics}
    moments: dict[str, list[DayMoments]] = {one.name: [] for one in metrics}
    for done, day in enumerate(days):
        end = min(midnight(day) + DAY, counting.span[1])
        added = counting.on(day)
        for one in metrics:
            if one.kind != "events":
                y, d = exploring[one.kind].between(midnight(day), end, len(users))
                added[one.name] = Added(y, None if one.per == "user" else d)
            some = added[one.name]
            moments[one.name].append(tallies[one.name].add(end, some.y, some.d))
        progress(done + 1, len(days))
    return Measured(
        counting.shown.experiment,
        tuple(metrics),
        counting.shown,
        tuple(days),
        {name: tuple(found) for name, found in moments.items()},
        {name: len(x) for name, x in past.items()},
        counting.rows(days),
        tallies,
        None if counting.named is None else counting.named.outcomes,
    )


def _days(experiment: Experiment, shown: Exposures, log: Sequence[DayFile]) -> list[date]:
    """Every day from the first exposure to the last impression or event, or to the stop."""
    last = max([shown.days[-1], *(day.day for day in body(log)[-1:])])
    if experiment.stop is not None:
        last = min(last, date_of(experiment.stop - 1))
    first = shown.days[0]
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
