"""`freshet init`: a folder with a short commented freshet.toml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli import answers
from freshet.cli.options import AsJson, answer, noted
from freshet.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

EventFiles = Annotated[
    list[Path] | None,
    typer.Option("--events", metavar="FILE", help="Parquet, CSV, JSONL, or a MovieLens folder; repeatable."),
]
ItemFile = Annotated[
    Path | None, typer.Option("--items", metavar="FILE", help="The items' titles and texts.")
]
Rule = Annotated[
    str, typer.Option("--positive", metavar="RULE", help="Which events count, such as 'value >= 7'.")
]
Count = Annotated[int, typer.Option("--interests", metavar="N", help="How many interests to form.")]
Novelty = Annotated[
    str, typer.Option("--novelty-days", metavar="H", help="New = not engaged for H days, or 'ever'.")
]
Kind = Annotated[str, typer.Option("--planner", metavar="KIND", help="scratch, counts or transformers.")]
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


def add(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(
        "init",
        epilog="Example: `freshet init shop --events log.parquet --items items.parquet "
        "--positive 'value >= 7' --interests 100`",
    )(init)


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The workspace to make.", callback=noted)],
    events: EventFiles = None,
    items: ItemFile = None,
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
    """Make a workspace: a folder with a short commented freshet.toml."""
    from freshet.cli import settings
    from freshet.core.config import Config

    defaults = Config()
    if planner == "transformers" and not model:
        raise ConfigError("--planner transformers needs --model", hint="the path or name of a causal LM")
    chosen: dict[str, dict[str, Any]] = {
        "events": {
            "files": [settings.from_workspace(file, folder) for file in events or []],
            "items": settings.from_workspace(items, folder) if items else "",
            "positive": positive,
        },
        **settings.columns(column or []),
        "interests": {"count": interests} | ({"taxonomy": taxonomy} if taxonomy else {}),
        "transitions": {"k": k, "novelty_days": settings.novelty(novelty_days)},
        "planner": {"kind": planner}
        | ({"model": _checkpoint(model, folder)} if model else {})
        | ({"mode": mode} if mode else {}),
        "tuning": {"every_days": defaults.tuning.every_days},
        "schedule": {"refresh_days": defaults.schedule.refresh_days},
    }
    path = settings.write(folder, chosen, force)

    def show(console: Console) -> None:
        console.print(f"wrote {path}", soft_wrap=True)
        console.print(f"next: freshet run -w {folder}", soft_wrap=True)

    answer(answers.initialised(folder, path, chosen), as_json, show)


def _checkpoint(model: str, folder: Path) -> str:
    """A checkpoint on disk as seen from the workspace; anything else is a name."""
    from freshet.cli import settings

    return settings.from_workspace(Path(model), folder) if Path(model).exists() else model
