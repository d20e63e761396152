"""Finds and deletes what nothing needs: one thing after another, each gone at once or still whole.

Servers go on: what they have open stays theirs until they let go of it, and what they may open next stays. In
a bucket, contents stay for a day after nothing names them, for servers that follow it from afar.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

from freshet import retention
from freshet.cleanup.reachable import KINDS, Kept, keep
from freshet.core.errors import ArtifactError, Busy
from freshet.doctor.artifact_checks import find_artifacts
from freshet.doctor.bucket_checks import find_objects
from freshet.doctor.finding import Finding, size_of
from freshet.doctor.leftover_checks import find_leftovers
from freshet.doctor.source_checks import find_events
from freshet.stages.events import pruning
from freshet.storage import vector_cache
from freshet.storage.durable import make_folder, sync
from freshet.storage.ledger import Record, Run
from freshet.storage.manifests import TextsManifest
from freshet.storage.releases import DELETED
from freshet.storage.rooms import rooms
from freshet.storage.workspace import DRAFTS, TRAININGS, Workspace

COMMAND = "gc"
"""By which the ledger knows it."""
RELEASES, STUDY_DAYS = 5, 30
"""What stays by default: releases before the current one, and days since somebody touched a study."""
DAY = 24 * 3600.0
STUDIES = ("cadence", "drift")
_PRUNED_HOURS = 24.0
"""Whoever has begun to read an earlier state of the log is through with it then."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that nothing needs.

    Attributes:
        what: in a few words, in the plural.
        where: within the workspace.
        delete: deletes it.
    """

    what: str
    where: str
    bytes: int
    delete: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Collected:
    """What was deleted, or would be.

    Attributes:
        run: that did it, '' where nothing was to be deleted.
        releases, deleted_releases: numbers of those that stay, and of those that people can't go back to.
        counts, sizes: things and bytes by what they are.
        dropped: what was too old by `[retention]`; a dry run doesn't look.
    """

    run: str
    releases: tuple[int, ...]
    deleted_releases: tuple[int, ...]
    counts: dict[str, int]
    sizes: dict[str, int]
    dropped: retention.Dropped

    @property
    def bytes(self) -> int:
        """Of everything."""
        return sum(self.sizes.values())


def collect_garbage(
    ws: Workspace, releases: int, study_days: int, now: datetime, *, dry_run: bool = False
) -> Collected:
    """Delete what nothing needs, and what `[retention]` says is too old.

    Args:
        releases: so many before the current one stay.
        study_days: replays and studies, trainings that were given up and caches nobody touched for so many
            days go.
        dry_run: only tell.

    Raises:
        Busy: a run is writing, and did not end within `ws.wait` seconds.
        ArtifactError: something can't be read, so what it needs is not known; nothing was deleted.
    """
    if dry_run:
        kept = keep(ws, releases)
        return _summary("", kept, list(_garbage(ws, kept, study_days, "")), retention.Dropped())
    with ws.run(COMMAND) as run, run.step(COMMAND) as step:
        kept = keep(ws, releases)
        with run.fenced():
            dropped = retention.apply(ws, now)
        for note in dropped.notes:
            run.say(note)
        found = list(_garbage(ws, kept, study_days, run.record.id))
        progress = run.progress("gc")
        for done, one in enumerate(found, 1):
            with run.fenced():
                one.delete()
            progress(done, len(found))
        found += _left_over(ws, run)
        summary = _summary(run.record.id, kept, found, dropped)
        step.details = {
            "deleted_releases": list(kept.gone),
            "counts": summary.counts,
            "bytes": summary.bytes,
            "dropped": asdict(dropped),
        }
        run.record.release = ws.releases.pointer()
    return summary


def collect_when_due(ws: Workspace, now: datetime) -> Collected | None:
    """`collect_garbage` where the last one began `[schedule] gc_days` ago or more; None where it isn't due.

    Nor is it where one failed within hours, or where another run is writing: the next call tries again.
    """
    days = ws.config.schedule.gc_days
    if not days:
        return None
    since = (now - timedelta(days=days)).astimezone(UTC).isoformat(timespec="seconds")
    for path in reversed(ws.ledger.paths()):
        started, collected, failed = ws.ledger.digest(path, _as_collection)
        if started <= since:
            break
        if collected or (failed is not None and failed >= now - retention.AGAIN):
            return None
    with suppress(Busy):
        return collect_garbage(ws, RELEASES, STUDY_DAYS, now)
    return None


def _as_collection(record: Record) -> tuple[str, bool, datetime | None]:
    """When a run began (ISO), whether it cleaned up, and when it began if it failed to."""
    mine, began = record.command == COMMAND, datetime.fromisoformat(record.started)
    failed = began if mine and record.failed_since(began) else None
    return record.started, mine and record.outcome == "done", failed


def _garbage(ws: Workspace, kept: Kept, study_days: int, mine: str) -> Iterator[Garbage]:
    """In the order in which it is deleted: what needs something goes before that."""
    root, old = ws.root, time.time() - study_days * DAY
    for number in kept.gone:
        path = root / "releases" / f"{number}.json"
        yield Garbage("releases", f"releases/{number}.json", 0, partial(_archive, path))
    for kind in KINDS:
        for version in ws.store.versions(kind):
            if (kind, version) not in kept.artifacts:
                yield Garbage(kind, f"{kind}/{version}", *_artifact(ws, kind, version))
    studies = [path for name in STUDIES for path in sorted((root / name).glob("*"))]
    for what, paths in (("replays", rooms(root)), ("studies", studies), ("trainings", [root / TRAININGS])):
        for path in paths:
            if path.exists() and _touched(path) < old:
                yield _folder(what, root, path)
    used = _encoders(ws, kept)
    for path in sorted((root / vector_cache.PLACE).glob("*")):
        if path.name not in used and _touched(path) < old:
            yield _folder("caches of vectors", root, path)
    yield from _leftovers(ws, mine)


def _left_over(ws: Workspace, run: Run) -> list[Garbage]:
    """Delete what only the deletions before have left: counted days, earlier states of the log, objects."""
    before = size_of(ws.root / "events")
    found: list[Garbage] = []
    with run.fenced():
        if pruned := pruning.prune(ws.source, _PRUNED_HOURS):
            size = before - size_of(ws.root / "events")
            found.append(Garbage(f"{pruned} earlier states of the log", "events", size, _nothing))
    for one in _leftovers(ws, run.record.id):
        with run.fenced():
            one.delete()
        found.append(one)
    return found


def _leftovers(ws: Workspace, mine: str) -> Iterator[Garbage]:
    findings: list[Finding] = [*find_artifacts(ws), *find_events(ws), *find_objects(ws)]
    if mine:  # what a living run writes would look like a leftover
        findings += find_leftovers(ws, mine)
    for one in findings:
        if not one.damage and one.fix is not None:
            yield Garbage(f"{one.what}s", one.where, one.bytes, one.fix)


def _artifact(ws: Workspace, kind: str, version: str) -> tuple[int, Callable[[], None]]:
    folder = ws.root / kind / version
    return size_of(folder), partial(_delete_artifact, ws, kind, version)


def _delete_artifact(ws: Workspace, kind: str, version: str) -> None:
    if ws.bucket is not None:
        ws.bucket.let_go(kind, version)
    _delete(ws.root, ws.root / kind / version)


def _folder(what: str, root: Path, path: Path) -> Garbage:
    return Garbage(what, path.relative_to(root).as_posix(), size_of(path), partial(_delete, root, path))


def _delete(root: Path, path: Path) -> None:
    """Out of sight in one step; what a kill leaves then is a draft, which nothing reads."""
    aside = root / DRAFTS / f"deleted-{uuid4().hex[:8]}"
    make_folder(aside.parent)
    with suppress(FileNotFoundError):
        path.rename(aside)
        sync(path.parent)
        shutil.rmtree(aside, ignore_errors=True)


def _archive(path: Path) -> None:
    """What a release was stays known, but nobody can go back to it."""
    into = path.parent / DELETED / path.name
    make_folder(into.parent)
    path.rename(into)
    sync(into.parent)
    sync(path.parent)


def _encoders(ws: Workspace, kept: Kept) -> set[str]:
    """Encoders whose vectors are in texts that stay."""
    used: set[str] = set()
    for kind, version in kept.artifacts:
        if kind == "texts":
            with suppress(ArtifactError):
                found = ws.store.find(kind, version)
                used |= {TextsManifest.of(found).inputs.encoder} if found is not None else set()
    return used


def _touched(path: Path) -> float:
    """When anything in a folder was last written."""
    times = [path.stat().st_mtime]
    for one in path.rglob("*"):
        with suppress(FileNotFoundError):
            times.append(one.stat().st_mtime)
    return max(times)


def _summary(run: str, kept: Kept, found: list[Garbage], dropped: retention.Dropped) -> Collected:
    counts, sizes = Counter[str](), Counter[str]()
    for one in found:
        counts[one.what] += 1
        sizes[one.what] += one.bytes
    return Collected(run, kept.releases, kept.gone, dict(counts), dict(sizes), dropped)


def _nothing() -> None:
    """It is deleted already."""
