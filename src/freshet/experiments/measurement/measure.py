"""An experiment in moments: by metric, day and arm, of the day alone and of all days until then.

Out of core: impressions and events are read day by day; what is held is a few numbers per exposed user.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from freshet.core.ports import Progress, silent
from freshet.core.time import DAY, date_of, midnight
from freshet.core.types import Experiment
from freshet.experiments.measurement.attribution import Attributed, AttributionCounts, attribute
from freshet.experiments.measurement.event_counts import Added, EventCounter, require_columns
from freshet.experiments.measurement.experiment_metrics import Kind, Metric
from freshet.experiments.measurement.exploration_events import Explored, explored
from freshet.experiments.measurement.exposures import Exposures, Study, database, exposures
from freshet.experiments.stats.tally import DayMoments, Tally
from freshet.stages.events import DayFile, EventLog, body
from freshet.storage.workspace import Workspace


@dataclass(frozen=True)
class Measurement:
    """What is known of an experiment: moments of its metrics by day and arm.

    Attributes:
        exposures: who was shown what; its experiment's arms are the order of all moments.
        days: from the first to the last with impressions or events, ascending.
        moments: by metric, for each day.
        covariates: how many each metric has; 0 = the log holds nothing from before the start.
        events: of the log within these days.
        tallies: by metric, what each user added up to.
        attribution: what became of events that name an answer; None where no metric counts them.
    """

    experiment: Experiment
    metrics: tuple[Metric, ...]
    exposures: Exposures
    days: tuple[date, ...]
    moments: dict[str, tuple[DayMoments, ...]]
    covariates: dict[str, int]
    events: int
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    attribution: AttributionCounts | None = None


def measure(
    ws: Workspace,
    experiment: Experiment,
    metrics: Sequence[Metric],
    progress: Callable[[str], Progress] = lambda _: silent,
) -> Measurement:
    """Measure an experiment by what was collected so far.

    Args:
        progress: gives a callback for long work under a name.

    Raises:
        NotEnoughData: nobody was exposed yet.
        ConfigError: a metric reads a column that no event has.
        ArtifactError: what was found damaged only while it was read.
    """
    log = tuple(EventLog(ws.source).snapshot().days)
    with tempfile.TemporaryDirectory() as scratch, database(Path(scratch)) as db:
        shown = exposures(db, ws.source, experiment)
        for path in shown.passed_over:
            ws.reporter.say(f"{path.relative_to(ws.source)} is passed over: no readable file of impressions")
        study = Study(ws, db, shown, log, _days(shown, log))
        attributed = [one for one in metrics if one.kind == "events" and one.attributed]
        return measure_study(study, metrics, progress, attribute(study, attributed) if attributed else None)


def measure_study(
    study: Study,
    metrics: Sequence[Metric],
    progress: Callable[[str], Progress] = lambda _: silent,
    attributed: Attributed | None = None,
) -> Measurement:
    """The same of users whose exposures are known; raises as `measure` does.

    Args:
        attributed: the outcomes that belong to an answer; None = nobody was shown any, and an event that
            names one counts at its own time for the user whom it is of.
    """
    for one in metrics:
        require_columns(study.log, one)
    counter = _DailyCounts(study, [one for one in metrics if one.kind == "events"], attributed)
    kinds: list[Kind] = [one.kind for one in metrics if one.kind != "events"]
    show = progress("exploration")
    exploring = explored(study, kinds, show) if kinds else {}
    return _added_up(metrics, counter, exploring, progress("days"))


class _DailyCounts:
    """What exposed users add, day by day, to metrics that count events or answers."""

    def __init__(self, study: Study, metrics: Sequence[Metric], attributed: Attributed | None) -> None:
        self.study, self.metrics, self.attributed = study, metrics, attributed
        self._log = {day.day: day for day in study.log}
        self._counter = EventCounter(study.db, study.users, tuple(metrics))
        self.past = self._counter.before(study.log, study.experiment.start) if metrics else []
        self._answers = any(one.per == "impression" for one in metrics)

    def on(self, day: date) -> dict[str, Added]:
        """What a day adds, by metric."""
        follow = [one for one in self.metrics if one.attributed and self.attributed is not None]
        added = self._by_time(day, [one for one in self.metrics if one not in follow])
        if self.attributed is not None and follow:
            by_rule = self.attributed.on(day, self.study.users)
            rules = {one.name: one.rules for one in follow}
            added |= {name: Added(by_rule[y], by_rule[d] if d else None) for name, (y, d) in rules.items()}
        answers = self.study.exposures.answers(self.study.db, day) if self._answers else None
        return {
            one.name: Added(added[one.name].y, answers) if one.per == "impression" else added[one.name]
            for one in self.metrics
        }

    def _by_time(self, day: date, metrics: Sequence[Metric]) -> dict[str, Added]:
        """What events of the day add by their own time and user."""
        if not metrics:
            return {}
        found, nothing = self._log.get(day), np.zeros(len(self.study.users), np.int64)
        if found is None:
            return {one.name: Added(nothing, nothing if one.per == "event" else None) for one in metrics}
        added = self._counter.on(found, metrics, self.study.end)
        return {one.name: some for one, some in zip(metrics, added, strict=True)}

    def rows(self) -> int:
        """Events of the measured days."""
        return sum(self._log[day].rows for day in self.study.days if day in self._log)


def _added_up(
    metrics: Sequence[Metric], counter: _DailyCounts, exploring: dict[Kind, Explored], progress: Progress
) -> Measurement:
    study = counter.study
    users, arms = study.users, len(study.experiment.arms)
    past = {one.name: x for one, x in zip(counter.metrics, counter.past, strict=True)}
    past |= {one.name: exploring[one.kind].past for one in metrics if one.kind != "events"}
    tallies = {one.name: Tally(users, arms, past[one.name], one.per == "user") for one in metrics}
    moments: dict[str, list[DayMoments]] = {one.name: [] for one in metrics}
    for done, day in enumerate(study.days):
        end = min(midnight(day) + DAY, study.end)
        added = counter.on(day)
        for one in metrics:
            if one.kind != "events":
                y, d = exploring[one.kind].between(midnight(day), end, len(users))
                added[one.name] = Added(y, None if one.per == "user" else d)
            some = added[one.name]
            moments[one.name].append(tallies[one.name].add(end, some.y, some.d))
        progress(done + 1, len(study.days))
    return Measurement(
        study.experiment,
        tuple(metrics),
        study.exposures,
        study.days,
        {name: tuple(found) for name, found in moments.items()},
        {name: len(x) for name, x in past.items()},
        counter.rows(),
        tallies,
        None if counter.attributed is None else counter.attributed.counts,
    )


def _days(shown: Exposures, log: Sequence[DayFile]) -> tuple[date, ...]:
    """Every day from the first exposure to the last impression or event, or to the stop."""
    last = max([shown.days[-1], *(day.day for day in body(log)[-1:])])
    if shown.experiment.stop is not None:
        last = min(last, date_of(shown.experiment.stop - 1))
    first = shown.days[0]
    return tuple(first + timedelta(days=n) for n in range((last - first).days + 1))
