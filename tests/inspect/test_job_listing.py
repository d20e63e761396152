"""What people and alerts are told of what runs by itself."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from freshet.core.errors import FreshetError
from freshet.inspect import schedule_view
from freshet.scheduling.outlook import State
from freshet.scheduling.pausing import set_pause
from freshet.storage.ledger import Run
from tests.scheduling.shops import START, Shop, spend

DAY = timedelta(days=1)


def test_a_failure_and_what_comes_next(tmp_path: Path) -> None:
    def away(command: str, run: Run) -> None:
        raise FreshetError("the server is away", retryable=True)

    shop = Shop(tmp_path, "budget_per_month = 10")
    shop.run("run", lambda _, run: spend(run, 4))
    shop.now += timedelta(hours=16)
    shop.work = away
    shop.scheduler.look()
    view = schedule_view(shop.open(), shop.now)
    [job] = view.jobs
    assert job.state is State.RETRY
    assert job.next_at is not None
    assert timedelta() < job.next_at - shop.now <= timedelta(minutes=5)
    assert job.last_failure is not None
    assert "the server is away" in job.why
    assert (job.tries, view.money.spent, view.money.left) == (1, 4, 6)
    assert view.leader is None
    shop.work = lambda *_: None
    shop.until(shop.now + timedelta(hours=1))
    [job] = schedule_view(shop.open(), shop.now).jobs
    assert job.last_failure is None
    assert job.state is State.IDLE


def test_nobody_runs_what_is_due(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.run("run")
    assert not schedule_view(shop.open(), shop.now).jobs[0].overdue
    late = START.replace(hour=3) + DAY
    assert not schedule_view(shop.open(), late + timedelta(minutes=50)).jobs[0].overdue
    assert schedule_view(shop.open(), late + timedelta(minutes=70)).jobs[0].overdue
    set_pause(tmp_path, True, "ann", "", shop.now)  # then it is known why
    assert not schedule_view(shop.open(), late + timedelta(minutes=70)).jobs[0].overdue


def test_the_slow_path_within_the_fast_one(tmp_path: Path) -> None:
    def work(command: str, run: Run) -> None:
        run.record.as_of = f"{shop.now:%F}"
        spend(run, 30, "tuning", "table")

    shop = Shop(tmp_path, '\n[planner]\nkind = "fake"\n[tuning]\nevery_days = 10\n', work)
    view = schedule_view(shop.open(), shop.now)
    assert [one.job for one in view.jobs] == ["slow", "fast"]
    shop.run("run")
    slow = schedule_view(shop.open(), shop.now).job("slow")
    assert slow is not None
    assert slow.next_at == (START + 10 * DAY).replace(hour=3)
    assert slow.expected_cost == 30


def test_the_last_tuning_is_known_behind_many_collects(tmp_path: Path) -> None:
    def work(command: str, run: Run) -> None:
        run.record.as_of = f"{shop.now:%F}"
        spend(run, 30, "tuning", "table")

    shop = Shop(
        tmp_path,
        'collect_cron = "0 * * * *"\nbudget_per_month = 20\n[planner]\nkind = "fake"\n[tuning]\nevery_days = 42\n',
    )
    shop.run("run", work)
    shop.now = START.replace(month=2)
    for _ in range(210):
        shop.run("collect")
        shop.now += timedelta(hours=1)
    slow = schedule_view(shop.open(), shop.now).job("slow")
    assert slow is not None
    assert slow.next_at == START.replace(month=2, day=12, hour=3)
    assert slow.expected_cost == 30
    shop.now += 3 * DAY  # the tuning is due, and costs more than there is
    fast = schedule_view(shop.open(), shop.now).job("fast")
    assert fast is not None
    assert fast.state is State.BUDGET


def lasted(shop: Shop, command: str, hours: float) -> None:
    """Somebody made a run that took so long, and it is now its end."""
    record = shop.run(command)
    record.seconds = hours * 3600
    shop.open().ledger.save(record)
    shop.now += timedelta(hours=hours)


@pytest.mark.parametrize("missed", ["run", "skip"])
def test_what_waits_for_another_run_is_neither_overdue_nor_missed(tmp_path: Path, missed: str) -> None:
    shop = Shop(tmp_path, f'missed = "{missed}"\ntune_cron = "0 3 * * *"\n[planner]\nkind = "fake"\n')
    shop.run("run")
    shop.now = START.replace(hour=3) + DAY

    def looks(_: str, run: Run) -> None:  # hours later it is still running
        run.record.seconds = 5 * 3600
        shop.open().ledger.save(run.record)
        view = schedule_view(shop.open(), shop.now + timedelta(hours=5))
        assert [one.state for one in view.jobs] == [State.RUNNING, State.DUE]
        assert not any(one.overdue for one in view.jobs)

    shop.run("finetune", looks)
    shop = Shop(
        tmp_path / "other", f'missed = "{missed}"\ntune_cron = "0 3 * * *"\n[planner]\nkind = "fake"\n'
    )
    shop.run("run")
    shop.now = START.replace(hour=3) + DAY
    lasted(shop, "finetune", 5)
    fast = schedule_view(shop.open(), shop.now).job("fast")
    assert fast is not None
    assert (fast.state, fast.overdue) == (State.DUE, False)
    fast = schedule_view(shop.open(), shop.now + timedelta(minutes=70)).job("fast")
    assert fast is not None
    assert (fast.state, fast.overdue) == ((State.DUE, True) if missed == "run" else (State.IDLE, False))


def test_short_runs_that_somebody_else_makes_do_not_hide_that_no_scheduler_is_alive(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.run("run")
    shop.now = START.replace(hour=3) + DAY
    for _ in range(4):
        lasted(shop, "collect", 0.1)
        shop.now += timedelta(minutes=54)
    assert schedule_view(shop.open(), shop.now).jobs[0].overdue


@pytest.mark.parametrize(
    ("cron", "hours"),
    [("0 3 * * *", range(28, 80)), ("0 * * * *", range(28, 80)), ("0 3 1 * *", range(4, 30))],
)
def test_what_is_overdue_stays_so_when_its_next_time_comes(tmp_path: Path, cron: str, hours: range) -> None:
    shop = Shop(tmp_path, f'refresh_cron = "{cron}"\n')
    shop.now = START.replace(month=1, day=31, hour=12)
    shop.run("run")
    first = START.replace(month=2, day=1, hour=0)
    for hour in hours:
        view = schedule_view(shop.open(), first + timedelta(hours=hour, minutes=10))
        assert view.jobs[0].overdue, hour
    shop.now = first + timedelta(hours=hours[-1], minutes=20)
    shop.run("run")
    assert not schedule_view(shop.open(), shop.now).jobs[0].overdue


def test_what_a_blackout_held_back_is_not_overdue_at_its_end(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 'blackout = ["00:00-08:00"]\n')
    shop.run("run")
    end = START.replace(hour=8) + DAY
    [job] = schedule_view(shop.open(), end).jobs
    assert (job.state, job.overdue) == (State.DUE, False)
    assert not schedule_view(shop.open(), end + timedelta(minutes=50)).jobs[0].overdue
    assert schedule_view(shop.open(), end + timedelta(minutes=70)).jobs[0].overdue
