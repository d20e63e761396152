"""Copies of SQLite files that are being written to, and what to do with two that went apart.

A workspace has one kind of them, the answers of models elsewhere (`answers/answers.sqlite3`): rows that are
only added, each paid for. So of two files that have gone apart, the union is right.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from freshet.core.errors import ArtifactError
from freshet.storage.durable import make_folder

DATABASE = ".sqlite3"
"""How names of such files end."""
SIDES = ("-wal", "-shm", "-journal")
"""Ends of the names of files that SQLite keeps beside one."""


def stamp_of(path: Path) -> tuple[int, ...]:
    """What changes when a file does: size, times and inode; of a database also those of what is beside it.

    Raises:
        FileNotFoundError: there is no file.
    """
    found = path.stat()
    stamp = (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
    if not path.name.endswith(DATABASE):
        return stamp
    try:
        side = path.with_name(path.name + SIDES[0]).stat()
    except FileNotFoundError:
        return stamp
    return (*stamp, side.st_size, side.st_mtime_ns) if side.st_size else stamp


def copy_of(path: Path, folder: Path) -> Path:
    """A copy as of one moment, whoever is writing; kept in `folder` until the next one.

    Raises:
        ArtifactError: the file is damaged.
    """
    make_folder(folder)
    into = folder / path.name
    into.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(into)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        raise ArtifactError(
            f"{path} can't be copied: {error}", hint="move it away if it is damaged"
        ) from None
    return into


def add_rows(path: Path, other: Path) -> None:
    """Add to a file of answers those that it lacks of another one.

    Raises:
        ArtifactError: one of them is damaged.
    """
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("ATTACH ? AS other", [str(other)])
            with connection:
                connection.execute(
                    "INSERT OR IGNORE INTO answers (id, answer) "
                    "SELECT id, answer FROM other.answers ORDER BY number"
                )
    except sqlite3.DatabaseError as error:
        raise ArtifactError(
            f"the answers of {path} and of the bucket can't be joined: {error}",
            hint=f"move {path} away: the bucket has the other ones",
        ) from None
