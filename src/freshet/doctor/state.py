"""What serving remembers, where it is a file of the workspace: its pages, and every record of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

from freshet.backends.user_stores import lmdb_salvage as mending
from freshet.backends.user_stores.lmdb_file import DATA, LOCK
from freshet.core.errors import StateError
from freshet.doctor.finding import Finding, set_aside
from freshet.storage.durable import move_folder
from freshet.storage.workspace import DRAFTS, Workspace

_SHOWN = 3
_LOST = (
    "histories are loaded from the event log again; what was told since the last `freshet collect` and stood "
    "in damaged records is only in the damaged file"
)


def find(ws: Workspace) -> Iterator[Finding]:
    """A damaged state; while a process has it open it is named, not repaired."""
    folder = ws.root / "state"
    if ws.config.serving.state != "lmdb" or not (folder / DATA).exists():
        return
    try:
        wrong, readable = mending.problems(folder)
    except StateError as error:
        yield Finding("state that can't be read", "state", error.message, error.hint, True)
        return
    if not wrong:
        return
    more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    means = f"{'; '.join(wrong[:_SHOWN])}{more}: serving doesn't start with it; {_LOST}"
    if mending.in_use(folder):
        yield Finding("damaged state", "state", f"{means}; stop what uses it to repair it", "", True)
        return
    kept = ", keep its sound records in a new one" if readable else ""
    fix = partial(_renew, ws.root, folder, readable)
    yield Finding("damaged state", "state", means, f"move it to damaged/state{kept}", True, fix=fix)


def _renew(root: Path, folder: Path, readable: bool) -> None:
    draft = root / DRAFTS / f"state-{uuid4().hex[:8]}"
    if readable:
        mending.salvage(folder, draft)
        (draft / LOCK).unlink()  # that of a process that is through with it
    set_aside(root, folder)
    if readable:
        move_folder(draft, folder)
