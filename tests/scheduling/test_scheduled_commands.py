"""What a scheduler runs, on a real workspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from freshet.inspect import schedule_view
from freshet.scheduling.outlook import State
from freshet.scheduling.scheduled_commands import commands
from freshet.scheduling.scheduler import Scheduler
from freshet.storage.workspace import Workspace
from tests.scheduling.shops import START, Shop


@contextmanager
def never_served(_: Workspace) -> Iterator[None]:
    yield None


def test_collects_of_a_workspace_that_was_never_served_are_made_once_per_time(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 'collect_cron = "0 * * * *"')
    made = shop.commands() | {"collect": commands(never_served)["collect"]}
    shop.scheduler = Scheduler(shop.open, made, lambda: shop.now, shop.sleep, shop.told.append)
    shop.until(START + timedelta(hours=3, minutes=30))
    assert [one.hour for one in shop.times("collect")] == [13, 14, 15]
    last = shop.records[-1]
    assert (last.outcome, last.message) == ("done", "it was never served: nothing to collect")
    collect = schedule_view(shop.open(), shop.now).job("collect")
    assert collect is not None
    assert (collect.state, collect.overdue) == (State.IDLE, False)
