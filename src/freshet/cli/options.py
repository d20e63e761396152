"""What commands share: their options and how these are read, the workspace they open, and how they answer."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.core import safe_names
from freshet.core.errors import ConfigError
from freshet.core.escaping import json_text

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.core.ports import UserStore
    from freshet.core.types import AsOf
    from freshet.storage.workspace import Workspace


@dataclass(slots=True)
class Call:
    """What the error boundary must know about a call, filled in as options are read."""

    command: str = ""
    debug: bool = False
    workspace: Path | None = None


def remember_workspace(context: typer.Context, value: Path) -> Path:
    """Note the workspace a command is about for the error boundary; returns it."""
    if isinstance(context.obj, Call):
        context.obj.workspace = value
    return value


def possible(place: str) -> str:
    """The place, if a folder can have such a name; raises ValueError otherwise, as parsers of options do."""
    if b"\0" in os.fsencode(place):  # which raises one for half a character
        raise ValueError("embedded null byte")
    return place


def workspace_folder(place: str | Path) -> Path:
    """The folder that a command works in: the one that is named, or that of this machine for a bucket."""
    if isinstance(place, str) and "://" in place:
        from freshet.wiring_buckets import checkout_folder

        return checkout_folder(place)
    return Path(possible(str(place)))


def fetched(context: typer.Context, value: Path) -> Path:
    """Note the workspace a command is about, and make its folder as the bucket is; returns it."""
    if (value / ".bucket").exists():
        from freshet.cli.screen import Screen
        from freshet.wiring_buckets import check_out

        with Screen() as screen:
            check_out(value, screen)
    return remember_workspace(context, value)


Here = Annotated[
    Path,
    typer.Option(
        "-w",
        "--workspace",
        metavar="DIR|URL",
        help="The workspace: a folder, or s3://BUCKET/PREFIX, gs://..., az://...",
        parser=workspace_folder,
        callback=fetched,
    ),
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


Name = Annotated[str, typer.Argument(metavar="NAME")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="The waiting run, as `freshet status` names it.")]
EventFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--events",
        metavar="FILE",
        help="Parquet, CSV, JSONL, or a published data set; a path, or s3://, gs://, az://; repeatable.",
    ),
]
LayoutOption = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="NAME",
        help="Published data set that the files are of, or none; else told by files.",
    ),
]
ItemFile = Annotated[str | None, typer.Option("--items", metavar="FILE", help="The items' titles and texts.")]
Rule = Annotated[
    str, typer.Option("--positive", metavar="RULE", help="Which events count, such as 'value >= 7'.")
]
Count = Annotated[int, typer.Option("--interests", metavar="N", help="How many interests to form.")]
Novelty = Annotated[
    str, typer.Option("--novelty-days", metavar="H", help="New = not engaged for H days, or 'ever'.")
]
Kind = Annotated[str, typer.Option("--planner", metavar="KIND", help="scratch, counts or transformers.")]


@contextmanager
def opened(workspace: Path, wait: float = 0.0, *, makes_way: bool = False) -> Iterator[Workspace]:
    """Open a workspace with a reporter on stderr; `wait` seconds for another run to end.

    Args:
        makes_way: this process works for long, and leaves processors to others by `[schedule] nice`.
    """
    from freshet.cli.screen import Screen
    from freshet.core.priority import make_way
    from freshet.wiring import open_workspace

    with Screen() as screen:
        ws = replace(open_workspace(workspace, screen), wait=wait)
        if makes_way:
            make_way(ws.config.schedule.nice)
        yield ws


@contextmanager
def user_store(ws: Workspace) -> Iterator[UserStore | None]:
    """The user store that serving the workspace keeps; None where it was never served."""
    from freshet.wiring import existing_user_store

    users = existing_user_store(ws.root, ws.config)
    try:
        yield users
    finally:
        if users is not None:
            users.close()


def with_events(ws: Workspace) -> Workspace:
    """The workspace, its log imported first if it is empty and the configuration names files."""
    from freshet import operations
    from freshet.stages import events

    if not events.EventLog(ws.root).snapshot().days and ws.config.events.files:
        operations.import_log(ws, datetime.now(UTC))
    return ws


def parse_moment(text: str | None, option: str = "--as-of") -> AsOf | None:
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


def parse_days(text: str | None) -> int | None:
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


def names(texts: Iterable[str]) -> list[str]:
    """The names in `A,B`, of one option or of a repeated one."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def release_number(text: str) -> int:
    """A release's number, with or without `#`.

    Raises:
        ConfigError: it is not a number.
    """
    found = safe_names.number(text.removeprefix("#"))
    if found is None:
        raise ConfigError(
            f"{safe_names.shortened(text)} is not the number of a release",
            hint="releases are numbered 1, 2, ...",
        )
    return found


def answer(content: dict[str, Any], as_json: bool, show: Callable[[Console], None]) -> None:
    """Write a command's result: the JSON document for programs, or what `show` draws for people."""
    if as_json:
        sys.stdout.write(json_text(content) + "\n")
        return
    from freshet.cli.screen import Plain

    show(Plain(width=None if sys.stdout.isatty() else WIDE))
