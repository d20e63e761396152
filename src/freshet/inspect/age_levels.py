"""Service levels of what gets older: what is served, the planner, the log, live state, streams."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from freshet.core.config import Config
from freshet.inspect.level_facts import Facts
from freshet.inspect.service_level import WARN, ServiceLevel, State, aged, length, objective_of


def release_level(facts: Facts) -> ServiceLevel:
    """Whether anything serves."""
    if facts.release is None:
        return ServiceLevel(
            "release", "breach", 0, None, "number", "nothing is published yet: `freshet run` makes a release"
        )
    number = facts.release.number
    return ServiceLevel("release", "ok", number, None, "number", f"release {number} serves")


def evidence_level(facts: Facts, config: Config) -> ServiceLevel:
    """Age of what the release knows of the log, where newer events are there."""
    schedule = config.schedule
    objective = objective_of(config.alerts.evidence_days, 2.0 * schedule.refresh_days)
    if facts.evidence is None:
        return ServiceLevel("evidence_age", "unknown", None, objective, "days", "nothing is published yet")
    age = facts.days_since(facts.evidence)
    found = aged("evidence_age", age, objective, "days", "what the release knows of the log")
    if found.state not in ("warn", "breach"):
        return found
    if facts.log_end is not None and facts.log_end <= facts.evidence:
        why = f"the release knows all of the log; it is {length(age, 'days')} old, since nothing newer came"
        return ServiceLevel("evidence_age", "ok", age, objective, "days", why)
    judged = schedule.policy != "fixed" and config.alerts.evidence_days == "auto"
    if judged and objective is not None and facts.looked is not None:
        since = facts.days_since(facts.looked)
        if since <= objective:
            why = (
                f"what the release knows of the log is {length(age, 'days')} old; {length(since, 'days')} "
                f"ago the {schedule.policy} policy found it still good"
            )
            return ServiceLevel("evidence_age", "ok", age, objective, "days", why)
    return found


def model_levels(facts: Facts, config: Config) -> Iterator[ServiceLevel]:
    """Age of the planner that serves; none without one."""
    if facts.model is not None:
        objective = objective_of(config.alerts.model_days, 2.0 * config.tuning.every_days)
        yield aged("model_age", facts.days_since(facts.model), objective, "days", "the planner that serves")


def events_level(facts: Facts, config: Config) -> ServiceLevel:
    """Age of the newest event."""
    auto = float(max(2, config.schedule.refresh_days))
    objective = objective_of(config.alerts.events_days, auto)
    if facts.log_end is None:
        return ServiceLevel("events_age", "breach", None, objective, "days", "the log holds no events")
    last = facts.log_end
    if facts.live is not None and facts.live.last_event is not None:
        last = max(last, facts.live.last_event)
    return aged("events_age", facts.days_since(last), objective, "days", "the newest event")


def live_levels(facts: Facts, config: Config) -> Iterator[ServiceLevel]:
    """Age of the newest event that serving recorded, or that it can't be read; none without a look at it."""
    if facts.live is None:
        return
    objective = objective_of(config.alerts.live_hours)
    if facts.live.trouble:
        why = f"what serving remembers can't be read: {facts.live.trouble}"
        yield ServiceLevel("live_state", "breach", None, None, "", why)
    elif facts.live.last_event is None:
        why = "serving has recorded no event since the last were taken into the log"
        yield ServiceLevel("live_age", "unknown", None, objective, "hours", why)
    else:
        age = 24 * facts.days_since(facts.live.last_event)
        yield aged("live_age", age, objective, "hours", "the newest event that serving recorded")


def stream_levels(facts: Facts, config: Config) -> Iterator[ServiceLevel]:
    """The last look of a stream's reader, and what it had not read; none without a stream."""
    if not facts.streams:
        return
    objective = objective_of(config.alerts.stream_minutes)
    looks = [datetime.fromisoformat(one.seen).astimezone(UTC) for one in facts.streams if one.seen]
    if not looks:
        why = "nobody has looked yet how far behind the stream is"
        yield ServiceLevel("stream_age", "unknown", None, objective, "minutes", why)
    else:
        minutes = max(0.0, (facts.now - min(looks)) / timedelta(minutes=1))
        yield aged("stream_age", minutes, objective, "minutes", "the last look at the stream")
    most = objective_of(config.alerts.stream_lag)
    behind = sum(sum(one.behind.values()) for one in facts.streams if one.behind is not None)
    told = f"{behind:,} messages of the stream are not read"
    if most is None:
        yield ServiceLevel("stream_lag", "off", behind, None, "messages", told)
        return
    state: State = "breach" if behind > most else "warn" if behind > WARN * most else "ok"
    yield ServiceLevel("stream_lag", state, behind, most, "messages", f"{told}, at most {most:,.0f} may be")
