"""Step: event and item files -> the log and the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from freshet.core.errors import ConfigError, InputError
from freshet.core.ports import Artifact
from freshet.core.types import AsOf
from freshet.stages import events
from freshet.stages.events import refusals as offered
from freshet.storage.checksums import sha256
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace, version_of

ITEMS_CODE = 2


def import_sources(
    ws: Workspace,
    run: Run,
    now: datetime,
    sources: list[Path] | None = None,
    replace: bool = False,
    keep: tuple[str, ...] = (),
) -> list[events.ImportReport]:
    """Import event files (those of the configuration unless others are named); twice changes nothing.

    Args:
        replace: days that a file has events of are replaced.
        keep: columns beside the usual ones that the log keeps, for metrics.

    Raises:
        InputError: a source is refused, which the ledger keeps (`offered`); those before it are in the log.
            Or nothing at all came in and the log is empty.
    """
    files = sources if sources is not None else [located(ws, name) for name in ws.config.events.files]
    if not files:
        raise ConfigError(
            f"{ws.source / 'freshet.toml'} names no event file",
            hint="set [events] files, or run `freshet import FILE`",
        )
    events.parse(ws.config.events.positive)  # a bad rule is better told before an hour of reading
    log = events.EventLog(ws.source)
    reports: list[events.ImportReport] = []
    with run.step("import") as step:
        for file in files:
            run.say(f"reading {file}")
            try:
                report = log.import_events(file, ws.config.events, now=now, replace=replace, keep=keep)
            except InputError as error:
                step.details = _counted(reports) | offered.refused(file, error)
                raise
            reports.append(report)
            _tell(run, report.notes, report.quarantined)
        step.details = _counted(reports)
        if not step.details["read"] and not log.snapshot().days:
            raise InputError(
                f"{', '.join(map(str, files))}: there are no rows in it, and the log holds no events",
                hint="import files with events",
            )
    return reports


def items(ws: Workspace, run: Run) -> Artifact:
    """The catalogue as an artifact, versioned by the item files' content; its manifest counts their rows."""
    sources = item_sources(ws)
    settings = ws.config.events
    key = version_of(
        code=ITEMS_CODE,
        columns=settings.item_columns.model_dump(),
        encoding=settings.encoding,
        missing=settings.missing,
        content=_content(sources),
    )
    with run.step("items") as step:
        step.artifact = f"items/{key}"
        found = ws.store.find("items", key)
        if found is not None:
            step.cached = True
            return found
        with ws.store.create("items", key) as draft:
            report = events.import_items(sources, settings, draft.path, ws.source / "quarantine")
            draft.manifest = {
                "rows": report.rows_read,
                "items": report.items,
                "duplicates": report.duplicates,
                "quarantined": report.quarantined,
                "without_text": report.without_text,
                "notes": list(report.notes),
            }
            _tell(run, report.notes, report.quarantined)
        catalogue = committed(ws, "items", key)
        _tell(run, overlap(ws, catalogue))
        return catalogue


def overlap(ws: Workspace, catalogue: Artifact) -> tuple[str, ...]:
    """A sentence if fewer than half of the log's events are of items in the catalogue, with examples."""
    snapshot = events.EventLog(ws.source).snapshot()
    path = catalogue.path / events.ITEMS_FILE
    if not snapshot.days or not catalogue.manifest["items"]:
        return ()
    found = events.overlap(snapshot, path)
    if 2 * found.known >= found.events:
        return ()
    few = f"only {found.known:,} of the log's {found.events:,} events are of items in the catalogue"
    if found.catalogue_item is None:  # ids are alike: it is a part of a catalogue
        return (f"{few}, which lacks {found.unknown_item!r} for one; add the other items to [events] items",)
    return (
        f"{few}: the log has {found.unknown_item!r}, the catalogue {found.catalogue_item!r}; "
        "check [events.columns] item and [events.item_columns] item",
    )


def latest(ws: Workspace) -> AsOf:
    """The first midnight after the log's last day; stray events behind it don't move it (`events.body`)."""
    return AsOf(events.body(_days(ws))[-1].day).minus(-1)


def newest(ws: Workspace) -> AsOf:
    """The first midnight after the last event, stray or not."""
    return AsOf(_days(ws)[-1].day).minus(-1)


def _days(ws: Workspace) -> tuple[events.DayFile, ...]:
    days = events.EventLog(ws.source).snapshot().days
    if not days:
        raise ConfigError(
            "the log holds no events",
            hint="run `freshet import FILE`, and look at quarantine/ if rows were refused",
        )
    return days


def located(ws: Workspace, name: str) -> Path:
    """A path of the configuration; relative ones count from the workspace."""
    return ws.source / Path(name).expanduser()


def committed(ws: Workspace, kind: str, version: str) -> Artifact:
    """The artifact just written."""
    found = ws.store.find(kind, version)
    if found is None:
        raise RuntimeError(f"{kind}/{version} was committed and is not there")
    return found


def item_sources(ws: Workspace) -> list[Path]:
    """Where the catalogue comes from: [events] items, else what the event folders bring."""
    if ws.config.events.items:
        return [located(ws, ws.config.events.items)]
    folders = [located(ws, name) for name in ws.config.events.files]
    return [folder for folder in folders if events.brings_items(folder)]


def _content(sources: list[Path]) -> Any:
    """Of a folder the item files alone count: its events change every day."""
    found = []
    for source in sources:
        try:
            files = events.item_source(source).files
        except InputError:
            return [str(one) for one in sources]  # import_items tells what is wrong
        found += [[sha256(file.path), file.kind, list(file.partitions)] for file in files]
    return found


def _tell(run: Run, notes: Sequence[str], quarantined: Mapping[str, int] | None = None) -> None:
    for note in notes:
        run.say(f"  note: {note}")
    for reason, rows in (quarantined or {}).items():
        run.say(f"  quarantined: {rows:,} rows, {reason}")


def _counted(reports: list[events.ImportReport]) -> dict[str, Any]:
    return {
        "sources": [str(report.source) for report in reports],
        "read": sum(report.rows_read for report in reports),
        "added": sum(report.added for report in reports),
        "duplicates": sum(report.duplicates for report in reports),
        "quarantined": _sum(report.quarantined for report in reports),
    }


def _sum(parts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for reason, count in part.items():
            total[reason] = total.get(reason, 0) + count
    return total
