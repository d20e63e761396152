"""What is played ahead is what then happens."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from freshet.scheduling.attempts import attempts
from freshet.scheduling.forecast import Planned, forecast
from freshet.scheduling.jobs import tunes
from freshet.scheduling.outlook import looked_back_to
from freshet.scheduling.pausing import Pause
from freshet.storage.ledger import Run
from tests.scheduling.shops import START, Shop, spend

DAY = timedelta(days=1)


def ahead(shop: Shop, days: int, pause: Pause | None = None) -> list[Planned]:
    ws = shop.open()
    done = attempts(ws.ledger, looked_back_to(ws.config, shop.now), writing=False, tunes=tunes(ws.config))
    return list(forecast(ws.config, done, shop.now, days, pause))


def test_the_forecast_is_what_happens(tmp_path: Path) -> None:
    made: list[datetime] = []

    def work(command: str, run: Run) -> None:
        run.record.as_of = f"{shop.now:%F}"
        if command == "run" and (not made or (shop.now.date() - made[-1].date()).days >= 3):
            made.append(shop.now)
            spend(run, 20)

    shop = Shop(
        tmp_path, 'blackout = ["Sun 00:00-12:00"]\nbudget_per_month = 130\ncollect_cron = "0 9 * * MON"', work
    )
    shop.until(START + DAY)
    planned = ahead(shop, 40)
    known = len(shop.records)
    shop.until(START + 41 * DAY)
    ran = [(one.command, datetime.fromisoformat(one.started)) for one in shop.records[known:]]
    said = [("collect" if one.what == "collects" else "run", one.at) for one in planned if one.until is None]
    assert said == ran
    assert [one.at for one in planned if one.what == "refreshes"] == made[1:]
    assert {one.what for one in planned} == {"refreshes", "looks", "collects", "blackout", "budget"}


def test_a_pause_is_all_there_is(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    found = ahead(shop, 5, Pause(True, "ann", "why", "2024-01-01"))
    assert {one.what for one in found} == {"paused"}
    assert shop.records == []  # nothing is written by looking ahead


def test_a_tuning_comes_when_its_days_are_over(tmp_path: Path) -> None:
    def work(command: str, run: Run) -> None:
        run.record.as_of = f"{shop.now:%F}"
        spend(run, 30, "tuning", "table")

    shop = Shop(tmp_path, '\n[planner]\nkind = "fake"\n[tuning]\nevery_days = 10\n', work)
    shop.run("run")
    tunes = [one for one in ahead(shop, 35) if one.what == "tunes"]
    assert [one.at.day for one in tunes] == [11, 21, 31]
    assert tunes[0].expected == 30
