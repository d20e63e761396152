"""`freshet import`, `collect` and `doctor`: what goes into a workspace, and its health."""

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
    Here,
    LayoutOption,
    Wait,
    answer,
    opened,
    user_store,
)
from freshet.core.errors import ConfigError, NotServing
from freshet.core.urls import location

if TYPE_CHECKING:
    from freshet.doctor import Result
    from freshet.operations import Imported
    from freshet.storage.ledger import Record

UNHEALTHY = 7
"""Exit code of `doctor` where something was found that is not repaired."""


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
    with opened(workspace, wait, makes_way=True) as opened_ws:
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
    with opened(workspace, wait, makes_way=True) as ws:
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

    with opened(workspace, wait, makes_way=True) as ws, user_store(ws) as users:
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

    with opened(workspace, wait, makes_way=True) as ws:
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
