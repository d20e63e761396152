"""`freshet export`: giving a release to what serves it elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened, release_number

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.exports.deliveries import Gave
    from freshet.exports.export_step import Exported
    from freshet.storage.workspace import Workspace


def export(
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="PLACE",
            help="redis://..., a file that ends in .freshet, or a folder for Parquet; repeatable; "
            "those of [export] by default.",
        ),
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="RELEASE", help="The current one by default.")
    ] = None,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Give a release to Redis, Parquet files or one binary file; and tell the webhook what waits."""
    from freshet.exports import export_step
    from freshet.wiring_exports import deliveries_of

    number = None if release is None else release_number(release)
    with opened(workspace, wait) as ws:
        chosen = None if to is None else _targets(ws, to)
        done = export_step.export(ws, deliveries_of(ws.root, ws.config), chosen, number)
    content = {
        "run": done.run,
        "release": asdict(done.release),
        "written": [_line(at) for at in done.gave],
    }
    answer(document("export", content), as_json, lambda console: _show(console, done))


def _targets(ws: Workspace, to: list[str]) -> dict[str, Any]:
    """Named places by name; one of the configuration is given its own name, wherever the command runs."""
    from freshet.wiring_exports import open_target, target_name

    here, keep = Path.cwd(), ws.config.export.keep_seconds
    return {
        target_name(one): partial(open_target, ws.root if one in ws.config.export.to else here, one, keep)
        for one in to
    }


def _line(gave: Gave) -> dict[str, Any]:
    return {"target": gave.target, "release": gave.release, "seconds": gave.seconds, **asdict(gave.written)}


def _show(console: Console, done: Exported) -> None:
    for gave in done.gave:
        written = gave.written
        console.print(
            f"release {gave.release} is in {written.where}: {written.rows:,} rows, {written.bytes:,} bytes, "
            f"{gave.seconds:.1f} s",
            soft_wrap=True,
        )
