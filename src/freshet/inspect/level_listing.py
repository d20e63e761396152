"""Service levels: is what serves fresh, and is everything in order? Each promise beside what is measured.

The command line, the dashboard, alerts and `/metrics` show these and nothing of their own, so they agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from freshet.core.config import Config
from freshet.inspect import age_levels, drift_levels, run_levels
from freshet.inspect.freshness import Freshness
from freshet.inspect.level_facts import Facts, gather
from freshet.inspect.live_state import Live, live_of
from freshet.inspect.service_level import ServiceLevel, State
from freshet.storage.workspace import Workspace

_WORST: tuple[State, ...] = ("breach", "warn", "unknown", "ok", "off")


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    """All levels of a workspace at a moment.

    Attributes:
        at: the moment (ISO, UTC).
        release: that serves, None before the first.
        levels: those that this workspace has: no `model_age` without a planner, no streams without one.
        freshness: drift beside its null and the loss by age, None where they were not measured.
    """

    at: str
    release: int | None
    levels: tuple[ServiceLevel, ...]
    freshness: Freshness | None

    @property
    def state(self) -> State:
        """The worst of all."""
        return min((one.state for one in self.levels), key=_WORST.index, default="ok")

    def find(self, name: str) -> ServiceLevel | None:
        """A level by its name; None where this workspace doesn't have it."""
        return next((one for one in self.levels if one.name == name), None)


def service_levels(
    ws: Workspace, now: datetime, live: Live | None = None, measure: bool = True
) -> ServiceLevels:
    """All levels at a moment.

    The first time after new events were counted it works out drift and loss, which takes seconds; after that
    it reads what was found.

    Args:
        now: with its zone.
        live: of what serving remembers (`live_of`); None = nothing is said of it.
        measure: False = never work anything out, so that it takes milliseconds: what is not known stays so.

    Raises:
        ArtifactError: the log or the release can't be read.
    """
    facts = gather(ws, now, live, measure)
    return ServiceLevels(
        now.astimezone(UTC).isoformat(timespec="seconds"),
        facts.release.number if facts.release is not None else None,
        _levels(facts, ws.config),
        facts.freshness,
    )


def _levels(facts: Facts, config: Config) -> tuple[ServiceLevel, ...]:
    """All levels that this workspace has, those of serving first."""
    return (
        age_levels.release_level(facts),
        age_levels.evidence_level(facts, config),
        *age_levels.model_levels(facts, config),
        age_levels.events_level(facts, config),
        *age_levels.live_levels(facts, config),
        *age_levels.stream_levels(facts, config),
        drift_levels.drift_level(facts, config),
        drift_levels.loss_level(facts, config),
        run_levels.last_run_level(facts),
        run_levels.review_level(facts, config),
        run_levels.waiting_level(facts),
        *run_levels.held_levels(facts),
        run_levels.schedule_level(facts),
        run_levels.scheduler_level(facts),
        *run_levels.budget_levels(facts),
        run_levels.damage_level(facts),
        *run_levels.export_levels(facts),
    )


__all__ = ["Live", "ServiceLevel", "ServiceLevels", "State", "live_of", "service_levels"]
