"""Alerts, drawn: the urgent ones first, each with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from freshet.alerting.catalogue import kind_of
from freshet.cli.screen import styled
from freshet.cli.show import line, table

if TYPE_CHECKING:
    from freshet.alerting.look import Delivery, Looked

STYLES = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


def firing(console: Console, found: Looked) -> None:
    """What fires, and who was told."""
    if not found.firing:
        line(console, "nothing fires")
    else:
        drawn = table("alert", "severity", "since", "what is known, and what to do first")
        for one in found.firing:
            kind = kind_of(one.name)
            drawn.add_row(
                one.name,
                styled(one.severity, STYLES[one.severity]),
                f"{one.since:%Y-%m-%d %H:%M}",
                one.summary,
            )
            if kind is not None:
                drawn.add_row("", "", "", styled(kind.first, "dim"))
        console.print(drawn)
        line(console, "docs/how-to/runbook.md has a section on each")
    deliveries(console, found.deliveries)
    for name, trouble in found.troubles.items():
        again = f"{trouble.next_try:%Y-%m-%d %H:%M:%S} UTC"
        line(console, f"{name}: failed {trouble.tries} times, tried again at {again}: {trouble.why}")


def deliveries(console: Console, told: Sequence[Delivery]) -> None:
    """Who was told, or why not."""
    for one in told:
        line(console, f"{one.receiver}: {one.failed or f'told of {one.alerts}'}")
