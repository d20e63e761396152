"""`freshet explain`, `status`, `history`, `diff` and `report`: the commands that only read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from freshet.cli import answers
from freshet.cli.options import HERE, AsJson, Here, answer, number, opened


def add(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("explain", epilog="Example: `freshet explain -w shop 12 'jazz saxophone'`")(explain)
    app.command("status", epilog="Example: `freshet status -w shop --json`")(status)
    app.command("history", epilog="Example: `freshet history -w shop 00003`")(history)
    app.command("diff", epilog="Example: `freshet diff -w shop 1 2`")(diff)
    app.command("report", epilog="Example: `freshet report -w shop --into report.html`")(report)


def explain(
    interests: Annotated[
        list[str] | None,
        typer.Argument(metavar="INTEREST", help="Ids or descriptions, most recent last; at most k."),
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="RELEASE", help="The current one by default.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Successors shown.")] = 10,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Prompt, evidence, ranked successors, scores and provenance of one context."""
    from freshet import inspect
    from freshet.cli import show

    with opened(workspace) as ws:
        chosen = None if release is None else number(release)
        found = inspect.explain(ws, interests or [], chosen, top)
    answer(answers.explained(found), as_json, lambda console: show.explanation(console, found))


def status(workspace: Here = HERE, as_json: AsJson = False) -> None:
    """What serves, how old it is, what is due, what waits, and what drives this log."""
    from freshet import inspect
    from freshet.cli import show

    with opened(workspace) as ws:
        state = inspect.status(ws, datetime.now(UTC).date())
    answer(answers.status(workspace, state), as_json, lambda console: show.status(console, workspace, state))


def history(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="One run in detail.")] = None,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """All runs with outcome, cost and rows changed; or one run in detail."""
    from freshet import inspect
    from freshet.cli import show

    with opened(workspace) as ws:
        if run is None:
            lines = inspect.history(ws)
            answer(answers.history(lines), as_json, lambda console: show.history(console, lines))
            return
        record = ws.ledger.get(run)
        outcome = inspect.outcome(ws, record)
    answer(answers.one_run(record, outcome), as_json, lambda console: show.run(console, record, outcome))


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="The earlier release.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The later release.")],
    most: Annotated[int, typer.Option("--most", min=0, help="Contexts listed.")] = 10,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Two releases: changed rows, churn of the top 5, contexts that changed most, weights."""
    from freshet import inspect
    from freshet.cli import show

    with opened(workspace) as ws:
        found = inspect.compare(ws, number(a), number(b), most)
    answer(answers.diff(found), as_json, lambda console: show.diff(console, found))


def report(
    into: Annotated[Path | None, typer.Option("--into", metavar="FILE", help="DIR/report.html.")] = None,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Write the HTML page of what happened."""
    from freshet.report import write_report

    with opened(workspace) as ws:
        path = write_report(ws, into or workspace / "report.html")
    answer(answers.report(path), as_json, lambda console: console.print(f"wrote {path}", soft_wrap=True))
