"""What a replay goes through: origins, cadences, arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.types import AsOf, Learners
from freshet.replay.replay_arms import Able, Arm, defaults, named, without_planner

SHARE = 0.25
"""Of the log's time, the last part is replayed where nobody says from when."""
ORIGINS = 60
"""So many origins at most where nobody says how often."""


BY_SOURCE = ("hybrid", "content-sequence", "counts-sequence", "content", "counts", "popularity")
"""Arms that differ by a source of knowledge; those there are of them are compared at shares of the users."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay, all decided; lengths of time in days.

    Attributes:
        start, end: what people took up from `start` on and before `end` is judged.
        every: days from one origin to the next.
        tune_every: days after which arms that tune again do so, at the next origin.
        horizon: within which an interest taken up counts as found, beside the very next one.
        limit: transitions evaluated at most; of more, a sample of whole users.
        learners: whose transitions arms learn from; None = everybody's. Everybody is judged.
    """

    start: AsOf
    end: AsOf
    every: int
    tune_every: int
    horizon: int
    arms: tuple[Arm, ...]
    limit: int
    seed: int
    learners: Learners | None = None

    @property
    def origins(self) -> list[AsOf]:
        """Moments at which arms may refresh, ascending; the last window may be shorter."""
        days = (self.end.day - self.start.day).days
        return [self.start.plus(passed) for passed in range(0, days, self.every)]

    def until(self, origin: AsOf) -> AsOf:
        """End of the window that is evaluated from an origin on."""
        return min(origin.plus(self.every), self.end, key=lambda moment: moment.day)

    def labelled_until(self, origin: AsOf) -> AsOf:
        """Until when it is looked up what people took up: the horizon behind the window, within the log."""
        return min(self.until(origin).plus(self.horizon), self.end, key=lambda moment: moment.day)

    @property
    def limit_per_origin(self) -> int:
        """Transitions evaluated after each origin, at most."""
        return max(1, self.limit // len(self.origins))

    @property
    def name(self) -> str:
        """Of the folder that holds the results."""
        return f"{self.start}_{self.end}_{self.every}d"

    def learned_by(self, percent: float) -> Plan:
        """The same people judged, by what can be learned from a share of the users."""
        return replace(self, learners=Learners(percent) if percent < 100 else None)


def make_plan(
    days: Sequence[date],
    *,
    able: Able,
    refresh_days: int,
    tune_every: int,
    arms: Sequence[str] = (),
    start: AsOf | None = None,
    end: AsOf | None = None,
    every: int | None = None,
    horizon: int | None = None,
    limit: int = 200_000,
    seed: int = 0,
) -> Plan:
    """Fill in what was left open.

    Args:
        days: on which the log holds events, ascending.
        able: what the workspace can do, which decides the arms that are compared by default.
        refresh_days: the workspace's refresh cadence, used unless it gives too many origins.

    Raises:
        ConfigError: the period is empty or lies outside the log, or an arm is unknown.
        NotEnoughData: the log is too short to hold out anything.
    """
    first, last = AsOf(days[0]), AsOf(days[-1]).plus(1)
    if (last.day - first.day).days < 8:
        raise NotEnoughData(
            f"the log spans {first} to {last}: too short to replay", hint="import more events"
        )
    if end is not None and end.day > last.day:
        raise ConfigError(f"--to {end} lies after the log, which ends before {last}", hint="leave it out")
    end = end or last
    start = start or AsOf(end.day - timedelta(days=max(1, round((end.day - first.day).days * SHARE))))
    if not first.day < start.day < end.day:
        raise ConfigError(
            f"a replay from {start} to {end} does not fit the log from {first} to {last}",
            hint="--from must leave events before it to learn from, and days after it to judge on",
        )
    span = (end.day - start.day).days
    every = every or max(refresh_days, -(-span // ORIGINS))
    names = list(arms) or defaults(able, _cadences(every, tune_every, span))
    twin = without_planner(able.mixes, able.content)
    if able.planner and {"hybrid", "counts"} <= set(names) and twin not in names:
        names.append(twin)  # else nothing shows what of the hybrid is the planner's
    slower = [arm for arm in named(names, able) if (arm.days or every) % every]
    if slower:
        raise ConfigError(
            f"arm '{slower[0].name}' can't keep its cadence at origins every {every} days",
            hint=f"choose a multiple of {every} days, or another --every",
        )
    return Plan(start, end, every, tune_every, horizon or max(7, every), named(names, able), limit, seed)


def by_source(able: Able) -> tuple[str, ...]:
    """The arms that differ by a source of knowledge, of those a workspace can compare."""
    there = defaults(able, ())
    return tuple(name for name in BY_SOURCE if name in there)


def _cadences(every: int, tune_every: int, span: int) -> list[int]:
    """Slower cadences for the hybrid, in multiples of the replay's own, that the period can tell apart."""
    wished = {tune_every // part // every * every for part in (4, 2, 1)}
    return sorted(days for days in wished if every < days < span)
