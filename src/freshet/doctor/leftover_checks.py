"""What needs cleaning up: remains of runs that died, and files that more people may read than they should."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.doctor.artifact_checks import KINDS
from freshet.doctor.finding import Finding, damaged, leftover
from freshet.privacy.forgetting import unfinished
from freshet.stages import inference
from freshet.storage.checksums import MANIFEST
from freshet.storage.durable import PART, read_json
from freshet.storage.lease import read
from freshet.storage.ledger import Record
from freshet.storage.permissions import folder_mode, is_wide, narrow
from freshet.storage.workspace import DRAFTS, LEASE, TRAININGS, Workspace

WRITTEN_TO = (
    "runs",
    "decisions",
    "releases",
    "events",
    "quarantine",
    "days",
    "work",
    "impressions",
    "state",
    "cache",
    "batches",
    "hosted",
    "exports",
    "privacy",
    "backup",
)
"""Folders in which files are written aside."""


def find_leftovers(ws: Workspace, mine: str) -> Iterator[Finding]:
    """Everything of dead runs; `mine` is the run that asks, '' if it is none."""
    root = ws.root
    if not mine and (root / LEASE).exists():
        owner = read(root / LEASE)
        who = f"{owner} died" if owner else "its owner can't be read, so it is dead"
        yield leftover("stale lease", root, root / LEASE, f"{who} without giving it back; it blocks nobody")
    for path in sorted((root / DRAFTS).glob("*")):
        yield leftover("leftover draft", root, path, "a run died while it wrote this; nothing reads it")
    for path in _asides(root):
        yield leftover("half-written file", root, path, "a run died while it wrote this; nothing reads it")
    yield from _chunks(root)
    yield from _forgetting(ws)
    yield from find_unfinished_runs(ws, mine)


def _forgetting(ws: Workspace) -> Iterator[Finding]:
    """People who are refused already, and not gone yet."""
    if count := unfinished(ws.root):
        means = f"{count} people are refused already and may not be gone yet: the same command goes on"
        yield Finding("forgetting that never ended", "privacy/forgotten.json", means, "", False)


def _asides(root: Path) -> list[Path]:
    found = list(root.glob(f".*{PART}"))
    for name in WRITTEN_TO:
        found += (root / name).rglob(f".*{PART}")
    if (root / "state" / "data.mdb").exists():
        found += (root / "state").glob(".new-*")
    return sorted(found)


def _chunks(root: Path) -> Iterator[Finding]:
    """Chunks of inference that no run will continue from; the others are work done, and stay."""
    made = max((path.stat().st_mtime for path in (root / "tables").glob(f"*/{MANIFEST}")), default=0.0)
    for path in sorted((root / "work").glob("*.npz")):
        try:
            touched = path.stat().st_mtime
        except FileNotFoundError:  # a run that has just begun is through with it
            continue
        if not inference.is_whole(path):
            yield leftover("damaged chunk", root, path, "its rows will be inferred again")
        elif touched < made:
            yield leftover("stale chunk", root, path, "a table was made since: it holds these rows")


def find_unfinished_runs(ws: Workspace, mine: str) -> Iterator[Finding]:
    """Ledger entries that are damaged, or of runs that died; and damaged decisions."""
    for path in ws.ledger.paths():
        try:
            record = ws.ledger.get(path.stem)
        except ArtifactError as error:
            yield damaged(
                "damaged ledger entry", ws.root, path, f"what run {path.stem} did and cost is lost: {error}"
            )
            continue
        if record.outcome == "running" and record.id != mine:
            yield Finding(
                "run that never ended",
                path.relative_to(ws.root).as_posix(),
                f"`freshet {record.command}` of {record.started} was killed; the same command continues it",
                "record it as interrupted",
                False,
                fix=partial(_close, ws, record),
            )
    for path in ws.decisions.paths():
        try:
            ws.decisions.read(path)
        except ArtifactError as error:
            yield damaged("damaged decision", ws.root, path, f"who decided what, and why, is lost: {error}")


def _close(ws: Workspace, record: Record) -> None:
    record.outcome, record.message = "interrupted", "its process was killed"
    ws.ledger.save(record)


OURS = (
    *KINDS, "runs", "decisions", "releases", "events", "quarantine", "days", "work", "impressions", "state",
    "experiments", "replay", "cadence", "drift", "damaged", "cache", "batches", "hosted", "answers",
    "exports", "logs", "privacy", "backup", "alerts", DRAFTS, TRAININGS, "keys.json", "CURRENT", "FORMAT",
    "PAUSED", LEASE,
)  # fmt: skip
"""What Freshet writes there; settings and files beside are their owner's business."""


def find_open_files(ws: Workspace) -> Iterator[Finding]:
    """One finding for all of them; none where others can't enter the workspace at all. And damaged keys."""
    yield from _keys(ws)
    if not ws.root.stat().st_mode & 0o077 & ~folder_mode():
        return
    wide = [path for name in OURS if (path := ws.root / name).exists() and is_wide(path)]
    if wide:
        names = ", ".join(path.name for path in wide)
        means = "others on this machine may read or change them: an older Freshet, or a hand, left them so"
        fix = partial(_make_private, wide)
        yield Finding(
            "open to others", names, means, "make them as private as the setting says", False, fix=fix
        )


def _keys(ws: Workspace) -> Iterator[Finding]:
    """Keys that can't be read; never moved away, since a service without the file asks nobody for a key."""
    path = ws.root / "keys.json"
    if not path.exists():
        return
    try:
        content = read_json(path)
        sound = isinstance(content, dict) and isinstance(content.get("keys"), list)
    except ArtifactError:
        sound = False
    if not sound:
        means = "nobody's API key can be checked; remove it and make the keys anew with `freshet keys add`"
        yield Finding("damaged keys", path.name, means, "", True)


def _make_private(wide: list[Path]) -> None:
    for path in wide:
        narrow(path)
        for folder, inside, names in os.walk(path):
            for name in (*inside, *names):
                narrow(Path(folder, name))
