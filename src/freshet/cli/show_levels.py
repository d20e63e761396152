"""Service levels, drawn: those that need a person first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from freshet.cli.screen import styled
from freshet.cli.show import table

if TYPE_CHECKING:
    from freshet.inspect import ServiceLevels

STYLES = {"breach": "bold red", "warn": "yellow", "ok": "green"}
ORDER = ("breach", "warn", "unknown", "ok", "off")


def levels(console: Console, found: ServiceLevels) -> None:
    """One row a level."""
    drawn = table("service level", "state", "what there is to know")
    for one in sorted(found.levels, key=lambda level: ORDER.index(level.state)):
        drawn.add_row(one.name, styled(one.state, STYLES.get(one.state, "dim")), one.sentence)
    console.print(drawn)
