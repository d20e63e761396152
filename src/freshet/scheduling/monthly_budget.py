"""Money of a month: what the ledger says was spent, and what a run is expected to cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from freshet.core.config import Config
from freshet.core.types import AsOf
from freshet.scheduling.attempts import LAST, Attempt
from freshet.scheduling.jobs import Job, tunes

EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Spending:
    """A month's money, by the calendar of `[schedule] timezone`.

    Attributes:
        limit: `budget_per_month`; 0 = none.
        spent: by all runs of the month, whoever made them.
        begin, end: of the month (UTC).
    """

    limit: float
    spent: float
    currency: str
    begin: datetime
    end: datetime

    @property
    def left(self) -> float:
        """Of the limit; infinite without one."""
        return max(0.0, self.limit - self.spent) if self.limit else float("inf")

    def refuses(self, expected: float) -> str:
        """Why a run must wait for the next month; '' if it need not."""
        if self.left >= expected and self.left > 0:
            return ""
        said = f"{self.spent:.2f} of {self.limit:.2f} {self.currency} are spent this month"
        if expected > self.limit:
            return f"{said}, and a run is expected to cost {expected:.2f}: more than budget_per_month"
        return f"{said}, and a run is expected to cost {expected:.2f}"


def spending(config: Config, done: Sequence[Attempt], now: datetime) -> Spending:
    """The money of the month in which a moment lies."""
    begin, end = month_of(config, now)
    spent = sum(one.money for one in done if begin <= one.started < end)
    return Spending(config.schedule.budget_per_month, spent, config.prices.currency, begin, end)


def month_of(config: Config, now: datetime) -> tuple[datetime, datetime]:
    """The first moment of a month, and of the next one."""
    zone = config.schedule.zone
    first = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    later = (first.replace(tzinfo=None) + timedelta(days=32)).replace(day=1, tzinfo=zone)
    return first.astimezone(UTC), later.astimezone(UTC)


def expected_cost(config: Config, job: Job, done: Sequence[Attempt], now: datetime) -> float:
    """What the next run of a job is expected to cost: the most that the last ones of its kind did.

    A refresh is expected of every look of the fast path, and a tuning where one is due within it. Before
    there was a run of a kind, nothing is known, and 0 is expected.
    """
    if job.name == "slow":
        return _most(one.money for one in done if one.command == "finetune")
    if job.name == "collect":
        return _most(one.money for one in done if one.command == "collect")
    looks = [one for one in done if one.command in ("run", "refresh")]
    fast = _most(one.money - one.slow for one in looks if one.refreshed) or _most(
        one.money - one.slow for one in looks
    )
    due = tuning_due(config, done)
    slow = _most(one.slow for one in done if one.tuned) if due is not None and due <= now else 0.0
    return fast + slow


def tuning_due(config: Config, done: Sequence[Attempt]) -> datetime | None:
    """When `[tuning] every_days` make the fast path tune first, by the last run that tuned.

    None where it never does: the slow path has times of its own, or there is nothing to tune. Without such a
    run it is due since ever.
    """
    if config.schedule.tune_cron or not tunes(config):
        return None
    tuned = [one.as_of for one in done if one.tuned and one.as_of]
    return AsOf.parse(tuned[-1]).plus(config.tuning.every_days).moment if tuned else EVER


def _most(costs: Iterable[float]) -> float:
    return max([0.0, *[*costs][-LAST:]])
