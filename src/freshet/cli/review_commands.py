"""`freshet approve`, `reject` and `rollback`: decisions of a person."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document, run_content
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened, release_number, user_store
from freshet.core.errors import StateError

if TYPE_CHECKING:
    from freshet.storage.ledger import Record
    from freshet.storage.workspace import Workspace

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The waiting run, as `freshet status` names it.")]
Reviewer = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides; you by default.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]


def approve(
    run: RunId,
    by: Reviewer = "",
    reason: Reason = "",
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Accept what a gate halted: the model may be used, or the table is published."""
    from freshet import operations

    with opened(workspace, wait) as ws:
        record = operations.approve(ws, run, by or me(), reason)
        _join(ws)
    _answer("approve", record, as_json)


def reject(
    run: RunId,
    by: Reviewer = "",
    reason: Reason = "",
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Refuse what a gate halted; the current release keeps serving."""
    from freshet import operations

    with opened(workspace, wait) as ws:
        record = operations.reject(ws, run, by or me(), reason)
    _answer("reject", record, as_json)


def rollback(
    release: Annotated[
        str | None, typer.Argument(metavar="RELEASE", help="The one before the current by default.")
    ] = None,
    by: Reviewer = "",
    reason: Reason = "",
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Serve an earlier release again."""
    from freshet import operations
    from freshet.cli import show

    with opened(workspace, wait) as ws:
        left = ws.releases.pointer()
        now = operations.roll_back(
            ws, None if release is None else release_number(release), by or me(), reason
        )
        _join(ws)
    content = document("rollback", {"release": asdict(now), "before": left})
    answer(content, as_json, lambda console: show.rolled_back(console, now, left))


def _join(ws: Workspace) -> None:
    """Join users' histories as the release that serves reads them; a store that is away undoes nothing."""
    from freshet import operations

    try:
        with user_store(ws) as users:
            if users is not None:
                operations.join_histories(ws, users)
    except StateError as error:
        ws.reporter.say(f"histories are not joined, the next `freshet run` does: {error.message}")


def _answer(command: str, record: Record, as_json: bool) -> None:
    from freshet.cli import show

    content = document(command, {"run": run_content(record)})
    answer(content, as_json, lambda console: show.decided(console, record))


def me() -> str:
    """Who decides, where nobody else is named."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in containers
        return "unknown"
