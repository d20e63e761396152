"""Step: event and item files -> the log and the catalogue."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from freshet import events
from freshet.errors import ConfigError, InputError
from freshet.ports import Artifact
from freshet.steps.rules import kept
from freshet.types import AsOf
from freshet.workspace import Run, Workspace, version_of

ITEMS_CODE = 1


def import_sources(
    ws: Workspace, run: Run, now: datetime, sources: list[Path] | None = None, replace: bool = False
) -> list[events.ImportReport]:
    """Import event files (those of the configuration unless others are named); twice changes nothing."""
    files = sources if sources is not None else [located(ws, name) for name in ws.config.events.files]
    if not files:
        raise ConfigError(
            f"{ws.source / 'freshet.toml'} names no event file",
            hint="set [events] files, or run `freshet import FILE`",
        )
    events.parse(ws.config.events.positive)  # a bad rule is better told before an hour of reading
    columns = kept(ws)
    log = events.EventLog(ws.source)
    reports = []
    with run.step("import") as step:
        for file in files:
            run.say(f"reading {file}")
            report = log.import_events(file, ws.config.events, now=now, replace=replace, keep=columns)
            reports.append(report)
            for note in report.notes:
                run.say(f"  note: {note}")
            for reason, rows in report.quarantined.items():
                run.say(f"  quarantined: {rows:,} rows, {reason}")
        step.details = {
            "read": sum(report.rows_read for report in reports),
            "added": sum(report.added for report in reports),
            "duplicates": sum(report.duplicates for report in reports),
            "quarantined": _sum(report.quarantined for report in reports),
        }
    return reports


def items(ws: Workspace, run: Run) -> Artifact:
    """The catalogue as an artifact, versioned by the item file's content."""
    source = _item_source(ws)
    settings = ws.config.events
    key = version_of(code=ITEMS_CODE, columns=settings.item_columns.model_dump(), content=_content(source))
    with run.step("items") as step:
        step.artifact = f"items/{key}"
        found = ws.store.find("items", key)
        if found is not None:
            step.cached = True
            return found
        with ws.store.create("items", key) as draft:
            report = events.import_items(source, settings, draft.path)
            draft.manifest = {
                "items": report.items,
                "duplicates": report.duplicates,
                "quarantined": report.quarantined,
                "without_text": report.without_text,
            }
            for note in report.notes:
                run.say(f"  note: {note}")
        return committed(ws, "items", key)


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


def _item_source(ws: Workspace) -> Path | None:
    if ws.config.events.items:
        return located(ws, ws.config.events.items)
    for name in ws.config.events.files:  # MovieLens and MovieTweetings folders bring their own
        if events.brings_items(located(ws, name)):
            return located(ws, name)
    return None


def _content(source: Path | None) -> Any:
    if source is None:
        return None
    try:
        path = events.item_file(source).path  # of a folder the item file alone: its events change every day
    except InputError:
        return str(source)  # import_items tells what is wrong with it
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sum(parts: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for reason, count in part.items():
            total[reason] = total.get(reason, 0) + count
    return total
