"""What commands share: their options, the workspace they open, and how they answer."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.core import safe_names as names
from freshet.core.errors import ConfigError
from freshet.core.escaping import json_text

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.core.types import AsOf
    from freshet.storage.workspace import Workspace


@dataclass(slots=True)
class Call:
    """What the error boundary must know about a call, filled in as options are read."""

    command: str = ""
    debug: bool = False
    workspace: Path | None = None


def noted(context: typer.Context, value: Path) -> Path:
    """Remember the workspace a command is about."""
    if isinstance(context.obj, Call):
        context.obj.workspace = value
    return value


Here = Annotated[
    Path,
    typer.Option("-w", "--workspace", metavar="DIR", help="The workspace.", callback=noted),
]
HERE = Path()
WIDE = 120
"""Columns of tables that go into a file or a pipe."""

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; all else on stderr.")]
Moment = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DAY", help="Read only what was known before this day (2024-05-01)."),
]
Publish = Annotated[
    bool, typer.Option("--publish", help="Move CURRENT even if --as-of lies before the end of the log.")
]
Every = Annotated[str | None, typer.Option("--every", metavar="2d", help="From one refresh to the next.")]
TuneEvery = Annotated[
    str | None, typer.Option("--tune-every", metavar="28d", help="From one tuning to the next.")
]
From = Annotated[
    str | None, typer.Option("--from", metavar="DAY", help="First day judged; else the last quarter.")
]
To = Annotated[str | None, typer.Option("--to", metavar="DAY", help="Day after the last one.")]
Limit = Annotated[
    int, typer.Option("--limit", min=100, help="Transitions judged; of more, a sample of users.")
]
LIMIT = 200_000
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn: resamples, shuffles, samples.")]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for another run to end.")
]


@contextmanager
def opened(workspace: Path, wait: float = 0.0) -> Iterator[Workspace]:
    """Open a workspace with a reporter on stderr; `wait` seconds for another run to end."""
    from freshet.cli.screen import Screen
    from freshet.wiring import open_workspace

    with Screen() as screen:
        yield replace(open_workspace(workspace, screen), wait=wait)


def with_events(ws: Workspace) -> Workspace:
    """The workspace, its log imported first if it is empty and the configuration names files."""
    from freshet import operations
    from freshet.stages import events

    if not events.EventLog(ws.root).snapshot().days and ws.config.events.files:
        operations.import_log(ws, datetime.now(UTC))
    return ws


def moment(text: str | None, option: str = "--as-of") -> AsOf | None:
    """The date that an option gives.

    Raises:
        ConfigError: it is not a date, or nothing can be known as of it yet.
    """
    from freshet.core.types import AsOf

    if text is None:
        return None
    try:
        found = AsOf.parse(text)
    except ValueError:
        raise ConfigError(f"{option} '{text}' is not a date", hint="write it as 2024-05-01") from None
    if option == "--as-of" and found.moment > datetime.now(UTC) + timedelta(days=2):  # a slip of a digit
        raise ConfigError(
            f"{option} '{text}' lies in the future, of which nothing is known", hint="tomorrow is the last"
        )
    return found


def days(text: str | None) -> int | None:
    """`2d`, `2w` or `2` as days.

    Raises:
        ConfigError: it is no such length of time.
    """
    if text is None:
        return None
    length = re.fullmatch(r"([0-9]{1,6})([dw]?)", text.strip())
    if not length or int(length[1]) < 1:
        raise ConfigError(f"'{text}' is no number of days", hint="write it as 2d, or 2w for weeks")
    return int(length[1]) * (7 if length[2] == "w" else 1)


def number(text: str) -> int:
    """A release's number, with or without `#`.

    Raises:
        ConfigError: it is not a number.
    """
    found = names.number(text.removeprefix("#"))
    if found is None:
        raise ConfigError(
            f"{names.shortened(text)} is not the number of a release", hint="releases are numbered 1, 2, ..."
        )
    return found


def answer(document: dict[str, Any], as_json: bool, show: Callable[[Console], None]) -> None:
    """Give a command's result: the document for programs, or what `show` draws for people."""
    if as_json:
        sys.stdout.write(json_text(document) + "\n")
        return
    from freshet.cli.screen import Plain

    show(Plain(width=None if sys.stdout.isatty() else WIDE))
