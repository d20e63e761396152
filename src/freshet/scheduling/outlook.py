"""Whether a job is due, waits or is done for now: by its times, the ledger and the clock, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b

from freshet.core.blackout import blackout_until
from freshet.core.config import Config
from freshet.core.config.schedule_section import ScheduleConfig
from freshet.scheduling.attempts import Attempt, since
from freshet.scheduling.jobs import Job, jobs_of
from freshet.scheduling.monthly_budget import Spending, expected_cost, spending
from freshet.scheduling.pausing import Pause

LATE = timedelta(hours=1)
"""A time that passed so long ago without an attempt was missed."""
SOON = timedelta(minutes=10)
"""So long after a run the next one begins, where one is due."""
LONGEST = timedelta(hours=6)
"""Between two tries, at most."""


class State(StrEnum):
    """What becomes of a job now."""

    IDLE = "idle"
    DUE = "due"
    RUNNING = "running"
    RETRY = "retry"
    PENDING = "pending"
    PAUSED = "paused"
    BLACKOUT = "blackout"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a job.

    Attributes:
        at: when it will be looked at next for a reason known now (UTC); now or earlier where it is due; None
            while nobody but a person can go on.
        slot: the last of its times, None before the first.
        why: in a sentence.
        tries: failed runs since that time.
        expected: money that its next run is expected to cost.
    """

    job: Job
    state: State
    at: datetime | None
    slot: datetime | None
    why: str
    tries: int = 0
    expected: float = 0.0

    @property
    def is_held_back(self) -> bool:
        """It would run now but for a pause, a blackout or the budget."""
        return self.state in (State.PAUSED, State.BLACKOUT, State.BUDGET)


def outlooks(config: Config, done: Sequence[Attempt], now: datetime, pause: Pause | None) -> list[Outlook]:
    """What becomes of all jobs, in the order in which they would run.

    Args:
        done: runs since the begin of the month and the last time of every job, oldest first.
        pause: that is on.
    """
    money = spending(config, done, now)
    return [_of(job, config, done, now, pause, money) for job in jobs_of(config)]


def looked_back_to(config: Config, now: datetime) -> datetime:
    """The moment since which every run must be known, for `outlooks` and for what is overdue."""
    missed = now - LATE
    slots = [job.cron.until(missed) or missed for job in jobs_of(config)]
    return min(spending(config, (), now).begin, *slots)


def _of(
    job: Job, config: Config, done: Sequence[Attempt], now: datetime, pause: Pause | None, money: Spending
) -> Outlook:
    schedule, slot = config.schedule, job.cron.until(now)
    wanted = _wanted(job, schedule, done, now, slot)
    if wanted.state is not State.DUE:
        return wanted
    expected = expected_cost(config, job, done, now)

    def held(state: State, at: datetime | None, why: str) -> Outlook:
        return Outlook(job, state, at, slot, why, wanted.tries, expected)

    if pause is not None:
        return held(State.PAUSED, None, str(pause))
    if until := blackout_until(schedule.windows, schedule.zone, now):
        return held(State.BLACKOUT, until, "nothing begins in a blackout")
    if job.paid and (why := money.refuses(expected)):
        return held(State.BUDGET, money.end, why)
    return held(State.DUE, wanted.at, wanted.why)


def _wanted(
    job: Job, schedule: ScheduleConfig, done: Sequence[Attempt], now: datetime, slot: datetime | None
) -> Outlook:
    """What becomes of it if nothing holds it back."""
    later = job.cron.after(now)

    def idle(why: str, tries: int = 0) -> Outlook:
        return Outlook(job, State.IDLE, later, slot, why, tries)

    if slot is None:
        return idle("its first time is still to come")
    tried = since(done, job.counted, slot)
    if not tried:
        if now - free_since(done, slot, now) > LATE and schedule.missed == "skip":
            return idle(f"{_at(slot)} was missed and is skipped")
        late = "missed: " if now - slot > LATE else ""
        return Outlook(job, State.DUE, slot, slot, f"{late}its time was {_at(slot)}")
    last = tried[-1]
    failed = [one for one in tried if one.end in ("failed", "killed")]
    told = f"run {last.run} {last.end}"
    if last.end == "done":
        return idle(f"run {last.run} was made for {_at(slot)}")
    if last.end == "running":
        return Outlook(job, State.RUNNING, None, slot, f"run {last.run} is running", len(failed))
    if last.end == "stopped":
        return Outlook(job, State.DUE, last.ended, slot, f"{told} and goes on", len(failed))
    if last.end == "pending":
        waited = sum(1 for one in tried if one.end == "pending")
        at = last.ended + pause_before(schedule, waited, last)
        return _again(job, State.PENDING, at, slot, f"{told}: {last.message}", len(failed), now)
    if last.end == "failed" and not last.retryable:
        return idle(f"{told} by what a retry does not help: {last.message}", len(failed))
    if len(failed) > schedule.retries:
        return idle(f"{told}, and {schedule.retries} retries are spent: {last.message}", len(failed))
    # one that was killed goes on at once; killed again and again, it waits as one that fails does
    times = len(failed) - 1 if last.end == "killed" else len(failed)
    at = last.ended + (pause_before(schedule, times, last) if times else timedelta())
    why = f"{told}, retry {len(failed)} of {schedule.retries}"
    return _again(
        job, State.RETRY, at, slot, f"{why}: {last.message}" if last.message else why, len(failed), now
    )


def free_since(done: Sequence[Attempt], moment: datetime, now: datetime) -> datetime:
    """The first moment from another one on at which a run could begin: not while others were under way.

    Args:
        done: oldest first.
    """
    for one in done:
        ended = now if one.end == "running" else one.ended
        if one.started <= moment + SOON and ended > moment:
            moment = ended
    return moment


def _again(
    job: Job, state: State, at: datetime, slot: datetime, why: str, tries: int, now: datetime
) -> Outlook:
    return Outlook(job, State.DUE if at <= now else state, at, slot, why, tries)


def pause_before(schedule: ScheduleConfig, times: int, last: Attempt) -> timedelta:
    """How long to wait before the retry of that number (from 1), by the run before it.

    It doubles, up to six hours, less up to a half: by chance, but the same chance whoever asks again.
    """
    minutes = min(schedule.retry_minutes * 2.0 ** min(times - 1, 40), LONGEST.total_seconds() / 60)
    drawn = int.from_bytes(blake2b(f"{last.run} {last.started}".encode(), digest_size=4).digest()) / 2**32
    return timedelta(minutes=minutes * (1.0 - 0.5 * drawn))


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
