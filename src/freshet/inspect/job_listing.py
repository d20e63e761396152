"""What runs by itself, and when: for `freshet status`, the dashboard and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from freshet.core.blackout import blackout_until
from freshet.core.config import Config
from freshet.core.config.schedule_section import ScheduleConfig
from freshet.scheduling.attempts import Attempt, attempts, since
from freshet.scheduling.jobs import Name, tunes
from freshet.scheduling.leadership import leader
from freshet.scheduling.monthly_budget import Spending, spending, tuning_due
from freshet.scheduling.outlook import LATE, Outlook, State, free_since, looked_back_to, outlooks
from freshet.scheduling.pausing import Pause, paused
from freshet.storage.lease_owner import Owner
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class JobView:
    """One thing that runs by itself.

    Attributes:
        job: fast (path), slow (path) or collect.
        state: idle, due, running, retry, pending, paused, blackout or budget (what holds it back).
        next_at: when it begins, or is looked at, next (UTC); None while only a person can go on. The slow
            path without times of its own is due with the first look of the fast path after its date.
        why: of the state, in a sentence.
        last: the last run of its commands, whoever made it; None before there was one.
        last_failure: the last that failed or was killed, if none went well since.
        tries: failed runs since its last time.
        expected_cost: of its next run, in money.
        overdue: it should have begun more than an hour ago, and nothing that is known holds it back, such as
            another run: no scheduler is alive, or it can't get the workspace.
    """

    job: Name
    state: State
    next_at: datetime | None
    why: str
    last: Attempt | None
    last_failure: Attempt | None
    tries: int
    expected_cost: float
    overdue: bool


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """All that runs by itself.

    Attributes:
        at: the moment of the look (UTC).
        policy: of `[schedule]`.
        jobs: the slow path (where there is one), the fast path, collect (where it has times of its own).
        paused: by whom, why, since when; None where nobody paused.
        blackout_until: end of the blackout that is now; None outside one.
        money: spent this month, and the budget.
        leader: the scheduler that acts; None where none does. One that died on another machine is still
            named for a while: `overdue` tells sooner or later.
    """

    at: datetime
    policy: str
    jobs: tuple[JobView, ...]
    paused: Pause | None
    blackout_until: datetime | None
    money: Spending
    leader: Owner | None

    def job(self, name: Name) -> JobView | None:
        """One of the jobs; None where there is none such."""
        return next((one for one in self.jobs if one.job == name), None)


def schedule_view(ws: Workspace, now: datetime) -> ScheduleView:
    """What runs by itself in a workspace, as of now.

    Raises:
        ArtifactError: a record of a run, or of a pause, is damaged.
    """
    config, pause = ws.config, paused(ws.root)
    done = attempts(ws.ledger, looked_back_to(config, now), writing=ws.is_written(), tunes=tunes(config))
    found = outlooks(config, done, now, pause)
    jobs = [_view(one, config.schedule, done, now) for one in found]
    if (tuning := tuning_due(config, done)) is not None:
        jobs.insert(
            0, _within(next(one for one in found if one.job.name == "fast"), config, done, tuning, now)
        )
    return ScheduleView(
        now,
        config.schedule.policy,
        tuple(jobs),
        pause,
        blackout_until(config.schedule.windows, config.schedule.zone, now),
        spending(config, done, now),
        leader(ws),
    )


def _view(found: Outlook, schedule: ScheduleConfig, done: Sequence[Attempt], now: datetime) -> JobView:
    last, failure = _last(done, found.job.counted)
    overdue = _is_overdue(found, schedule, done, now)
    return JobView(
        found.job.name, found.state, found.at, found.why, last, failure, found.tries, found.expected, overdue
    )


def _is_overdue(found: Outlook, schedule: ScheduleConfig, done: Sequence[Attempt], now: datetime) -> bool:
    if found.state is not State.DUE or found.at is None or any(one.end == "running" for one in done):
        return False
    could = found.at
    missed = found.job.cron.until(now - LATE)
    if missed is not None and schedule.missed == "run" and not since(done, found.job.counted, missed):
        could = min(could, missed)  # a newer time that came since does not end it
    before = None
    while could != before and could < now:  # a run may last beyond a blackout, and the other way around
        before, could = could, free_since(done, could, now)
        could = blackout_until(schedule.windows, schedule.zone, could) or could
    return now - could > LATE


def _within(fast: Outlook, config: Config, done: Sequence[Attempt], due: datetime, now: datetime) -> JobView:
    """The slow path that the fast path makes first, where its time has come."""
    tuned = [one for one in done if one.tuned or one.command == "finetune"]
    last = tuned[-1] if tuned else None
    failure = last if last is not None and last.end in ("failed", "killed") else None
    at, state, why = fast.at, fast.state, f"with the fast path: {fast.why}"
    if due > now:
        at, state = fast.job.cron.after(due - timedelta(seconds=1)), State.IDLE
        why = f"every {config.tuning.every_days} days, with the first look of the fast path from {due:%F} on"
    expected = max([0.0, *(one.slow for one in done if one.tuned)][-5:])
    return JobView("slow", state, at, why, last, failure, 0, expected, False)


def _last(done: Sequence[Attempt], commands: Sequence[str]) -> tuple[Attempt | None, Attempt | None]:
    mine = [one for one in done if one.command in commands]
    if not mine:
        return None, None
    ended = [one for one in mine if one.end != "running"]
    failed = ended[-1] if ended and ended[-1].end in ("failed", "killed") else None
    return mine[-1], failed
