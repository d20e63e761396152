"""`freshet init`, `import`, `collect` and `doctor`: a workspace, what goes into it, and its health."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freshet.cli.json_documents import catalogue_counts, document
from freshet.cli.options import (
    HERE,
    AsJson,
    Count,
    EventFiles,
    Here,
    ItemFile,
    Kind,
    LayoutOption,
    Novelty,
    Rule,
    Wait,
    answer,
    opened,
    possible,
    remember_workspace,
    user_store,
)
from freshet.core.errors import ConfigError, NotServing
from freshet.core.urls import location

if TYPE_CHECKING:
    from rich.console import Console

    from freshet.doctor import Result
    from freshet.operations import Imported
    from freshet.storage.ledger import Record
    from freshet.storage.remote.bucket_workspace import BucketWorkspace

UNHEALTHY = 7
"""Exit code of `doctor` where something was found that is not repaired."""

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
    from freshet.wiring import SETTINGS

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
    if bucket is None:
        path = str(settings_file.write(folder, chosen, force))
    else:
        settings_file.write(folder, chosen, force=True)
        bucket.create()
        path = f"{bucket.url}/{SETTINGS}"

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


def import_files(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE",
            help="Event files, folders, globs, also at s3://, gs://, az://; the configured ones by default.",
        ),
    ] = None,
    impressions: Annotated[
        list[Path] | None,
        typer.Option("--impressions", metavar="FILE", help="What another system has shown; repeatable."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="PART=NAME", help="Column of --impressions, such as propensity=p."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The files' days hold the files' events and nothing else.")
    ] = False,
    layout: LayoutOption = "",
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Only import events, or impressions of another system; importing a file twice changes nothing."""
    from freshet import operations
    from freshet.cli import layout_option, show

    layout_option.check_layout(layout)
    if impressions:
        if files or replace:
            raise ConfigError(
                "--impressions imports these files alone", hint="leave out event files and --replace"
            )
        _import_impressions(workspace, wait, as_json, impressions, column or [])
        return
    if column:
        raise ConfigError("--column is for --impressions", hint="of events, [events.columns] names them")
    sources = [location(file) for file in files or []]
    with opened(workspace, wait) as opened_ws:
        ws = layout_option.with_layout(opened_ws, layout)
        record, found = operations.import_log(ws, datetime.now(UTC), sources or None, replace)
    answer(_imported(record, found), as_json, lambda console: show.imported(console, found))


def _import_impressions(
    workspace: Path, wait: float, as_json: bool, files: list[Path], columns: list[str]
) -> None:
    from freshet import operations
    from freshet.cli import show
    from freshet.experiments.measurement.foreign_rows import ColumnNames

    names = ColumnNames.of(columns)
    with opened(workspace, wait) as ws:
        record, reports = operations.import_impressions(ws, files, names, datetime.now(UTC))
    content = document("import", {"run": record.id, "impressions": [asdict(report) for report in reports]})
    answer(content, as_json, lambda console: show.impressions(console, reports))


def _imported(record: Record, found: Imported) -> dict[str, Any]:
    files = [
        {
            "source": report.source,
            "rows": report.rows_read,
            "added": report.added,
            "duplicates": report.duplicates,
            "replaced": report.replaced,
            "quarantined": report.quarantined,
            "layout": report.layout or None,
            "notes": report.notes,
            "unread": [{"path": one.path, "why": one.why} for one in report.unread],
        }
        for report in found.events
    ]
    return document(
        "import",
        {
            "run": record.id,
            "files": files,
            "items": catalogue_counts(found),
            "notes": found.notes,
            "snapshot": found.events[-1].snapshot,
        },
    )


def collect(workspace: Here = HERE, wait: Wait = 0.0, as_json: AsJson = False) -> None:
    """Take what serving recorded into the log, and what it showed into files; `run` does this first."""
    from freshet import operations
    from freshet.cli import show

    with opened(workspace, wait) as ws, user_store(ws) as users:
        if users is None:
            raise NotServing(
                f"{ws.root} has never been served: there is nothing to collect",
                hint="`freshet serve` records events and impressions",
            )
        record, collected = operations.collect(ws, users, datetime.now(UTC))
    content = document("collect", {"run": record.id, **asdict(collected)})
    answer(content, as_json, lambda console: show.collected(console, collected))


def doctor(
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be; without it nothing is touched.")
    ] = False,
    workspace: Here = HERE,
    wait: Wait = 0.0,
    as_json: AsJson = False,
) -> None:
    """Check every file of a workspace against its checksum; find and repair what a crash can leave."""
    from freshet import doctor as doctors
    from freshet.cli import show

    with opened(workspace, wait) as ws:
        result = doctors.check(ws, repair)
    answer(_checked(result), as_json, lambda console: show.checked(console, result, repair))
    if not result.healthy:
        raise typer.Exit(UNHEALTHY)


def _checked(result: Result) -> dict[str, Any]:
    keys = ("what", "where", "means", "repair", "damage", "bytes")
    findings = [
        {**{key: getattr(finding, key) for key in keys}, "repaired": repaired}
        for finding, repaired in zip(result.findings, result.repaired, strict=True)
    ]
    return document("doctor", {"healthy": result.healthy, "writing": result.writing, "findings": findings})
