"""Service levels of drift since the last refresh, and of what the age of the table is expected to cost."""

from __future__ import annotations

from freshet.core.config import Config
from freshet.inspect.level_facts import Facts
from freshet.inspect.service_level import ServiceLevel, State, length, objective_of

SURE = 0.01
"""P-value from which drift is told: one look in a hundred says so without any."""


def drift_level(facts: Facts, config: Config) -> ServiceLevel:
    """Drift since the last refresh, or as the last refresh found it, beside its null."""
    found = facts.freshness
    if found is None or found.drift is None:
        why = found.why if found is not None else "drift was not measured yet: `freshet alerts` does"
        return ServiceLevel("drift", "unknown", None, None, "standard errors", why)
    drift = found.drift
    what = (
        f"{drift.transitions:,} moves of {length(drift.days, 'days')} until {found.until} surprise by "
        f"{drift.statistic:.1f} standard errors; by chance alone 95 % stay below {drift.null:.1f} "
        f"(p = {drift.p_value:.3g})"
    )
    changed = drift.p_value <= max(SURE, config.schedule.drift_alpha)
    if found.at_refresh:
        told = "the last refresh found drift" if changed else "the last refresh found no more than chance"
        return ServiceLevel("drift", "ok", drift.statistic, drift.null, "standard errors", f"{told}: {what}")
    told = (
        "what people move on to has changed since the last refresh" if changed else "no drift beyond chance"
    )
    state: State = "warn" if changed else "ok"
    return ServiceLevel("drift", state, drift.statistic, drift.null, "standard errors", f"{told}: {what}")


def loss_level(facts: Facts, config: Config) -> ServiceLevel:
    """What the age of the table is expected to cost; a breach where its whole interval is above."""
    objective = objective_of(config.alerts.loss_per_1000)
    unit = "hits per 1,000 answers"
    found = facts.freshness
    if found is None or found.loss is None or facts.evidence is None:
        why = found.why if found is not None else "what age costs was not measured yet: `freshet alerts` does"
        return ServiceLevel("expected_loss", "unknown", None, objective, unit, why)
    age = facts.days_since(facts.evidence)
    value, low, high = found.loss.per_thousand(age)
    seen = min(age, found.loss.longest)
    beyond = f"; it is {length(age, 'days')} old, such an age was never seen" if age > seen else ""
    what = (
        f"at {length(seen, 'days')} of age a table is expected to lose {value:.1f} hits of 1,000 answers "
        f"({low:.1f} to {high:.1f}) against counts of today{beyond}"
    )
    state: State = "ok"
    if objective is None:
        state = "off"
    elif low > objective:
        state = "breach"
    elif value > objective:
        state = "warn"
    return ServiceLevel("expected_loss", state, value, objective, unit, what)
