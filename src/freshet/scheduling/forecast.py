"""What would run in the days to come, if every run went well: the scheduler's own rules, played ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from freshet.core.config import Config
from freshet.core.types import AsOf
from freshet.scheduling.attempts import Attempt
from freshet.scheduling.monthly_budget import tuning_due
from freshet.scheduling.outlook import Outlook, State, outlooks
from freshet.scheduling.pausing import Pause


@dataclass(frozen=True, slots=True)
class Planned:
    """A run to come, or what holds one back.

    Attributes:
        at: when it begins, or is held back (UTC).
        what: tunes, refreshes, looks (whether a refresh is due: `why` says who decides), collects, or what
            holds it back: paused, blackout, budget.
        expected: money; of what is held back, that which it is expected to cost.
        until: of what is held back (UTC).
    """

    at: datetime
    job: str
    what: str
    why: str
    expected: float
    until: datetime | None = None


def forecast(
    config: Config, done: Sequence[Attempt], now: datetime, days: int, pause: Pause | None
) -> Iterator[Planned]:
    """What would run, in order; the log is supposed to end with the day before.

    Args:
        done: runs so far, as `outlooks` wants them.
    """
    known, time, end = list(done), now, now + timedelta(days=days)
    told: set[tuple[str, datetime | None]] = set()
    while time < end:
        found = outlooks(config, known, time, pause)
        due = next((one for one in found if one.state in (State.DUE, State.RUNNING)), None)
        if due is not None:
            what, why, made = _made(config, due, known, time)
            if due.state is State.DUE:
                yield Planned(time, due.job.name, what, why, made.money)
            known.append(made)
            continue
        for one in found:
            if one.is_held_back and (one.job.name, one.slot) not in told:
                told.add((one.job.name, one.slot))
                yield Planned(time, one.job.name, one.state.value, one.why, one.expected, one.at)
        later = [one.at for one in found if one.at is not None and one.at > time]
        later += [one.job.cron.after(time) for one in found]
        time = min(later)


def _made(config: Config, due: Outlook, known: Sequence[Attempt], time: datetime) -> tuple[str, str, Attempt]:
    """What a run would do: in words, why, and its record."""
    name, day = due.job.name, str(AsOf(time.date()))

    def attempt(money: float, *, slow: float = 0.0, refreshed: bool = False, tuned: bool = False) -> Attempt:
        return Attempt(
            f"+{len(known)}", due.job.command, time, time, "done", money=money, slow=slow,
            refreshed=refreshed, tuned=tuned, as_of=day,
        )  # fmt: skip

    if name == "collect":
        return "collects", due.why, attempt(due.expected)
    if name == "slow":
        return "tunes", due.why, attempt(due.expected, slow=due.expected, tuned=True)
    tuning = tuning_due(config, known)
    if tuning is not None and tuning <= time:
        slow = max([0.0, *(one.slow for one in known if one.tuned)][-5:])
        return "tunes", "[tuning] every_days", attempt(due.expected, slow=slow, refreshed=True, tuned=True)
    schedule, made = config.schedule, [one.as_of for one in known if one.refreshed and one.as_of]
    if schedule.policy != "fixed":
        return "looks", f"the {schedule.policy} policy decides whether to refresh", attempt(due.expected)
    age = AsOf(time.date()).day_number - AsOf.parse(made[-1]).day_number if made else schedule.refresh_days
    if age >= schedule.refresh_days or any(one.tuned for one in known[-1:]):
        return "refreshes", f"every {schedule.refresh_days} days", attempt(due.expected, refreshed=True)
    looks = [one.money for one in known if one.command == "run" and not one.refreshed]
    return "looks", f"nothing is due before {schedule.refresh_days} days", attempt(max([0.0, *looks[-5:]]))
