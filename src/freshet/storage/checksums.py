"""Checksums of files, computed once per process for as long as a file stays as it is."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from freshet.core import safe_names as names
from freshet.core.errors import ArtifactError, WrongFormat

MANIFEST = "manifest.json"

SETTLED = 2_000_000_000
"""Nanoseconds: the longest tick of a clock of files that is known (FAT's)."""

_State = tuple[int, int, int, int]
_known: dict[tuple[Path, Callable[[Path], str]], tuple[_State, str]] = {}


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered(path: Path, compute: Callable[[Path], str]) -> str:
    """`compute(path)`, from memory while the file's size, times and inode are the same.

    Of a file that has only just changed nothing is remembered: another change within the same tick of its
    file system's clock would not show.
    """
    found = path.stat()
    state = _state(found)
    known = _known.get((path, compute))
    if known is not None and known[0] == state:
        return known[1]
    settled = time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > SETTLED
    value = compute(path)
    if settled:
        _known[path, compute] = (state, value)
    return value


def wrote(path: Path, compute: Callable[[Path], str], value: str) -> None:
    """Remember the checksum of a file that this process has just written, and forced to the disk."""
    _known[path, compute] = (_state(path.stat()), value)


def _state(found: os.stat_result) -> _State:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def forget() -> None:
    """Compute everything anew, for those who must not trust a file's times."""
    _known.clear()


def verify(folder: Path, files: Mapping[str, str]) -> None:
    """Compare a folder's files with their checksums.

    Raises:
        ArtifactError: a file is missing or differs.
    """
    for name, expected in files.items():
        path = folder / names.checked_path(name, "file of an artifact")
        try:
            damage = "" if remembered(path, sha256) == expected else "damaged: its checksum differs"
        except (FileNotFoundError, NotADirectoryError):
            damage = "missing"
        except OSError as error:  # a folder instead, somebody else's, a bad disk
            damage = f"unreadable: {error.strerror}"
        if damage:
            raise ArtifactError(
                f"{path} is {damage}",
                hint="`freshet doctor --repair` moves the artifact aside; the next run makes it again",
            )


def check_format(path: Path, found: object, expected: int) -> None:
    """Refuse what another version of Freshet wrote in another way.

    Raises:
        WrongFormat: the formats differ.
        ArtifactError: what was found is no format.
    """
    if type(found) is not int:
        raise ArtifactError(
            f"{path} is damaged: its format is {names.shortened(found)}",
            hint="`freshet doctor --repair` moves it aside",
        )
    if found != expected:
        newer = found > expected
        by = "a newer" if newer else "an older"
        raise WrongFormat(
            f"{path} has format {found}, this Freshet reads {expected}: {by} one made it",
            hint="update this Freshet" if newer else "make a new workspace and import the events again",
        )
