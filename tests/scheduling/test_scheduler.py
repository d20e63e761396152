"""What a scheduler does with a workspace, over months of a clock of the test's own."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from freshet.core.cron_times import Cron
from freshet.core.errors import AnswersPending, ConfigError, FreshetError, GateFailed
from freshet.scheduling.pausing import set_pause
from freshet.scheduling.scheduler import Scheduler, Stopped
from freshet.storage.lease import lease
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace
from tests.scheduling.shops import START, Killed, Shop, fail, spend

DAY = timedelta(days=1)
PLANNER = '\n[planner]\nkind = "fake"\n'


def nights(days: int) -> list[datetime]:
    """03:00 of so many days, from the one of START on: it has passed, and is made at once."""
    return [START, *(START.replace(hour=3) + n * DAY for n in range(1, days))]


def test_a_run_every_night(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.until(START + 20 * DAY)
    assert shop.times("run") == nights(21)
    assert {one.outcome for one in shop.records} == {"done"}


def test_times_of_all_three_and_the_new_model_first(tmp_path: Path) -> None:
    shop = Shop(
        tmp_path, 'tune_cron = "0 3 * * SUN"\ncollect_cron = "0 */6 * * *"\nmissed = "skip"' + PLANNER
    )
    shop.until(START + 14 * DAY)
    assert shop.times("finetune") == [START.replace(day=7, hour=3), START.replace(day=14, hour=3)]
    assert shop.times("run") == nights(15)[1:]
    order = [one.command for one in shop.records if one.started.startswith("2024-01-07T03")]
    assert order == ["finetune", "run"]
    # a run collects, so the one of 03:00 counts for the collect of 00:00 only if that was not made yet
    assert len(shop.times("collect")) == 14 * 4


@pytest.mark.parametrize("seed", range(3))
def test_every_due_run_once_whatever_dies(tmp_path: Path, seed: int) -> None:
    """Kills inside runs, and looks at any time: each time has one run that ended well, never two."""
    rng = random.Random(seed)
    zone = rng.choice(["Europe/Berlin", "America/New_York", "UTC"])
    crons = {"run": "15 2 * * *", "finetune": "30 2 * * SUN", "collect": "0 20 * * *"}

    def work(command: str, run: Run) -> None:
        shop.now += timedelta(minutes=rng.randrange(1, 50))
        run.record.seconds = 0
        if rng.random() < 0.2:
            raise Killed

    shop = Shop(
        tmp_path,
        f'timezone = "{zone}"\nrefresh_cron = "{crons["run"]}"\ntune_cron = "{crons["finetune"]}"\n'
        f'collect_cron = "{crons["collect"]}"\nretries = 50{PLANNER}',
        work,
    )
    shop.now = datetime(2024, 3, 1, 12, tzinfo=UTC)  # clocks change within
    end = shop.now + 40 * DAY
    shop.until(end)
    records = shop.records
    for command in ("run", "finetune"):
        cron = Cron(crons[command], ZoneInfo(zone))
        done = [
            datetime.fromisoformat(r.started) for r in records if (r.command, r.outcome) == (command, "done")
        ]
        slots = Counter(cron.until(one) for one in done)
        assert set(slots.values()) == {1}
        time, expected = cron.until(datetime(2024, 3, 1, 12, tzinfo=UTC)), []
        while time is not None and time < end - timedelta(hours=3):
            expected.append(time)
            time = cron.after(time)
        assert set(expected) <= set(slots)
    assert any(one.outcome == "running" for one in records)  # somebody was killed


def test_what_fails_is_tried_again_later_and_later(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "retries = 6\nretry_minutes = 10", lambda *_: fail())
    shop.until(START.replace(hour=3) + DAY)
    tries = shop.times("run")
    assert len(tries) == 7
    for number, (earlier, later) in enumerate(pairwise(tries)):
        full = 10 * 2**number
        assert full / 2 - 0.1 <= (later - earlier).total_seconds() / 60 <= full + 0.1
    assert "6 retries are spent" in shop.told[-1].why
    again = Shop(tmp_path, "retries = 6\nretry_minutes = 10")  # which decides as the first would
    again.now = shop.now
    again.until(shop.now + timedelta(hours=20))
    assert [one.outcome for one in again.records] == ["failed"] * 7 + ["done"]


def test_waiting_grows_to_six_hours_and_not_beyond(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 'retries = 100\nrefresh_cron = "0 3 1 * *"', lambda *_: fail())
    shop.until(datetime(2024, 1, 31, tzinfo=UTC))
    gaps = [later - earlier for earlier, later in pairwise(shop.times("run"))]
    assert max(gaps) <= timedelta(hours=6, minutes=1)
    assert min(gaps[10:]) >= timedelta(hours=3)


@pytest.mark.parametrize("error", [GateFailed("churn"), ConfigError("wrong"), fail])
def test_what_a_retry_does_not_help_waits_for_its_next_time(tmp_path: Path, error: object) -> None:
    def work(command: str, run: Run) -> None:
        if isinstance(error, GateFailed):
            run.end("waiting", "churn")
        if isinstance(error, Exception):
            raise error
        fail(retryable=False)

    shop = Shop(tmp_path, "", work)
    shop.until(START + 3 * DAY)
    assert shop.times("run") == nights(4)
    if isinstance(error, GateFailed):
        assert shop.said("halted")


def test_answers_that_come_later_are_asked_for_later_and_count_as_no_failure(tmp_path: Path) -> None:
    def work(command: str, run: Run) -> None:
        if shop.now < START + timedelta(hours=14):
            raise AnswersPending("100 answers are out")

    shop = Shop(tmp_path, "retries = 0", work)
    shop.until(START + timedelta(hours=20))
    assert [one.outcome for one in shop.records][-2:] == ["pending", "done"]
    assert 6 <= len(shop.records) <= 14


def test_one_that_is_killed_again_and_again_is_given_up(tmp_path: Path) -> None:
    def work(command: str, run: Run) -> None:
        raise Killed

    shop = Shop(tmp_path, "retries = 3", work)
    shop.until(START + timedelta(hours=12))
    assert len(shop.records) == 4
    first, second, third, _ = shop.times("run")
    assert second - first < timedelta(minutes=1) < third - second  # the first time it goes on at once


def test_one_that_is_stopped_goes_on_at_once_and_costs_no_retry(tmp_path: Path) -> None:
    def work(command: str, run: Run) -> None:
        if len(shop.records) < 5:
            raise Stopped("stopped by SIGTERM")

    shop = Shop(tmp_path, "retries = 1", work)
    for _ in range(4):
        with pytest.raises(Stopped):
            shop.scheduler.look()
        shop.start()
    shop.until(START + timedelta(hours=1))
    assert [one.outcome for one in shop.records] == ["failed"] * 4 + ["done"]
    assert shop.records[0].error == "Stopped"


def test_one_that_is_stopped_while_a_query_runs_is_stopped_too(tmp_path: Path) -> None:
    def work(command: str, run: Run) -> None:
        raise RuntimeError("Query interrupted")  # DuckDB's, when a signal comes

    shop = Shop(tmp_path, "retries = 1", work)
    with pytest.raises(KeyboardInterrupt, match="stopped by a signal"):
        shop.scheduler.look()
    assert shop.records[0].was_stopped


def test_a_month_in_which_nothing_can_begin_leaves_no_record(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 'collect_cron = "0 * * * *"')
    with lease(tmp_path / "LEASE", "import"):
        for _ in range(200):
            shop.sleep(shop.scheduler.look() + 4 * 3600)
    assert shop.records == []
    assert len(shop.told) < 10  # the same is told once
    assert shop.said("not begun")
    shop.until(shop.now + timedelta(minutes=5))
    assert [one.outcome for one in shop.records] == ["done"]  # a run collects as well


def test_a_pause_outlives_everything_and_ends_with_one_run(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.until(START + 3 * DAY)
    set_pause(tmp_path, True, "ann", "stocktaking", shop.now)
    before = len(shop.records)
    for _ in range(5):
        shop.start()  # as after a kill
        shop.until(shop.now + DAY)
    assert len(shop.records) == before
    assert "paused by ann since 2024-01-04T12:00:00+00:00: stocktaking" in shop.told[-1].why
    set_pause(tmp_path, False, "bob", "", shop.now)
    shop.until(shop.now + timedelta(hours=1))
    assert len(shop.records) == before + 1


@pytest.mark.parametrize(("missed", "expected"), [("run", 1), ("skip", 0)])
def test_times_that_passed_while_nobody_looked(tmp_path: Path, missed: str, expected: int) -> None:
    shop = Shop(tmp_path, f'missed = "{missed}"')
    shop.now = START + 30 * DAY
    shop.until(shop.now + timedelta(hours=2))
    assert len(shop.records) == expected
    shop.until(shop.now + DAY)
    assert len(shop.records) == expected + 1


def test_nothing_begins_in_a_blackout(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 'blackout = ["Mon-Fri 02:00-05:30", "22:00-04:00"]\nmissed = "run"')
    shop.until(START + 14 * DAY)
    for one in shop.times("run")[1:]:
        assert (one.hour, one.minute) == ((5, 30) if one.weekday() < 5 else (4, 0)), one
    assert len(shop.times("run")) == 15


@pytest.mark.parametrize("seed", range(3))
def test_no_month_costs_more_than_its_budget(tmp_path: Path, seed: int) -> None:
    """Runs of one kind cost the same here; what a run costs beyond what was expected can't be known before."""
    rng = random.Random(seed)
    look, refresh, tune = rng.randrange(0, 3), rng.randrange(3, 30), rng.randrange(10, 60)
    budget, zone = rng.randrange(100, 300), "America/New_York"

    def work(command: str, run: Run) -> None:
        if command == "finetune":
            spend(run, tune, "tuning")
        elif rng.random() < 0.5:
            spend(run, refresh, "table")
        else:
            spend(run, look, "cadence")

    shop = Shop(
        tmp_path,
        f'budget_per_month = {budget}\ntimezone = "{zone}"\ntune_cron = "0 1 * * SUN"{PLANNER}',
        work,
    )
    shop.run("run", lambda _, run: spend(run, refresh))  # what things cost is known
    shop.run("finetune", lambda _, run: spend(run, tune, "tuning"))
    shop.until(START + 70 * DAY)
    months: Counter[str] = Counter()
    for one in shop.records:
        months[f"{datetime.fromisoformat(one.started).astimezone(ZoneInfo(zone)):%Y-%m}"] += round(one.money)
    assert max(months.values()) <= budget
    assert len(months) == 3  # each month begins anew
    waits = shop.said("budget")
    if 15 * refresh + 4 * tune > budget:  # every other look refreshes
        assert waits
        assert all(
            one.next_at is not None and one.next_at.astimezone(ZoneInfo(zone)).day == 1 for one in waits
        )


