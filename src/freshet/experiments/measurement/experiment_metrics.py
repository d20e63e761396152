"""Metrics by name: those of the ready set, and those that the workspace defines beside them.

A metric is a ratio of two sums over exposed users, so that it can be compared with intervals that respect
that a user's events belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from freshet.core.config import Config, MetricConfig
from freshet.core.errors import ConfigError
from freshet.stages import events

Kind = Literal["events", "novel", "interests_7d", "returned_7d"]
IMPRESSION = "impression"
"""Column of the log that says which impression an event follows from."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What the arms of an experiment are compared by.

    Attributes:
        words: what it is, for people.
        better: which way is good.
        per: what the count is divided by: users exposed, answers shown to them, or events that pass `of`.
        counts, of: SQL booleans over columns of events, never null; `of` is '' unless per = "event".
        columns: of events that these read.
        attributed: whether only events that name an impression count.
        kind: `events`, or which behaviour of users over time (`stats.exploration`), without rules.
    """

    name: str
    words: str
    better: Literal["higher", "lower"]
    per: Literal["user", "impression", "event"]
    counts: str = ""
    of: str = ""
    columns: frozenset[str] = frozenset()
    attributed: bool = False
    kind: Kind = "events"

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.better == "higher" else -1

    @property
    def rules(self) -> tuple[str, str]:
        """SQL of what counts, and of what it is divided by ('' unless per = "event")."""
        if not self.attributed:
            return self.counts, self.of
        follows = f"coalesce({IMPRESSION} <> '', false)"
        return f"({self.counts} AND {follows})", f"({self.of} AND {follows})" if self.of else ""


EXPLORING = (
    Metric("novel", "novel interests taken up per exposed user", "higher", "user", kind="novel"),
    Metric(
        "interests_7d",
        "different interests engaged per user in 7 days",
        "higher",
        "event",
        kind="interests_7d",
    ),
    Metric(
        "returned_7d",
        "share of novel interests taken up that are engaged again 7 or more days later",
        "higher",
        "event",
        kind="returned_7d",
    ),
)


def metric(config: Config, name: str) -> Metric:
    """A metric by name.

    Raises:
        ConfigError: there is none, it can't be measured with these settings, or its rule is wrong.
    """
    found = metrics(config).get(name)
    if found is not None:
        return found
    if name == "negative":
        raise ConfigError(
            "'negative' is not measured: nothing says which events are negative interactions",
            hint="set [experiments] negative, such as \"outcome = 'hidden'\"",
        )
    if name == "dissatisfied":
        raise ConfigError(
            "'dissatisfied' is not measured: every event passes the positive rule, which is empty",
            hint="set [experiments] dissatisfied, or [events] positive",
        )
    raise ConfigError(
        f"there is no metric {name!r}",
        hint=f"metrics: {', '.join(metrics(config))}; [[experiments.metrics]] adds to them",
    )


def metrics(config: Config) -> dict[str, Metric]:
    """All that can be measured with these settings, by name, the ready set first."""
    ready = [*_ready(config), *EXPLORING]
    own = [_own(one) for one in config.experiments.metrics]
    return {one.name: one for one in (*ready, *own)}


def columns_read(config: Config) -> tuple[str, ...]:
    """Columns of events that metrics read, which imports have to keep."""
    read = set().union(*(one.columns for one in metrics(config).values()))
    return tuple(sorted(read | {IMPRESSION}))


def _ready(config: Config) -> list[Metric]:
    """The paper's four, as far as the settings say what they count."""
    settings, positive = config.experiments, events.parse(config.events.positive)
    good = events.parse(settings.satisfied) if settings.satisfied else positive
    bad = f"(NOT {positive.sql})"
    bad_columns = positive.columns
    if settings.dissatisfied:
        parsed = events.parse(settings.dissatisfied)
        bad, bad_columns = parsed.sql, parsed.columns
    rated, both = f"({good.sql} OR {bad})", good.columns | bad_columns
    found = [
        _shown("satisfied", "satisfied outcomes per exposed user", "higher", good.sql, "", good.columns),
        _shown("satisfaction", "satisfied share of rated outcomes", "higher", good.sql, rated, both),
    ]
    if settings.dissatisfied or settings.satisfied or config.events.positive.strip():
        words = "dissatisfied share of rated outcomes"
        found.append(_shown("dissatisfied", words, "lower", bad, rated, both))
    if settings.negative:
        rule = events.parse(settings.negative)
        words = "negative interactions per exposed user"
        found.append(_shown("negative", words, "lower", rule.sql, "", rule.columns))
    return found


def _own(settings: MetricConfig) -> Metric:
    counts = events.parse(settings.counts)
    words = f"events with {settings.counts.strip()}" if settings.counts.strip() else "events"
    name, better, attributed = settings.name, settings.better, settings.attributed
    if settings.of == "user":
        words += " per exposed user"
        return Metric(name, words, better, "user", counts.sql, "", counts.columns, attributed)
    if settings.of == "impression":
        words += " per answer shown"
        return Metric(name, words, better, "impression", counts.sql, "", counts.columns, attributed)
    of = events.parse(settings.of)
    words = f"share of {words} among those with {settings.of.strip()}"
    both, columns = f"({counts.sql} AND {of.sql})", counts.columns | of.columns
    return Metric(name, words, better, "event", both, of.sql, columns, attributed)


def _shown(
    name: str,
    words: str,
    better: Literal["higher", "lower"],
    counts: str,
    of: str,
    columns: frozenset[str],
) -> Metric:
    return Metric(name, words, better, "event" if of else "user", counts, of, columns, attributed=True)


def named(config: Config, names: Sequence[str]) -> list[Metric]:
    """Metrics by name, each once.

    Raises:
        ConfigError: as `metric` does.
    """
    return [metric(config, name) for name in dict.fromkeys(names)]
