"""How the file of a state is made and opened, and its errors in Freshet's words."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lmdb

from freshet.backends.user_stores import records, roots
from freshet.backends.user_stores.records import NAMES
from freshet.core.errors import StateError, StateFull
from freshet.storage.durable import written
from freshet.storage.permissions import file_mode

DATA, LOCK = "data.mdb", "lock.mdb"
NEW = ".new-"
"""How folders begin in which a file is made."""

_READERS = 1024
_LITTLE = 1 << 20
_FORBIDDEN = [os.strerror(number) for number in (errno.EACCES, errno.EPERM, errno.EROFS)]
_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
    roots.Damaged,
    records.DamagedRecord,
)


def open_file(folder: Path, size: int) -> lmdb.Environment:
    """The LMDB environment of a folder; its pages have to be sound."""
    return lmdb.open(
        str(folder), map_size=size, max_dbs=len(NAMES) + 1, max_readers=_READERS, readahead=False,
        mode=file_mode(),
    )  # fmt: skip


def databases_of(env: lmdb.Environment) -> dict[str, Any]:
    """The databases by name; made where they are missing."""
    return {name: env.open_db(name.encode()) for name in (*NAMES, records.ABOUT)}


def make_file(folder: Path, size: int) -> None:
    """A new file, there with all of its databases or not at all: a part of one would pass for damage."""
    with suppress(FileExistsError), TemporaryDirectory(dir=folder, prefix=NEW) as draft:
        env = open_file(Path(draft), size)
        databases = databases_of(env)
        with env.begin(write=True) as transaction:
            records.put(transaction, databases, records.ABOUT, records.KEY, records.FORMAT)
        env.close()
        with written(folder / DATA, exclusive=True) as aside:
            Path(draft, DATA).replace(aside)


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """A block in which errors of LMDB and of the disk become StateErrors that say what to do."""
    try:
        yield
    except lmdb.MapFullError:
        raise StateFull(
            f"the state {folder} is full",
            hint="`freshet collect` makes room; or raise [serving] state_gb and restart what uses it",
            retryable=True,
        ) from None
    except _DAMAGE as error:
        raise damage_of(folder, str(error)) from None
    except (lmdb.Error, OSError) as error:
        forbidden = any(words in str(error) for words in _FORBIDDEN)
        why = "its disk is full" if not forbidden and _is_full(folder) else str(error)
        raise StateError(
            f"the state {folder} can't be used: {why}",
            hint="whoever serves must be allowed to write there: see to its owner and permissions"
            if forbidden
            else "free some space, or see to the disk; then it works again",
            retryable=True,
        ) from None


def damage_of(folder: Path, why: str) -> StateError:
    """The error that says so, and what to do."""
    return StateError(
        f"the state {folder} is damaged: {why}",
        hint="stop what uses it, then `freshet doctor --repair`: it keeps the records that are sound, and "
        "histories are loaded from the event log again",
    )


def _is_full(folder: Path) -> bool:
    """Whether so little room is left that a write may have failed for it: LMDB tells of a bad disk then."""
    return folder.is_dir() and shutil.disk_usage(folder).free < _LITTLE
