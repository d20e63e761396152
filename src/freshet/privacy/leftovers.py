"""Takes people out of what lies beside the data: records, logs and tracebacks, remains of runs that died."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from freshet.core import config
from freshet.core.errors import ArtifactError
from freshet.privacy.person import FORGOTTEN, Names
from freshet.privacy.traces import search
from freshet.storage import run_log
from freshet.storage.durable import PART, read_json, write_json, write_text
from freshet.storage.ledger import Ledger
from freshet.storage.workspace import DRAFTS, TRAININGS

_OF_SERVERS = ("live-", "histories-")
"""How drafts begin that a running server may be writing; they last for seconds."""
_OLD = 3600.0
_LEASED = ("events", "quarantine", "impressions", "days", "runs", "work")
"""Folders in which only who holds the lease writes: a half-written file there is of a run that died."""
_MADE_AGAIN = ("work", TRAININGS, "cache", "damaged", run_log.FOLDER)
"""Folders in which a file that names somebody is deleted: what it holds is made again, or of no use."""


def clean_texts(root: Path, names: Names) -> int:
    """Take ids out of records and logs of runs, and of tracebacks; returns how many files had any.

    Args:
        root: of the workspace, or of a room of its replays.
    """
    done = 0
    for path in Ledger(root).paths():
        try:
            before = read_json(path)
        except ArtifactError:
            continue  # the search looks into it as well
        after = _without(before, names)
        if after != before:
            write_json(path, after)
            done += 1
    told = (root.glob("error-*.txt"), (root / "runs").glob("error-*.txt"), _run_logs(root))
    for paths in told:
        for path in paths:
            text = path.read_text(encoding="utf-8", errors="replace")
            if (after := names.without(text)) != text:
                write_text(path, after)
                done += 1
    return done


def _run_logs(root: Path) -> Iterator[Path]:
    return (root / run_log.FOLDER).glob("*.jsonl")


def _without(found: Any, names: Names) -> Any:
    if isinstance(found, str):  # a whole value stands in quotes, whatever it looks like
        return FORGOTTEN if found in names.ids else names.without(found)
    if isinstance(found, dict):
        return {key: _without(value, names) for key, value in found.items()}
    return [_without(value, names) for value in found] if isinstance(found, list) else found


def clean_remains(root: Path, names: Names, columns: config.Columns) -> int:
    """Delete what runs that died were writing, and files of caches and of what is damaged that name somebody.

    Call it under the lease. Returns how many files and drafts went.
    """
    done = 0
    for path in (root / DRAFTS).glob("*"):
        if not path.name.startswith(_OF_SERVERS) or _age(path) > _OLD:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            done += 1
    for name in _LEASED:
        for path in (root / name).rglob(f".*{PART}"):
            path.unlink(missing_ok=True)
            done += 1
    for name in _MADE_AGAIN:
        for trace in search(root / name, names, columns).traces if (root / name).is_dir() else ():
            (root / name / trace.path).unlink(missing_ok=True)
            done += 1
    return done


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
