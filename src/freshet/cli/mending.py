"""`freshet doctor`: what a crash, a disk or a hand has left, found and repaired."""

from __future__ import annotations

from typing import Annotated

import typer

from freshet.cli import answers
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened

UNHEALTHY = 7
"""Exit code where something was found that is not repaired."""


def add(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("doctor", epilog="Example: `freshet doctor -w shop --repair`")(doctor)


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be; without it nothing is touched.")
    ] = False,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Check every file of a workspace against its checksum; find and repair what a crash can leave."""
    from freshet import doctor as practice
    from freshet.cli import show

    with opened(workspace, wait) as ws:
        result = practice.check(ws, repair)
    answer(answers.examined(result), as_json, lambda console: show.examined(console, result, repair))
    if not result.healthy:
        raise typer.Exit(UNHEALTHY)
