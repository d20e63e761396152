"""Step: event and item files -> the log and the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from freshet.core.errors import ConfigError, InputError, NotEnoughData
from freshet.core.types import AsOf
from freshet.core.urls import Location, location
from freshet.stages import events
from freshet.stages.events import first_day
from freshet.stages.events.layouts import Reading
from freshet.stages.events.source_refusal import refused
from freshet.storage.artifacts import Artifact
from freshet.storage.build_once import build_once
from freshet.storage.ledger import Run, StepRecord
from freshet.storage.manifests import Catalogue
from freshet.storage.workspace import Workspace, version_of

ITEMS_CODE = 2


def import_sources(
    ws: Workspace,
    run: Run,
    now: datetime,
    sources: Sequence[Location] | None = None,
    replace: bool = False,
    keep: tuple[str, ...] = (),
) -> list[events.ImportReport]:
    """Import event files (those of the configuration unless others are named); twice changes nothing.

    Args:
        replace: days that a file has events of are replaced.
        keep: columns beside the usual ones that the log keeps, for metrics.

    Raises:
        InputError: a source is refused, as the ledger then says (`refused_sources`); those before are kept.
            Or nothing at all came in and the log is empty.
    """
    files = sources if sources is not None else [located(ws, name) for name in ws.config.events.files]
    if not files:
        raise ConfigError(
            f"{ws.source / 'freshet.toml'} names no event file",
            hint="set [events] files, or run `freshet import FILE`",
        )
    events.parse(ws.config.events.positive)  # a bad rule is better refused before an hour of reading
    first_day.lift(ws.source, ws.config.retention.events_days)
    log = events.EventLog(ws.source, store=ws.sources)
    reports: list[events.ImportReport] = []
    with run.step("import") as step:
        for file in files:
            run.say(f"reading {file}")
            try:
                report = log.import_events(file, ws.config.events, now=now, replace=replace, keep=keep)
            except InputError as error:
                step.details = _rows_of(reports) | refused(file, error, ws.sources)
                raise
            reports.append(report)
            _report(run, report.notes, report.quarantined)
        step.details = _rows_of(reports)
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
        content=_content(ws, sources),
    )

    def build(folder: Path, _: StepRecord) -> Catalogue:
        report = events.import_items(sources, settings, folder, ws.source / "quarantine", ws.sources)
        _report(run, report.notes, report.quarantined)
        return Catalogue(
            rows=report.rows_read,
            items=report.items,
            duplicates=report.duplicates,
            quarantined=report.quarantined,
            without_text=report.without_text,
            notes=list(report.notes),
        )

    known = ws.store.find("items", key) is not None
    catalogue = build_once(ws, run, "items", "items", key, build)
    if not known:
        _report(run, overlap(ws, catalogue))
    return catalogue


def overlap(ws: Workspace, catalogue: Artifact) -> tuple[str, ...]:
    """A sentence if fewer than half of the log's events are of items in the catalogue, with examples."""
    snapshot = events.EventLog(ws.source).snapshot()
    path = catalogue.path / events.ITEMS_FILE
    if not snapshot.days or not Catalogue.of(catalogue).items:
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


def snapshot(ws: Workspace, run: Run, as_of: AsOf) -> tuple[events.Snapshot, tuple[str, str]]:
    """The days of the log before a moment, and the first and last of them without stray ones (`events.body`).

    Raises:
        NotEnoughData: no event lies before as_of.
        ArtifactError: a day's file is missing or damaged.
    """
    found = events.EventLog(ws.source).snapshot(as_of)
    if not found.days:
        raise NotEnoughData(f"no event lies before {as_of}", hint="choose a later --as-of")
    for day in found.days:
        day.check()
    body = events.body(found.days)
    run.record.window = str(body[0].day), str(body[-1].day)
    return found, run.record.window


def latest(ws: Workspace) -> AsOf:
    """The first midnight after the log's last day; stray events behind it don't move it (`events.body`)."""
    return AsOf(events.body(_days(ws))[-1].day).plus(1)


def newest_event(ws: Workspace) -> AsOf:
    """The first midnight after the last event, stray or not."""
    return AsOf(_days(ws)[-1].day).plus(1)


def _days(ws: Workspace) -> tuple[events.DayFile, ...]:
    days = events.EventLog(ws.source).snapshot().days
    if not days:
        raise ConfigError(
            "the log holds no events",
            hint="run `freshet import FILE`, and look at quarantine/ if rows were refused",
        )
    return days


def located(ws: Workspace, name: str) -> Location:
    """A URL or a path of the configuration; relative paths count from the workspace.

    Raises:
        ConfigError: it is a URL of no bucket.
    """
    found = location(name)
    return ws.source / found.expanduser() if isinstance(found, Path) else found


def item_sources(ws: Workspace) -> list[Location]:
    """Where the catalogue comes from: [events] items, else what the event folders bring."""
    if ws.config.events.items:
        return [located(ws, ws.config.events.items)]
    folders = [located(ws, name) for name in ws.config.events.files]
    return [folder for folder in folders if events.brings_items(folder, ws.sources, ws.config.events.layout)]


def _content(ws: Workspace, sources: list[Location]) -> Any:
    """Of a folder the item files alone count: its events change every day."""
    found = []
    for source in sources:
        try:
            files = events.item_source(source, ws.sources, ws.config.events.layout).files
        except InputError:
            return [str(one) for one in sources]  # import_items tells what is wrong
        found += [
            [file.content.version(), file.kind, list(file.partitions), *_laid_out(file.reading)]
            for file in files
        ]
    return found


def _laid_out(reading: Reading) -> list[str]:
    """What a published layout makes of a file, where it makes anything of it."""
    return [repr(reading)] if reading.rows or reading.items != Reading().items else []


def _report(run: Run, notes: Sequence[str], quarantined: Mapping[str, int] | None = None) -> None:
    for note in notes:
        run.say(f"  note: {note}")
    for reason, rows in (quarantined or {}).items():
        run.say(f"  quarantined: {rows:,} rows, {reason}")


def _rows_of(reports: list[events.ImportReport]) -> dict[str, Any]:
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
