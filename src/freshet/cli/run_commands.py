"""`freshet run`, `finetune`, `refresh` and `ranker`: the commands that train and release."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document, run_content
from freshet.cli.options import (
    HERE,
    AsJson,
    Here,
    Moment,
    Publish,
    Wait,
    answer,
    opened,
    parse_moment,
    user_store,
)
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.inspect import Drives
    from freshet.storage.ledger import Record
    from freshet.storage.workspace import Workspace


def run(
    workspace: Here = HERE,
    as_of: Moment = None,
    publish: Publish = False,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Do everything that is due, in order; a killed run continues where it was."""
    from freshet import pipeline

    at = parse_moment(as_of)
    with opened(workspace, wait, makes_way=True) as ws, user_store(ws) as users:
        record = pipeline.run(ws, datetime.now(UTC), at, publish, users)
        _answer(ws, "run", record, as_json)


def finetune(workspace: Here = HERE, as_of: Moment = None, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """The slow path: fine-tune a planner and put it through its gates."""
    from freshet import pipeline

    at = parse_moment(as_of)
    with opened(workspace, wait, makes_way=True) as ws:
        _answer(ws, "finetune", pipeline.finetune(ws, at), as_json)


def refresh(
    workspace: Here = HERE,
    as_of: Moment = None,
    publish: Publish = False,
    wait: Wait = 0.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be inferred and what it should cost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The fast path: evidence, a plan, inference of the rows that changed, checks, a release."""
    from freshet import pipeline, refresh_plan

    if dry_run and publish:
        raise ConfigError("--dry-run publishes nothing, so --publish can't go with it", hint="leave one out")
    at = parse_moment(as_of)
    with opened(workspace, wait, makes_way=True) as ws, user_store(ws) as users:
        today = datetime.now(UTC) if users is not None else None
        if dry_run:
            record = refresh_plan.plan(ws, at, today)
        else:
            record = pipeline.refresh(ws, at, publish, today, users)
        _answer(ws, "refresh", record, as_json)


def _answer(ws: Workspace, command: str, record: Record, as_json: bool) -> None:
    from freshet.cli import show

    drives = _drives(ws, record)
    releases = map(ws.releases.get, ws.releases.numbers())
    content = {
        "run": run_content(record),
        "drives": asdict(drives) if drives else None,
        "releases": [one.number for one in releases if one.run == record.id],
    }
    answer(document(command, content), as_json, lambda console: show.ended(console, record, drives))


def _drives(ws: Workspace, record: Record) -> Drives | None:
    """What drives the log, as the table of a run found it; None where the run made none."""
    from freshet import inspect
    from freshet.storage.durable import read_json

    tables = [step.artifact for step in record.steps if step.name == "table" and step.artifact]
    if not tables:
        return None
    return inspect.Drives.of(read_json(ws.root / tables[-1] / "mixture.json"))


def ranker(workspace: Here = HERE, as_of: Moment = None, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Train a ranker of items, judge it against popularity within the interest, and release it.

    It joins the current release where it is of now; `freshet run` trains one by itself when it is due.
    """
    from freshet import operations

    at = parse_moment(as_of)
    with opened(workspace, wait, makes_way=True) as ws, user_store(ws) as users:
        today = datetime.now(UTC) if users is not None else None
        record, trained = operations.rank_items(ws, at, today)
    evaluation = trained.manifest["judged"]
    content = {"run": run_content(record), "judged": evaluation, "release": record.release}
    answer(document("ranker", content), as_json, lambda console: _show_ranker(console, evaluation))


def _show_ranker(console: Console, evaluation: dict[str, Any]) -> None:
    console.print(
        f"{evaluation['transitions']:,} held-out transitions of {evaluation['users']:,} users into a novel "
        "interest: was an item they engaged there among its first ten?"
    )
    life = f"popularity in the interest (half-life {evaluation['popularity_half_life']:g} d)"
    for measure in ("hit@10", "ndcg@10"):
        found = evaluation[measure]
        for name, title in (("ranker", "ranker"), ("popularity", life), ("difference", "difference")):
            console.print(f"  {measure:8} {title:46} {_percent(found[name], name == 'difference')}")
    if evaluation["hit@10"]["difference"]["low"] <= 0:
        console.print("The difference may be chance: on this log, popularity does about as well.")


def _percent(found: dict[str, float], signed: bool) -> str:
    sign = "+" if signed else ""
    value, low, high = (100 * found[part] for part in ("value", "low", "high"))
    return f"{value:{sign}.2f} % ({low:{sign}.2f} to {high:{sign}.2f})"
