"""`freshet settings` and `copy`: a workspace's settings wherever it lies, and a copy somewhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, Wait, answer, opened, workspace_folder
from freshet.core.errors import ConfigError


def settings(
    new: Annotated[
        Path | None,
        typer.Option("--set", metavar="FILE", help="Replace it by this file, once that is checked."),
    ] = None,
    workspace: Here = HERE,
    as_json: AsJson = False,
) -> None:
    """Show the freshet.toml of a workspace, or replace it; what runs reads it anew."""
    from freshet.core.config import load, parse, read_text
    from freshet.storage.durable import write_text
    from freshet.wiring import SETTINGS
    from freshet.wiring_buckets import written_back

    path = workspace / SETTINGS
    load(path)
    if new is not None:
        text = read_text(new)
        parse(text, str(new))
        with written_back(workspace, SETTINGS):
            write_text(path, text)
    text = read_text(path)
    content = document("settings", {"settings": text, "replaced": new is not None})
    shown = f"replaced {SETTINGS}" if new is not None else text.rstrip()
    answer(content, as_json, lambda console: console.print(shown, soft_wrap=True, markup=False))


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A workspace: a folder or a URL.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="Where there is none yet; one of the two a URL.")
    ],
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Copy a workspace into a bucket or out of one, as of one moment; what serving remembers stays behind."""
    from freshet.cli.screen import Screen
    from freshet.wiring_buckets import check_out, copy_to_bucket, copy_to_folder

    if "://" in target:
        if "://" in source:
            check_out(source)
        with opened(workspace_folder(source), wait) as ws, ws.hold("copy"):
            if ws.bucket is not None:
                ws.bucket.fetch_all()
            files = copy_to_bucket(ws.root, target)
    elif "://" in source:
        with Screen() as screen:
            files = copy_to_folder(source.rstrip("/"), Path(target), screen)
    else:
        raise ConfigError("neither is a URL of a bucket", hint=f"`cp -r {source} {target}` copies a folder")
    content = document("copy", {"from": source, "to": target, "files": files})
    answer(
        content, as_json, lambda console: console.print(f"{files:,} files are at {target}", soft_wrap=True)
    )
