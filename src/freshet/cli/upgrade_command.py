"""`freshet upgrade`: a workspace of an earlier version is brought up to date."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened

if TYPE_CHECKING:
    from rich.console import Console


def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Bring a workspace of an earlier Freshet up to date; `freshet backup` first, there is no way back."""
    from freshet import upgrades
    from freshet.storage import workspace_format

    with opened(workspace, wait) as ws:
        waiting = upgrades.pending(ws)
        before = workspace_format.format_of(ws.root)
        if dry_run:
            found = upgrades.Upgraded(before, before, "", tuple(one.what for one in waiting))
        else:
            found = upgrades.upgrade(ws)

    def show(console: Console) -> None:
        if not found.done:
            console.print(f"format {found.before}: up to date")
            return
        for what in found.done:
            console.print(f"{'to do' if dry_run else 'done'}: {what}", soft_wrap=True)
        if not dry_run:
            console.print(f"format {found.after}, it was {found.before}")

    content = asdict(found) | {"run": found.run or None, "dry_run": dry_run}
    answer(document("upgrade", content), as_json, show)
