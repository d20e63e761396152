"""`freshet interests`, `explain`, `status`, `history`, `diff` and `report`: looking at a workspace."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document, gate_content, levels_content, run_content
from freshet.cli.options import HERE, AsJson, Here, Moment, Wait, answer, opened, parse_moment, release_number
from freshet.cli.schedule_content import schedule_content
from freshet.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

LISTED = 50
"""Runs that `freshet history` lists as text unless told otherwise: what fits a screen or two."""


def interests(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Form them anew; ids are kept where clusters overlap.")
    ] = False,
    as_of: Moment = None,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """List the interests, formed first if there are none."""
    from freshet import inspect
    from freshet.cli import show_inspect

    at = parse_moment(as_of)
    with opened(workspace, wait, makes_way=True) as ws:
        version = None if rebuild or as_of else inspect.formed(ws)
        made_by = None
        if version is None:
            from freshet import operations

            record, known = operations.form_interests(ws, at, rebuild)
            version, made_by = known.interests_version, record.id
        listed = inspect.listing(ws, version)
    content = document("interests", {"run": made_by, **asdict(listed)})
    answer(content, as_json, lambda console: show_inspect.interests(console, listed))


def explain(
    interests: Annotated[
        list[str] | None,
        typer.Argument(metavar="INTEREST", help="Ids or descriptions, most recent last; at most k."),
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="RELEASE", help="The current one by default.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Successors shown.")] = 10,
    prompt: Annotated[
        bool,
        typer.Option("--prompt", help="Only the prompt as the next refresh would ask it; nothing is asked."),
    ] = False,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Prompt, evidence, ranked successors, scores and provenance of one context."""
    from freshet import inspect
    from freshet.cli import show_inspect
    from freshet.core.errors import ConfigError

    with opened(workspace) as ws:
        if prompt:
            if release is not None:
                raise ConfigError("--prompt tells what would be asked now, --release what was asked")
            asked = inspect.preview(ws, interests or [])
            content = document("explain", {"preview": asdict(asked)})
            answer(content, as_json, lambda console: show_inspect.preview(console, asked))
            return
        chosen = None if release is None else release_number(release)
        found = inspect.explain(ws, interests or [], chosen, top)
    content = document("explain", asdict(found))
    answer(content, as_json, lambda console: show_inspect.explanation(console, found))


def status(workspace: Here = HERE, as_json: AsJson = False) -> None:
    """What serves, how old it is, what is due, what waits, and what drives this log."""
    from freshet import inspect
    from freshet.cli import show_inspect, show_levels
    from freshet.wiring_alerts import live_state

    with opened(workspace) as ws:
        now = datetime.now(UTC)
        state = inspect.status(ws, now.date())
        levels = inspect.service_levels(ws, now, live_state(ws), measure=False)
        view = inspect.schedule_view(ws, now)
    gates = [gate_content(gate) for gate in state.gates]
    told = {"workspace": ws.place, **asdict(state), "gates": gates, "schedule": schedule_content(view)}

    def show(console: Console) -> None:
        show_inspect.status(console, ws.place, state, view)
        show_levels.levels(console, levels)

    answer(document("status", told | levels_content(levels)), as_json, show)


def history(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="One run in detail.")] = None,
    last: Annotated[
        int | None,
        typer.Option(
            "--last", min=1, metavar="N", help=f"The last N runs (default: {LISTED}; all with --json)."
        ),
    ] = None,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Runs with outcome, cost and rows changed; or one run in detail."""
    from freshet import inspect
    from freshet.cli import show, show_inspect

    if run is not None and last is not None:
        raise InputError(f"--last {last} lists runs, and run {run} is one", hint="give one of the two")
    with opened(workspace) as ws:
        if run is None:
            lines = inspect.history(ws, last if as_json else last or LISTED)
            earlier = len(ws.ledger.paths()) - len(lines)
            content = document("history", {"runs": [asdict(line) for line in lines]})
            answer(content, as_json, lambda console: show_inspect.history(console, lines, earlier))
            return
        record = ws.ledger.get(run)
        outcome = inspect.outcome(ws, record)
    content = document("history", {"run": run_content(record) | {"outcome": outcome}})
    answer(content, as_json, lambda console: show.run(console, record, outcome))


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="The earlier release.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The later release.")],
    most: Annotated[int, typer.Option("--most", min=0, help="Contexts listed.")] = 10,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Two releases: changed rows, churn of the top 5, contexts that changed most, weights."""
    from freshet import inspect
    from freshet.cli import show_inspect

    with opened(workspace) as ws:
        found = inspect.compare(ws, release_number(a), release_number(b), most)
    answer(document("diff", asdict(found)), as_json, lambda console: show_inspect.diff(console, found))


def report(
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FILE", help="DIR/report.html; ./report.html for a URL.")
    ] = None,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Write the HTML page of what happened."""
    from freshet.report import write_report

    with opened(workspace) as ws:
        path = write_report(ws, into or (workspace if ws.bucket is None else Path()) / "report.html")
    content = document("report", {"path": path})
    answer(content, as_json, lambda console: console.print(f"wrote {path}", soft_wrap=True))
