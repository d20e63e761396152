"""`freshet backup` and `restore`: a workspace elsewhere, of which forgotten users are unreadable."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console


def backup(
    to: Annotated[
        str,
        typer.Argument(metavar="[TO]", help="Folder, or s3://, gs://, az://; else that of [backup] to."),
    ] = "",
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=0, help="So many of the latest backups stay; else that of [backup] keep."),
    ] = None,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Back a workspace up: what the last backup lacks is sent; what it holds of users is encrypted."""
    from freshet import backups
    from freshet.wiring_backups import backup_place, configured_place

    with opened(workspace, wait, makes_way=True) as ws:
        settings = ws.config.backup
        place = configured_place(ws, to)
        most = settings.keep if keep is None else keep
        made = backups.make(ws, backup_place(place), place, most, datetime.now(UTC), settings.keys)

    def show(console: Console) -> None:
        console.print(
            f"backup {made.id}: {made.files:,} files, {made.bytes / 1e6:,.1f} MB; "
            f"{made.sent_files:,} objects, {made.sent_bytes / 1e6:,.1f} MB, were sent to {place}",
            soft_wrap=True,
        )
        if made.tidied.backups:
            console.print(f"deleted {len(made.tidied.backups)} earlier backups (--keep {most})")
        if made.kept_apart:
            console.print(f"keys of {made.keys:,} users are in {made.kept_apart}", soft_wrap=True)
        else:
            console.print(
                f"the keys of {made.keys:,} users lie in the workspace alone: without them no backup can be "
                "restored. Set [backup] keys to a folder on another disk",
                soft_wrap=True,
            )

        for one in made.left_out:
            console.print(f"not in it: {one}", soft_wrap=True)

    answer(document("backup", {"to": place, **asdict(made)}), as_json, show)


def restore(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="Where backups lie: a folder, or s3://, gs://, az://.")
    ],
    target: Annotated[Path, typer.Argument(metavar="TO", help="A new folder: nothing may be there yet.")],
    keys: Annotated[
        Path | None,
        typer.Option("--keys", metavar="DIR", help="Folder of [backup] keys, or the workspace itself."),
    ] = None,
    backup_id: Annotated[
        str, typer.Option("--backup", metavar="ID", help="Another backup than the latest.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a workspace of a backup, every content verified; forgotten users are not in it."""
    from freshet import backups
    from freshet.cli.screen import Screen
    from freshet.wiring_backups import backup_place

    if "://" in str(target):
        raise ConfigError(f"{target} is no folder", hint="restore to a folder, then `freshet copy` it")
    with Screen() as screen:
        restored = backups.restore(backup_place(source), source, target, keys, backup_id, screen)

    def show(console: Console) -> None:
        release = "no release yet" if restored.release is None else f"release {restored.release} serves"
        console.print(
            f"restored backup {restored.backup} of {restored.made}: {restored.files:,} files, "
            f"{restored.bytes / 1e6:,.1f} MB, to {target}: {release}",
            soft_wrap=True,
        )
        if restored.lost_users:
            rows = ", ".join(f"{count:,} of {kind}" for kind, count in restored.lost_rows.items())
            console.print(f"not restored, of users who were forgotten since: rows {rows or 'none'}")
        if restored.lost_files:
            console.print(
                f"not restored, since they told of a forgotten user among others: "
                f"{len(restored.lost_files):,} files (rows of single users, refused rows, logs)"
            )
        console.print(f"next: freshet doctor -w {target}", soft_wrap=True)

    content = {"from": source, "to": str(target), **asdict(restored)}
    answer(document("restore", content), as_json, show)
