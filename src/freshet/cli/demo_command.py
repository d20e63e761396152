"""`freshet demo`: the whole loop at once, on a simulated world or on a log of your own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document, run_content
from freshet.cli.options import (
    AsJson,
    Count,
    EventFiles,
    ItemFile,
    Kind,
    Novelty,
    Rule,
    answer,
    remember_workspace,
)
from freshet.core.errors import GateFailed, MissingExtra, NotServing
from freshet.core.urls import location

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.cli.demo_visit import Service, Visit
    from freshet.cli.screen import Screen
    from freshet.inspect import Diff, Explanation
    from freshet.storage.ledger import Record
    from freshet.storage.releases import Release
    from freshet.storage.workspace import Workspace

BEHIND = 4
"""Days between the first release and the second."""
STEPS = {"tuning": 200, "sequence": 200, "ranker": 100}
"""Optimiser steps of each training, so that a demo takes a minute and a half on two cores."""


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The workspace to make.", callback=remember_workspace)
    ] = Path("demo"),
    events: EventFiles = None,
    items: ItemFile = None,
    positive: Rule = "",
    interests: Count = 60,
    novelty_days: Novelty = "30",
    planner: Kind = "scratch",
    as_json: AsJson = False,
) -> None:
    """The loop from log to report: a release, a later and cheaper one, what changed between them, and why.

    Without --events it runs on a SIMULATED world, and says so.
    """
    from freshet.cli.screen import Screen

    with Screen() as screen:
        simulated = not events
        if not events:
            events, items, positive = _simulate(screen, folder)
        chosen = _settings(folder, events, items, positive, interests, novelty_days, planner)
        found = _run_loop(screen, folder, chosen, simulated)
    answer(_document(found), as_json, lambda console: _show(console, found))


@dataclass(frozen=True, slots=True)
class Demo:
    """What a demo went through.

    Attributes:
        by_models: what the models changed of the table of counts; None where no release came of them.
        visit: None where the service is not installed, or did not answer.
    """

    folder: Path
    simulated: bool
    first: Record
    second: Record
    by_models: Diff | None
    changed: Diff
    explained: Explanation
    visit: Visit | None
    page: Path


def _simulate(screen: Screen, folder: Path) -> tuple[list[str], str, str]:
    from freshet.simulator import World, generate

    made = generate(World(), folder / "world")
    screen.say(f"{made.note}: {made.events:,} events of {made.users:,} users on {made.items:,} items")
    return [str(made.events_path)], str(made.items_path), "value >= 7"


def _settings(
    folder: Path,
    events: list[str],
    items: str | None,
    positive: str,
    interests: int,
    novelty_days: str,
    planner: str,
) -> dict[str, dict[str, Any]]:
    from freshet.cli import settings_file

    return {
        "events": {
            "files": [settings_file.from_workspace(location(file), folder) for file in events],
            "items": settings_file.from_workspace(location(items), folder) if items else "",
            "positive": positive,
        },
        "interests": {"count": interests},
        "transitions": {"novelty_days": settings_file.novelty(novelty_days)},
        "planner": {"kind": planner},
        "tuning": {"max_steps": STEPS["tuning"]},
        "sequence": {"max_steps": STEPS["sequence"]},
        "ranker": {"use": True, "max_steps": STEPS["ranker"]},
    }


def _run_loop(screen: Screen, folder: Path, chosen: dict[str, dict[str, Any]], simulated: bool) -> Demo:
    from freshet import operations, pipeline
    from freshet.cli import demo_visit
    from freshet.stages.events.step import latest

    ws = _workspace(screen, folder, chosen)
    operations.import_log(ws, datetime.now(UTC))
    moment = latest(ws).minus(BEHIND)
    screen.say(f"--- as of {moment}: counts are served first, then what models add to them")
    with demo_visit.Service(ws, screen.say) as service:
        try:
            first = pipeline.run(ws, datetime.now(UTC), moment, publish=True)
        except GateFailed as failed:
            screen.say(f"{failed}")
            screen.say("--- a model that fails its gate is not used: the demo goes on with plain counts")
            ws = _workspace(screen, folder, {**chosen, "planner": {"kind": "counts"}})
            first = pipeline.run(ws, datetime.now(UTC), moment, publish=True)
        screen.say(f"--- {BEHIND} days later, as of {latest(ws)}: the fast path alone")
        second = pipeline.refresh(ws)
        current = ws.releases.current()
        assert current is not None
        return _looked_at(screen, ws, simulated, (first, second), current, service)


def _looked_at(
    screen: Screen,
    ws: Workspace,
    simulated: bool,
    runs: tuple[Record, Record],
    current: Release,
    service: Service,
) -> Demo:
    """What the two runs changed, an answer of the service to it, and the report."""
    from freshet import inspect
    from freshet.report import write_report

    before = current.number if current.previous is None else current.previous
    counts, models = ws.releases.get(ws.releases.numbers()[0]), ws.releases.get(before)
    by_models = None if counts.table == models.table else inspect.compare(ws, counts.number, before)
    changed = inspect.compare(ws, before, current.number)
    longest = max((row.context for row in changed.most), key=len, default=())
    explained = inspect.explain(ws, [str(name.id) for name in longest])
    visit = _visit(screen, ws, explained, current.number, service)
    page = write_report(ws, ws.root / "report.html")
    return Demo(ws.root, simulated, *runs, by_models, changed, explained, visit, page)


def _visit(
    screen: Screen, ws: Workspace, explained: Explanation, release: int, service: Service
) -> Visit | None:
    """Somebody who comes from the explained context, served over HTTP."""
    from freshet.cli import demo_visit
    from freshet.inspect import busiest_items

    screen.say(f"--- asking the service, which is to answer from release {release}")
    items = busiest_items(ws, explained.provenance.interests)
    engaged = [items[interest.id][0] for interest in explained.asked]
    try:
        return demo_visit.visit(service, engaged, release)
    except (MissingExtra, NotServing) as error:  # releases and report are there all the same
        screen.say(f"{error.message}: {error.hint}")
        return None


def _workspace(screen: Screen, folder: Path, chosen: dict[str, dict[str, Any]]) -> Workspace:
    """The demo's workspace; a repeated demo goes on with it, another one's settings are not overwritten."""
    from freshet.cli import settings_file
    from freshet.wiring import SETTINGS, open_workspace

    path = folder / SETTINGS
    ours = [chosen, {**chosen, "planner": {"kind": "counts"}}]
    known = path.exists() and path.read_text(encoding="utf-8") in [settings_file.render(one) for one in ours]
    settings_file.write(folder, chosen, force=known)
    return open_workspace(folder, screen)


def _document(found: Demo) -> dict[str, Any]:
    return document(
        "demo",
        {
            "workspace": found.folder,
            "simulated": found.simulated,
            "first": run_content(found.first),
            "second": run_content(found.second),
            "by_models": asdict(found.by_models) if found.by_models else None,
            "diff": asdict(found.changed),
            "explanation": asdict(found.explained),
            "served": found.visit.answer if found.visit else None,
            "report": found.page,
        },
    )


def _show(console: Console, found: Demo) -> None:
    from freshet.cli import demo_visit, show, show_inspect

    if found.simulated:
        console.print("SIMULATED world: no real people, no real items", style="bold yellow")
    show.cost_of_two(console, found.first, found.second)
    if found.by_models is not None:
        console.rule("what the models changed of the counts", align="left")
        show_inspect.diff(console, found.by_models)
    console.rule(f"what {BEHIND} days changed", align="left")
    show_inspect.diff(console, found.changed)
    console.rule("one of the contexts that changed most", align="left")
    show_inspect.explanation(console, found.explained)
    if found.visit is not None:
        console.rule("served: one recommendation", align="left")
        demo_visit.show(console, found.visit)
    console.rule(align="left")
    show.weights(console, found.changed.drives_b)
    console.print(f"report: {found.page}", soft_wrap=True)
    console.print(f"look around: freshet status -w {found.folder}", soft_wrap=True)
    console.print(f"serve it: freshet serve -w {found.folder}", soft_wrap=True)
