"""`freshet init`: a workspace, in a folder or in a bucket."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import document
from freshet.cli.options import (
    AsJson,
    Count,
    EventFiles,
    ItemFile,
    Kind,
    LayoutOption,
    Novelty,
    Rule,
    answer,
    possible,
    remember_workspace,
)
from freshet.core.errors import ConfigError
from freshet.core.urls import location

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.storage.remote.bucket_workspace import BucketWorkspace

Model = Annotated[str, typer.Option("--model", metavar="PATH", help="The causal LM, for transformers.")]
Mode = Annotated[
    str, typer.Option("--mode", metavar="MODE", help="description or label; by kind of planner.")
]
Length = Annotated[int, typer.Option("--k", metavar="K", help="Interests in a context, 1 to 3.")]
Taxonomy = Annotated[
    str, typer.Option("--taxonomy", metavar="COL", help="Item column to use as interests, unclustered.")
]
ColumnPairs = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="PART=NAME", help="user, item, time, value, id, title or text."),
]


def init(
    context: typer.Context,
    place: Annotated[
        str,
        typer.Argument(
            metavar="DIR|URL", parser=possible, help="The workspace to make: shop, or s3://BUCKET/shop."
        ),
    ],
    events: EventFiles = None,
    items: ItemFile = None,
    layout: LayoutOption = "",
    positive: Rule = "",
    interests: Count = 100,
    novelty_days: Novelty = "30",
    planner: Kind = "scratch",
    model: Model = "",
    mode: Mode = "",
    k: Length = 2,
    taxonomy: Taxonomy = "",
    column: ColumnPairs = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a freshet.toml.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a workspace: a folder, or a place in a bucket, with a short commented freshet.toml.

    Of a published data set (MIND, MovieLens, ...) its usual positive rule is taken, unless one is given.
    """
    from freshet.cli import layout_option, settings_file
    from freshet.cli.show import line
    from freshet.core.config import Config

    bucket = _bucket(place)
    folder = Path(place) if bucket is None else bucket.checkout.root
    remember_workspace(context, folder)
    if bucket is not None:  # other machines have other folders
        events, items = [_absolute(file) for file in events or []], _absolute(items) if items else None

    layout_option.check_layout(layout)
    found = layout_option.layouts_of([location(file) for file in events or []], layout)
    defaults = Config()
    if planner == "transformers" and not model:
        raise ConfigError("--planner transformers needs --model", hint="the path or name of a causal LM")
    chosen: dict[str, dict[str, Any]] = {
        "events": {
            "files": [settings_file.from_workspace(location(file), folder) for file in events or []],
            "items": settings_file.from_workspace(location(items), folder) if items else "",
            "positive": positive or layout_option.usual_rule(found),
        }
        | ({"layout": layout} if layout else {}),
        **settings_file.columns(column or []),
        "interests": {"count": interests} | ({"taxonomy": taxonomy} if taxonomy else {}),
        "transitions": {"k": k, "novelty_days": settings_file.novelty(novelty_days)},
        "planner": {"kind": planner}
        | ({"model": _checkpoint(model, folder)} if model else {})
        | ({"mode": mode} if mode else {}),
        "tuning": {"every_days": defaults.tuning.every_days},
        "schedule": {"refresh_days": defaults.schedule.refresh_days},
    }
    path = _written(bucket, folder, chosen, force)

    def show(console: Console) -> None:
        for one in found:
            for note in one.notes:
                line(console, note)
        console.print(f"wrote {path}", soft_wrap=True)
        console.print(f"next: freshet run -w {place}", soft_wrap=True)

    content = {
        "workspace": place,
        "settings": path,
        "chosen": chosen,
        "layouts": [asdict(one) for one in found],
    }
    answer(document("init", content), as_json, show)


def _written(
    bucket: BucketWorkspace | None, folder: Path, chosen: dict[str, dict[str, Any]], force: bool
) -> str:
    """Write the settings, into the bucket where the workspace is in one; returns where they are."""
    from freshet.cli import settings_file
    from freshet.storage.workspace_format import note_format
    from freshet.wiring import SETTINGS

    if bucket is None:
        written = settings_file.write(folder, chosen, force)
        note_format(folder)
        return str(written)
    settings_file.write(folder, chosen, force=True)
    note_format(folder)
    bucket.create()
    return f"{bucket.url}/{SETTINGS}"


def _bucket(place: str) -> BucketWorkspace | None:
    """The place in a bucket that a URL names; None where it is a folder."""
    if "://" not in place:
        return None
    from freshet.wiring_buckets import new_bucket

    return new_bucket(place)


def _absolute(file: str) -> str:
    """A path that counts from nowhere; a URL as it is."""
    found = location(file)
    return str(found.absolute() if isinstance(found, Path) else found)


def _checkpoint(model: str, folder: Path) -> str:
    """A checkpoint on disk as seen from the workspace; anything else is a name."""
    from freshet.cli import settings_file

    return settings_file.from_workspace(Path(model), folder) if Path(model).exists() else model
