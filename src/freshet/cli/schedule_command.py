"""`freshet schedule`: runs what is due by itself."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, Here, answer, opened, user_store
from freshet.cli.review_commands import me
from freshet.cli.schedule_content import schedule_content, times
from freshet.core.errors import ConfigError
from freshet.core.escaping import json_text
from freshet.core.time import utc_now

if TYPE_CHECKING:
    from freshet.scheduling.scheduler import Decision
    from freshet.storage.workspace import Workspace


def schedule(
    workspace: Here = HERE,
    once: Annotated[bool, typer.Option("--once", help="Run what is due now and end, as from cron.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Tell what is due when, and why.")] = False,
    dry_run: Annotated[
        int, typer.Option("--dry-run", metavar="DAYS", min=0, max=400, help="Tell what would run when.")
    ] = 0,
    pause: Annotated[
        str | None, typer.Option("--pause", metavar="WHY", help="Begin nothing until --resume.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="End a pause.")] = False,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who pauses; you by default.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document, of the daemon one per line and decision.")
    ] = False,
) -> None:
    """Run the fast path, the slow path and `collect` at their times in [schedule], until told to stop.

    One of several schedulers of a workspace acts; another takes over when it ends. SIGTERM and Ctrl-C stop
    the run under way, with which the next one goes on; killed in any other way, it does so as well.
    """
    if sum((once, status, dry_run > 0, pause is not None, resume)) > 1:
        raise ConfigError("--once, --status, --dry-run, --pause and --resume exclude each other")
    if pause is not None or resume:
        _pause(workspace, pause, by, as_json)
    elif status:
        _status(workspace, as_json)
    elif dry_run:
        _forecast(workspace, dry_run, as_json)
    else:
        _run(workspace, once, as_json)


def upkeep() -> dict[str, Callable[[Workspace, datetime], object]]:
    """What is done beside the runs, by name: after each of them, and every few minutes."""
    from freshet.alerting.look import look
    from freshet.cleanup import collect_when_due
    from freshet.retention import retain_daily
    from freshet.wiring_alerts import live_state, receivers_of

    def alerts(ws: Workspace, now: datetime) -> None:
        if receivers := receivers_of(ws.config.alerts):
            look(ws, now, receivers, live_state(ws))

    return {"alerts": alerts, "retention": retain_daily, "gc": collect_when_due}


def _run(workspace: Path, once: bool, as_json: bool) -> None:
    from freshet.cli.screen import Screen
    from freshet.core.priority import make_way
    from freshet.scheduling.scheduled_commands import commands
    from freshet.scheduling.scheduler import Decision, Scheduler, Stopped
    from freshet.wiring import open_workspace
    from freshet.wiring_buckets import check_out

    tell = _teller(as_json)
    with Screen() as screen:

        def looked_at() -> Workspace:
            ws = open_workspace(check_out(workspace), screen)
            make_way(ws.config.schedule.nice)
            return ws

        scheduler = Scheduler(
            looked_at,
            commands(user_store),
            utc_now,
            time.sleep,
            tell,
            upkeep(),
        )
        try:
            with _raising(Stopped):
                if once:
                    scheduler.lead(lambda: not scheduler.began)
                else:
                    scheduler.run()
        except KeyboardInterrupt as stopped:
            tell(Decision(utc_now(), "", "stopped", str(stopped)))
    if once and scheduler.error is not None:
        raise scheduler.error


def _teller(as_json: bool) -> Callable[[Decision], None]:
    from freshet.cli.screen import Plain
    from freshet.cli.show import line
    from freshet.cli.show_schedule import minute

    console = Plain(stderr=True)

    def tell(decision: Decision) -> None:
        if as_json:
            sys.stdout.write(json_text(document("schedule", times(asdict(decision))), None) + "\n")
            sys.stdout.flush()
            return
        about = " ".join(filter(None, (decision.job, decision.what)))
        run = f" run {decision.run}" if decision.run else ""
        then = f" (next: {minute(decision.next_at)})" if decision.next_at else ""
        why = f": {decision.why}" if decision.why else ""
        line(console, f"{minute(decision.at)} {about}{run}{why}{then}")

    return tell


@contextmanager
def _raising(stopped: type[BaseException]) -> Iterator[None]:
    """SIGTERM and SIGINT raise it in the block; a second one ends the process as usual."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stop(number: int, _: object) -> None:
        for one, handler in before.items():
            signal.signal(one, handler)
        raise stopped(f"stopped by {signal.Signals(number).name}")

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _pause(workspace: Path, why: str | None, by: str, as_json: bool) -> None:
    from freshet.cli import show_schedule
    from freshet.core.config import load
    from freshet.scheduling.pausing import FILE, set_pause
    from freshet.wiring import SETTINGS
    from freshet.wiring_buckets import written_back

    load(workspace / SETTINGS)  # it is a workspace
    with written_back(workspace, FILE):
        said = set_pause(workspace, why is not None, by or me(), why or "", datetime.now(UTC))
    content = document("schedule", {"pause": asdict(said)})
    answer(content, as_json, lambda console: show_schedule.pause(console, said))


def _status(workspace: Path, as_json: bool) -> None:
    from freshet import inspect
    from freshet.cli import show_schedule

    with opened(workspace) as ws:
        found = inspect.schedule_view(ws, utc_now())
    content = document("schedule", schedule_content(found))
    answer(content, as_json, lambda console: show_schedule.view(console, found))


def _forecast(workspace: Path, days: int, as_json: bool) -> None:
    from freshet.cli import show_schedule
    from freshet.scheduling.attempts import attempts
    from freshet.scheduling.forecast import forecast
    from freshet.scheduling.jobs import tunes
    from freshet.scheduling.outlook import looked_back_to
    from freshet.scheduling.pausing import paused

    with opened(workspace) as ws:
        now = utc_now().replace(microsecond=0)
        since, writes = looked_back_to(ws.config, now), ws.is_written()
        done = attempts(ws.ledger, since, writing=writes, tunes=tunes(ws.config))
        found = list(forecast(ws.config, done, now, days, paused(ws.root)))
        currency = ws.config.prices.currency
    content = document(
        "schedule",
        {
            "from": now.isoformat(),
            "until": (now + timedelta(days=days)).isoformat(),
            "currency": currency,
            "planned": [times(asdict(one)) for one in found],
        },
    )
    answer(content, as_json, lambda console: show_schedule.forecast(console, found, currency))
