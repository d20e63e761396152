"""`freshet settings`: the freshet.toml of a workspace, wherever that lies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import HERE, AsJson, Here, answer


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
    from freshet.core.errors import ConfigError
    from freshet.storage.durable import write_text
    from freshet.wiring import SETTINGS
    from freshet.wiring_buckets import written_back

    path = workspace / SETTINGS
    if new is None:
        load(path)
    else:
        read_text(path)  # is there; what is wrong with it can be put right by this very command
        if not new.is_file():
            raise ConfigError(f"{new} not found", hint="--set FILE: the settings that are to be in force")
        text = read_text(new)
        parse(text, str(new))
        with written_back(workspace, SETTINGS):
            write_text(path, text)
    text = read_text(path)
    content = document("settings", {"settings": text, "replaced": new is not None})
    shown = f"replaced {SETTINGS}" if new is not None else text.rstrip()
    answer(content, as_json, lambda console: console.print(shown, soft_wrap=True, markup=False))