def test_a_budget_below_one_run_says_so_and_a_higher_one_helps_at_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path, "budget_per_month = 5", lambda _, run: spend(run, 9))
    shop.until(START + 40 * DAY)
    assert len(shop.records) == 1  # nothing was known of what it costs
    assert "more than budget_per_month" in shop.said("budget")[-1].why
    shop.configure("budget_per_month = 50")
    shop.until(shop.now + DAY)
    assert len(shop.records) >= 2


def test_runs_by_hand_count(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.until(START + timedelta(hours=1))
    shop.now = START.replace(hour=3) + DAY + timedelta(seconds=5)
    shop.run("run")
    shop.until(START + DAY)
    assert len(shop.records) == 2


def test_what_another_was_quicker_with_is_not_made_twice(tmp_path: Path) -> None:
    """A look that is old by the time the lease is held: as of a leader that slept for an hour."""
    shop = Shop(tmp_path)
    other = Shop(tmp_path)
    real = shop.scheduler._commands["run"]
    shop.scheduler._commands = {"run": lambda ws, now: (other.scheduler.look(), real(ws, now))[1]}
    shop.scheduler.look()
    assert [one.outcome for one in shop.records] == ["done"]
    assert [one.what for one in shop.told] == ["made elsewhere"]


def test_settings_that_are_wrong_stop_nothing_for_good(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    (tmp_path / "freshet.toml").write_text("[schedule")
    shop.until(START + timedelta(hours=1))
    assert "is not valid TOML" in shop.said("trouble")[0].why
    assert len(shop.said("trouble")) == 1
    shop.configure("")
    shop.until(START + timedelta(hours=2))
    assert len(shop.records) == 1


def test_a_standby_acts_when_nobody_leads(tmp_path: Path) -> None:
    shop, other = Shop(tmp_path), Shop(tmp_path)
    with lease(tmp_path / "SCHEDULER", "schedule"):
        shop.scheduler.lead(lambda: True)
        assert [one.what for one in shop.told] == ["standby"]
        assert shop.records == []
    other.scheduler.lead(lambda: not other.scheduler.began)
    assert len(shop.records) == 1


def test_what_goes_wrong_beside_the_runs_is_told_and_stops_nothing(tmp_path: Path) -> None:
    kept: list[datetime] = []

    def breaks(_: Workspace, __: datetime) -> None:
        raise ZeroDivisionError("no days")

    def fails(_: Workspace, __: datetime) -> None:
        raise FreshetError("the disk is full")

    shop = Shop(tmp_path)
    shop.scheduler = Scheduler(
        shop.open,
        shop.commands(),
        lambda: shop.now,
        shop.sleep,
        shop.told.append,
        {"alerts": breaks, "retention": fails, "gc": lambda _, now: kept.append(now)},
    )
    shop.until(START + 2 * DAY)
    assert shop.times("run") == nights(3)
    assert len(kept) >= 3
    alerts, retention = (one.why for one in shop.said("trouble"))  # each is told once
    assert "alerts failed beside the runs: ZeroDivisionError: no days" in alerts
    assert retention == "the disk is full"
