"""`freshet forget`: a person is taken out of everything a workspace keeps, and a receipt proves it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened, user_store
from freshet.core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.privacy.forgetting import Forgotten

LEFT = 7
"""Exit code where something of the people was found at the end."""
_SHOWN = 20


def forget(
    user: Annotated[
        list[str] | None,
        typer.Option("--user", metavar="ID", help="Whom, as the events name them; repeatable."),
    ] = None,
    users_file: Annotated[
        str | None,
        typer.Option("--users-file", metavar="FILE", help="A text file with one id a line; - = stdin."),
    ] = None,
    block: Annotated[
        bool,
        typer.Option("--block", help="Refuse what they do from now on as well; else they are somebody new."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell where they are found; nothing is changed.")
    ] = False,
    receipt: Annotated[
        Path | None,
        typer.Option(
            "--verify", metavar="RECEIPT", help="Check a receipt of this workspace, and nothing else."
        ),
    ] = None,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Remove people from everything the workspace keeps, search every file for what is left, and sign for it.

    What comes in again of before this moment is refused. Killed, the same command goes on.
    """
    if receipt is not None:
        _verify(workspace, receipt, user or [], as_json)
        return
    given = [*(user or []), *(_lines(users_file) if users_file else [])]
    with opened(workspace, wait) as ws:
        from freshet.privacy import forgetting

        if dry_run:
            done = forgetting.look(ws, given)
        else:
            with user_store(ws) as users:
                done = forgetting.forget(ws, given, users, datetime.now(UTC), block=block)
    answer(_document(done, dry_run), as_json, lambda console: _show(console, done, dry_run))
    if not dry_run and not done.clean:
        raise typer.Exit(LEFT)


def _lines(name: str) -> list[str]:
    """Ids of a file; a byte order mark and empty lines are no part of them.

    Raises:
        InputError: it can't be read.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{name} can't be read: {error}", hint="a text file (UTF-8) with one id a line"
        ) from None
    return [line for line in text.splitlines() if line.strip()]


def _verify(workspace: Path, path: Path, users: list[str], as_json: bool) -> None:
    from freshet.privacy import receipts
    from freshet.privacy.person import Person
    from freshet.storage.user_ids import people_of

    with opened(workspace) as ws:
        found = receipts.verify(ws.root, path)
        people = people_of(ws.root)
    for user in users:
        if Person.of(user, people).person not in found["people"]:
            raise ConfigError(
                f"{path} is sound, and is not about this user",
                hint="leave out --user, or name another receipt",
            )
    content = document("forget --verify", {"receipt": str(path), "sound": True, "content": found})

    def show(console: Console) -> None:
        console.print(f"{path} is sound: this workspace signed it, and nobody changed it since")
        console.print(
            f"  {len(found['people'])} people, {found['finished']}, {found['searched']['found']} traces left"
        )

    answer(content, as_json, show)


def _document(done: Forgotten, dry_run: bool) -> dict[str, Any]:
    content = {
        "run": done.run or None,
        "dry_run": dry_run,
        "people": list(done.people),
        "removed": done.removed,
        "searched": {"files": done.searched.files, "bytes": done.searched.bytes},
        "found": [asdict(trace) for trace in done.searched.traces],
        "outside": list(done.left),
        "made_with": [asdict(one) for one in done.made],
        "receipt": str(done.receipt) if done.receipt else None,
    }
    return document("forget", content)


def _show(console: Console, done: Forgotten, dry_run: bool) -> None:
    traces = done.searched.traces
    if dry_run:
        console.print(f"found in {len(traces)} places of {done.searched.files:,} files; nothing was changed")
    else:
        removed = ", ".join(
            f"{count:,} {kind.replace('_', ' ')}" for kind, count in done.removed.items() if count
        )
        console.print(f"removed: {removed or 'nothing: nobody was there'}")
        state = (
            "nothing is left" if done.clean else f"{len(traces)} places are left: run the same command again"
        )
        console.print(f"searched {done.searched.files:,} files, {done.searched.bytes / 1e6:,.1f} MB: {state}")
    for trace in traces[:_SHOWN]:
        console.print(
            f"  {trace.path}: {trace.what}" + (f", {trace.count:,}" if trace.count else ""), soft_wrap=True
        )
    if len(traces) > _SHOWN:
        console.print(f"  and {len(traces) - _SHOWN} more: --json lists all")
    if done.made:
        console.print(f"made with their data, which names nobody: {len(done.made)} artifacts and releases")
        for by in dict.fromkeys(one.by for one in done.made):
            some = [one for one in done.made if one.by == by]
            until = max(one.until for one in some)
            console.print(f"  {len(some)} until `{by}`" + (f", due by {until}" if until else ""))
    for one in done.left:
        console.print(f"not reached: {one}", soft_wrap=True)
    if done.receipt is not None:
        console.print(f"receipt: {done.receipt}", soft_wrap=True)
