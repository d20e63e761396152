"""Who may read what Freshet writes: its owner alone, unless FRESHET_ACCESS says otherwise.

Histories, events and hashes of keys are in those files, so the umask of whoever starts a command doesn't
decide. All processes on a workspace want the same setting.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freshet.core.errors import ConfigError

ACCESS = "FRESHET_ACCESS"
_FOLDERS = {"owner": 0o700, "group-read": 0o750, "group": 0o770}
"""Setting -> mode of folders; files have the same without `x`."""

_theirs: list[int] = []
"""The umask outside of `guarded`, while inside."""


def folder_mode() -> int:
    """Of folders that are made; raises ConfigError where FRESHET_ACCESS is none of the settings."""
    setting = os.environ.get(ACCESS) or "owner"
    if setting not in _FOLDERS:
        raise ConfigError(f"{ACCESS} is {setting!r}", hint=f"expected one of {', '.join(_FOLDERS)}")
    return _FOLDERS[setting]


def file_mode() -> int:
    """Of files that are written."""
    return folder_mode() & 0o666


def narrow(path: Path) -> None:
    """Give a file or folder of ours its mode; links, and what others own, stay as they are."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
        return
    mode = folder_mode() if stat.S_ISDIR(found.st_mode) else file_mode()
    if stat.S_IMODE(found.st_mode) & 0o777 != mode:
        path.chmod(stat.S_IMODE(found.st_mode) & 0o7000 | mode)  # a folder may hand its group on


def is_wide(path: Path) -> bool:
    """Whether somebody may read or write it who should not."""
    found = path.lstat()
    allowed = folder_mode() if stat.S_ISDIR(found.st_mode) else file_mode()
    return not stat.S_ISLNK(found.st_mode) and bool(stat.S_IMODE(found.st_mode) & 0o777 & ~allowed)


@contextmanager
def guarded() -> Iterator[None]:
    """A block in which libraries that open files themselves make them private, too: a process of our own."""
    before = os.umask(0o777 & ~folder_mode())
    _theirs.append(before)
    try:
        yield
    finally:
        _theirs.pop()
        os.umask(before)


def their_umask() -> int:
    """The umask of whoever started the process."""
    if _theirs:
        return _theirs[0]
    found = os.umask(0o077)
    os.umask(found)
    return found
