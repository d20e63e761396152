"""Writing so that nothing is lost or half there, whenever the process or the machine dies.

Everything Freshet keeps is written in one way: aside, its bytes forced to the disk, moved into place by one
rename, the folder's entry forced to the disk. A reader sees the old or the new content, never a part; what a
crash leaves aside ends with `.part`, and nothing reads it.

What is written is its owner's alone, whatever the umask (`permissions` says how to share it). Who reads a
file, changes it and writes it back does so in `locked`.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from freshet.core.errors import ArtifactError, DiskFull, FreshetError
from freshet.storage.permissions import file_mode, folder_mode, narrow, their_umask

PART = ".part"
"""How names of files end that are being written."""
SYNCS = 8
"""Files that are forced to the disk at once."""

_LONGEST = 50
"""Characters of a file's name that its name aside repeats: names of 255 bytes must have one, too."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = re.compile(
    "|".join([*(re.escape(os.strerror(number)) for number in _FULL), r"\d+ requested and \d+ written"]),
    re.IGNORECASE,
)
"""Messages of libraries that hide the error number; the last is numpy's."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A block that one process and thread at a time is in, for load, change and save; waits for its turn.

    The lock (`flock` of the folder itself) leaves no file behind and ends with the process that holds it. It
    is not for long work: that is what the lease is for.
    """
    make_folder(folder)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # gives the lock back


@contextmanager
def written(path: Path, *, exclusive: bool = False, private: bool = True) -> Iterator[Path]:
    """A file aside to write to in the block; it becomes `path` when the block ends well, else it vanishes.

    Args:
        private: readable as the workspace is; else as the umask says, for files that a person exports.

    Raises:
        FileExistsError: `exclusive` and the file is there already.
    """
    make_folder(path.parent)
    aside = path.with_name(f".{path.name[:_LONGEST]}.{uuid4().hex}{PART}")
    try:
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # never through a link
        yield aside
        aside.chmod(file_mode() if private else 0o666 & ~their_umask())
        if exclusive:
            sync(aside)
            os.link(aside, path)  # unlike a rename, fails where the name is taken
            sync(path.parent)
        else:
            move_file(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, exclusive: bool = False, private: bool = True) -> None:
    """Write a small file; raises FileExistsError where it is `exclusive` and there."""
    with written(path, exclusive=exclusive, private=private) as aside:
        # half a character, as names of files may hold, becomes the escape that JSON has for it
        aside.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any, *, exclusive: bool = False) -> None:
    """`write_text` of readable JSON with sorted keys."""
    write_text(path, readable(content) + "\n", exclusive=exclusive)


def readable(content: Any) -> str:
    """JSON for people, too, with sorted keys."""
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)


def read_json(path: Path) -> Any:
    """Raises ArtifactError naming the file if it is missing, damaged or can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"{path} not found", hint="`freshet doctor` tells what is missing") from None
    except OSError as error:  # a folder instead, somebody else's, a bad disk
        raise ArtifactError(
            f"{path} can't be read: {error.strerror}", hint="see to its permissions, and to the disk"
        ) from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, numbers or nesting without end
        raise ArtifactError(
            f"{path} is damaged: {error}", hint="`freshet doctor` tells what can be repaired"
        ) from None


def move_file(aside: Path, path: Path) -> None:
    """Make a finished file permanent: its bytes first, then its name."""
    sync(aside)
    make_folder(path.parent)
    aside.replace(path)
    sync(path.parent)


def sync_all(paths: Iterable[Path]) -> None:
    """Force finished files and their folders to the disk, which together costs little more than one."""
    paths = list(paths)
    with ThreadPoolExecutor(SYNCS) as pool:  # the disk takes several at once in the time of one
        for _ in pool.map(sync, paths):
            pass
        for _ in pool.map(sync, {path.parent for path in paths} | {path.parent.parent for path in paths}):
            pass


def move_folder(draft: Path, final: Path) -> None:
    """Make a finished folder permanent: its files first, then its name."""
    narrow_tree(draft)
    make_folder(final.parent)
    draft.rename(final)
    sync(final.parent)


def narrow_tree(draft: Path) -> None:
    """Make everything in a finished folder as private as the workspace is, and force it to the disk."""
    for folder, _, names in os.walk(draft):
        narrow(Path(folder))
        for name in names:
            narrow(Path(folder, name))
            sync(Path(folder, name))
        sync(Path(folder))


def set_aside(root: Path, path: Path) -> None:
    """Move a file or folder to `damaged/`, beside others of its name."""
    if not path.exists():  # with something else that was set aside
        return
    wanted = root / "damaged" / path.relative_to(root)
    into, number = wanted, 1
    while into.exists():
        number += 1
        into = wanted.with_name(f"{wanted.name}-{number}")
    make_folder(into.parent)
    path.rename(into)
    sync(into.parent)
    sync(path.parent)


def make_folder(path: Path, *, synced: bool = True) -> None:
    """Make a folder and what is missing above it, entries forced to the disk; what is made is private.

    Args:
        synced: False = the caller forces the folder's own entry to the disk, with others (`sync_all`).
    """
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(mode=folder_mode(), exist_ok=True)
        narrow(path)
        if synced:
            sync(path.parent)


def sync(path: Path) -> None:
    """Force a file's bytes, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class ReportFullDisk:
    """A block in which a full disk raises DiskFull, whichever library met it and whatever it raised.

    Args:
        root: folder whose disk matters.
        reached: says what was done before the disk was full, '' where there is nothing to say.
    """

    def __init__(self, root: Path, reached: Callable[[], str] = str) -> None:
        self.root = root
        self.reached = reached

    def __enter__(self) -> None:
        """Nothing to do before."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, DiskFull) and is_full(error):
            raise self.told(error) from error

    def told(self, error: BaseException) -> DiskFull:
        """A full disk as a person is told of it; what a library made of it comes last, without its advice."""
        reached = self.reached()
        why = error.message if isinstance(error, FreshetError) else str(error)
        return DiskFull(
            f"the disk of {self.root.resolve()} is full: {why}",
            hint=f"{reached}{'; ' if reached else ''}free some space, "
            "then the same command continues where it was",
            retryable=True,
        )


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, is a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if _FULL_WORDS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
