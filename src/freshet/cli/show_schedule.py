"""What people see of what runs by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console

from freshet.cli.show import line, table

if TYPE_CHECKING:
    from freshet.inspect import ScheduleView
    from freshet.scheduling.forecast import Planned
    from freshet.scheduling.pausing import Pause

PATHS = {"slow": "slow path", "fast": "fast path", "collect": "collect"}


def minute(moment: datetime | None) -> str:
    """A time to the minute, in UTC; - for none."""
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


def view(console: Console, found: ScheduleView) -> None:
    """What runs by itself, when and why."""
    drawn = table("", "state", "next (UTC)", "last run", "why")
    for job in found.jobs:
        last = f"{job.last.run} {job.last.end} {minute(job.last.started)}" if job.last else "-"
        state = f"{job.state} (overdue)" if job.overdue else str(job.state)
        drawn.add_row(PATHS[job.job], state, minute(job.next_at), last, job.why)
    console.print(drawn)
    if found.paused is not None:
        line(console, str(found.paused))
    if found.blackout_until is not None:
        line(console, f"blackout until {minute(found.blackout_until)} UTC")
    money = found.money
    of = f" of {money.limit:.2f}" if money.limit else ""
    line(
        console,
        f"{money.spent:.2f}{of} {money.currency} spent this month, which ends {minute(money.end)} UTC",
    )
    if found.leader is not None:
        line(
            console,
            f"scheduler: process {found.leader.pid} on {found.leader.host} since {found.leader.since}",
        )
    else:
        line(console, "no scheduler runs: `freshet schedule` is one")


def by_itself(console: Console, found: ScheduleView) -> None:
    """The next runs in a line each; nothing where none is made by itself, or others than we do it."""
    if found.leader is None and found.paused is None:
        return
    for job in found.jobs:
        when = f"next {minute(job.next_at)} UTC" if job.next_at is not None else "no next time"
        line(console, f"{PATHS[job.job]}: {job.state}, {when}; {job.why}")


def pause(console: Console, said: Pause) -> None:
    """A pause, or its end."""
    if said.on:
        line(console, f"`freshet schedule` begins nothing: {said}")
    else:
        line(console, f"`freshet schedule` goes on with what is due: {said.by} ended the pause")


def forecast(console: Console, found: Sequence[Planned], currency: str) -> None:
    """What would run when."""
    drawn = table("at (UTC)", "", "", f">{currency}", "why")
    for one in found:
        why = f"until {minute(one.until)}: {one.why}" if one.until else one.why
        drawn.add_row(minute(one.at), PATHS[one.job], one.what, f"{one.expected:.4f}", why)
    console.print(drawn)
    held = ("paused", "blackout", "budget")
    total = sum(one.expected for one in found if one.what not in held)
    runs = sum(1 for one in found if one.what not in held)
    line(console, f"{runs} runs, {total:.2f} {currency} expected, if every run goes well")
