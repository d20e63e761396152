"""What is wrong with a state in a folder, and a new one of all records that are sound."""

from __future__ import annotations

import fcntl
from pathlib import Path

from freshet.backends.user_stores import lmdb_environment, lmdb_file, lmdb_pages, lmdb_roots
from freshet.backends.user_stores.lmdb_file import DATA, LOCK
from freshet.core.errors import StateError

_MOST = 1000
_SPARE = 64 << 20


def problems(folder: Path) -> tuple[list[str], bool]:
    """What is wrong, 1000 findings at most, and whether records can be read at all.

    Raises:
        StateError: it can't be looked at now.
    """
    try:
        lmdb_pages.examine(folder / DATA)
    except lmdb_roots.Damaged as error:
        return [str(error)], False
    except OSError as error:
        raise StateError(f"the state {folder} can't be read: {error.strerror}") from None
    with lmdb_environment.lenient(folder, _room(folder)) as opened:
        return opened.damaged(_MOST), True


def in_use(folder: Path) -> bool:
    """Whether a process has it open."""
    if lmdb_environment.is_open(folder):
        return True
    try:
        with (folder / LOCK).open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever opens it shares a lock on it
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def salvage(folder: Path, into: Path) -> int:
    """Make a state of the sound records of another one whose pages are sound; returns how many.

    The positions that journals have reached are kept, or found anew: none is given twice.
    """
    room = _room(folder)
    with lmdb_environment.lenient(folder, room) as old, lmdb_environment.lenient(into, room) as new:
        count = 0
        with old.transaction() as source, new.transaction(write=True) as target:
            for name in lmdb_file.NAMES:
                for found, data in source.cursor(old.databases[name]):
                    key = bytes(found)
                    try:
                        value = lmdb_file.unsealed(name, key, data)
                    except lmdb_file.DamagedRecord:
                        continue
                    new.put(target, name, key, value)
                    count += 1
            for journal in ("events", "impressions"):
                last = target.cursor(new.databases[journal])
                known = new.get(target, "positions", journal.encode()) or b""
                if last.last() and bytes(last.key()) > known:
                    new.put(target, "positions", journal.encode(), bytes(last.key()))
    return count


def _room(folder: Path) -> int:
    return 2 * (folder / DATA).stat().st_size + _SPARE
