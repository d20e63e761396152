"""What Prometheus reads at `/metrics`. docs/how-to/serving.md lists the names."""

from __future__ import annotations

import math
import os
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from freshet.core.types.recommendations import Answer

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that names the folder of the measures of several processes, by prometheus_client."""
BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
GAUGES = {
    "release": "Number of the release that serves.",
    "table_age_seconds": "Since the moment up to which the release that serves knows the log.",
    "releases_open": "Releases in memory.",
    "events_waiting": "Events that are not durable yet.",
    "impressions_waiting": "Impressions that are not in their journal yet.",
    "impressions_lost": "Impressions that found no room while they could not be written.",
    "connections_open": "Connections, idle ones included.",
    "canary_failures": "Queries that a canary failed to answer, and that the current release answered.",
    "bursts": "Interests that are taken up much more often right now than of late.",
    "log_lines_lost": "Lines of log that could not be written.",
    "stream_lag": "Messages of the stream that this server has not read of its partitions.",
    "draining": "1 while the server is stopping.",
}
SUMS = frozenset({"events_waiting", "impressions_waiting", "connections_open"})
"""Gauges that are added up over the workers of a server that run."""
TOTALS = frozenset({"impressions_lost", "log_lines_lost", "canary_failures"})
"""Those added up over all that ever ran; of the rest the largest counts."""
LEVEL_GAUGES = {
    "evidence_age_seconds": (
        "evidence_age",
        86_400.0,
        "Since the moment up to which the release knows the log.",
    ),
    "model_age_seconds": ("model_age", 86_400.0, "Since the moment up to which the planner knows the log."),
    "events_age_seconds": ("events_age", 86_400.0, "Since the newest event of the log."),
    "live_age_seconds": ("live_age", 3600.0, "Since the newest event that serving has recorded."),
    "expected_loss_per_1000": ("expected_loss", 1.0, "Hits lost of 1,000 answers by the age of what serves."),
    "drift_statistic": ("drift", 1.0, "Surprise of the moves since the last refresh, in standard errors."),
    "failed_runs": ("last_run", 1.0, "Runs that failed in a row, up to the last one."),
    "runs_waiting": ("runs_waiting", 1.0, "Runs that wait for a person."),
    "review_age_seconds": ("review", 86_400.0, "Since the oldest of them was halted."),
    "jobs_overdue": ("schedule", 1.0, "Jobs that should have begun more than an hour ago."),
    "scheduler_alive": ("scheduler", 1.0, "1 while a scheduler leads."),
    "budget_spent": ("budget", 1.0, "Money spent this month, where there is a budget."),
}
"""Gauge -> the service level whose value it has, what that is multiplied by, and what it says."""
STATES = {"off": 0, "ok": 0, "warn": 1, "breach": 2, "unknown": -1}


@dataclass(frozen=True, slots=True)
class Level:
    """A service level as metrics need it; see `freshet.inspect.service_levels`."""

    name: str
    state: str
    value: float | None
    objective: float | None


class Metrics:
    """The measures of one server; where several workers are one, each tells those of all.

    Args:
        watches: this process looks at the service levels.
        shared: the folder of all workers' measures, which `SHARED` named when the process began; '' = it is
            alone.
    """

    def __init__(self, *, watches: bool = True, shared: str = "") -> None:
        self._shared = shared
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series per series that says when it began
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "freshet_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "freshet_request_seconds", "Seconds per request.", ["path"], buckets=BUCKETS, registry=registry
        )
        self._answers = Counter(
            "freshet_answers", "Answers by the reason of their first interest.", ["reason"], registry=registry
        )
        self._exposures = Counter(
            "freshet_exposures", "Answers by experiment and arm.", ["experiment", "arm"], registry=registry
        )
        self._degraded = Counter(
            "freshet_degraded", "Answers without the user's history: it could not be read.", registry=registry
        )
        self._events = Counter(
            "freshet_events", "Events by what became of them.", ["status"], registry=registry
        )
        self.faults = Counter(
            "freshet_upkeep_failures", "Failures of what runs beside requests.", ["task"], registry=registry
        )
        self.swaps = Counter(
            "freshet_release_swaps", "Changes of the release that serves.", registry=registry
        )
        self._gauges = {
            name: Gauge(f"freshet_{name}", text, registry=registry, multiprocess_mode=_over_workers(name))
            for name, text in GAUGES.items()
        }
        self._count_connections: Callable[[], int] = int

        def of_level(name: str, text: str, *labels: str) -> Gauge:
            """A gauge that the worker sets which looks at the levels."""
            return Gauge(
                f"freshet_{name}", text, labels, registry=registry, multiprocess_mode="livemostrecent"
            )

        self._of_levels = {name: of_level(name, text) for name, (_, _, text) in LEVEL_GAUGES.items()}
        self._drift_null = of_level("drift_null", "95 % of such statistics are below it by chance.")
        self._states, self._objectives = (
            of_level(f"service_level{name}", text, "level")
            for name, text in (
                ("", "0 = ok or not promised, 1 = warns, 2 = breached, -1 = unknown."),
                ("_objective", "The most that is promised, in the level's own unit."),
            )
        )
        self._looked = of_level("levels_looked_timestamp_seconds", "When the levels were looked at last.")
        self._every = of_level(
            "levels_every_seconds", "From one look at the levels to the next, 0 = this server never looks."
        )
        self._firing = of_level("alerts_firing", "1 per alert that fires.", "alert")
        if watches:
            for gauge in (*self._of_levels.values(), self._drift_null):
                gauge.set(math.nan)  # until somebody has looked
            self._every.set(math.nan)  # until the settings are read
        self._labels: dict[Gauge, set[str]] = {
            self._states: set(),
            self._objectives: set(),
            self._firing: set(),
        }
        # looking a child up by its labels costs more than counting it
        self._by_request: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._by_reason: dict[str, Counter] = {}

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        found = self._by_request.get((path, status))
        if found is None:
            found = (self._requests.labels(path, str(status)), self._seconds.labels(path))
            self._by_request[path, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def count_answer(self, answer: Answer) -> None:
        """Count an answer."""
        reason = answer.interests[0].reason if answer.interests else "none"
        found = self._by_reason.get(reason)
        if found is None:
            found = self._by_reason[reason] = self._answers.labels(reason)
        found.inc()
        if answer.degraded:
            self._degraded.inc()
        if answer.experiment:
            self._exposures.labels(answer.experiment, answer.arm).inc()

    def count_events(self, statuses: Iterable[str]) -> None:
        """Count events."""
        for status, count in Tally(statuses).items():
            self._events.labels(status).inc(count)

    def set_gauges(self, values: Mapping[str, float]) -> None:
        """Set gauges, by names of `GAUGES`."""
        self._gauges["connections_open"].set(self._count_connections())
        for name, value in values.items():
            self._gauges[name].set(value)

    def set_looks(self, seconds: float) -> None:
        """Set how often the levels are looked at; 0 = never."""
        self._every.set(seconds)

    def set_levels(self, levels: Sequence[Level], firing: Sequence[str], now: float) -> None:
        """Set what follows from service levels.

        Args:
            firing: names of alerts.
            now: seconds since 1970.
        """
        known = {level.name: level for level in levels}
        for name, (of, factor, _) in LEVEL_GAUGES.items():
            value = known[of].value if of in known else None
            self._of_levels[name].set(math.nan if value is None else value * factor)
        drift = known.get("drift")
        null = drift.objective if drift is not None else None
        self._drift_null.set(math.nan if null is None else null)
        self._set_all(self._states, {level.name: STATES[level.state] for level in levels}, math.nan)
        promised = {level.name: level.objective for level in levels if level.objective is not None}
        self._set_all(self._objectives, promised, math.nan)
        self._set_all(self._firing, dict.fromkeys(firing, 1), 0)
        self._looked.set(now)

    def watch_connections(self, count: Callable[[], int]) -> None:
        """How to count the open connections."""
        self._count_connections = count

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        if not self._shared:
            return generate_latest(self.registry)
        every = CollectorRegistry()
        MultiProcessCollector(every, self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(every)

    def _set_all(self, gauge: Gauge, values: Mapping[str, float], over: float) -> None:
        """Set a gauge by its label; what is named no more is gone, or `over` where workers share files."""
        if self._shared:  # nothing can be taken out of it
            values = {**dict.fromkeys(self._labels[gauge], over), **values}
            self._labels[gauge] |= values.keys()
        else:
            gauge.clear()
        for label, value in values.items():
            gauge.labels(label).set(value)


def own_environment() -> dict[str, str]:
    """The environment for what a worker starts, which measures nothing of the server."""
    return {name: value for name, value in os.environ.items() if name != SHARED}


def _over_workers(name: str) -> Literal["livesum", "sum", "livemax"]:
    """How a gauge of several workers becomes one."""
    return "livesum" if name in SUMS else "sum" if name in TOTALS else "livemax"
