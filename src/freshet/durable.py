"""Writing so that nothing is lost or half there, whenever the process or the machine dies.

Everything Freshet keeps is written in one way: aside, its bytes forced to the disk, moved into place by one
rename, the folder's entry forced to the disk. A reader sees the old or the new content, never a part; what a
crash leaves aside ends with `.part`, and nothing reads it.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from freshet.errors import ArtifactError, DiskFull

PART = ".part"
"""How names of files end that are being written."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = re.compile(
    "|".join([*(re.escape(os.strerror(number)) for number in _FULL), r"\d+ requested and \d+ written"]),
    re.IGNORECASE,
)
"""How libraries tell of it that keep the error number to themselves; the last is numpy's."""


@contextmanager
def written(path: Path, *, exclusive: bool = False) -> Iterator[Path]:
    """A file aside to write to in the block; it becomes `path` when the block ends well, else it vanishes.

    Raises:
        FileExistsError: `exclusive` and the file is there already.
    """
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.{uuid4().hex}{PART}")
    try:
        yield aside
        if exclusive:
            sync(aside)
            os.link(aside, path)  # unlike a rename, fails where the name is taken
            sync(path.parent)
        else:
            move_file(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, exclusive: bool = False) -> None:
    """Write a small file; raises FileExistsError where it is `exclusive` and there."""
    with written(path, exclusive=exclusive) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, *, exclusive: bool = False) -> None:
    """`write_text` of readable JSON with sorted keys."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_text(path, text, exclusive=exclusive)


def read_json(path: Path) -> Any:
    """Raises ArtifactError naming the file if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"{path} not found", hint="`freshet doctor` tells what is missing") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
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
    for path in paths:
        sync(path)
    for folder in sorted({path.parent for path in paths} | {path.parent.parent for path in paths}):
        sync(folder)


def move_folder(draft: Path, final: Path) -> None:
    """Make a finished folder permanent: its files first, then its name."""
    for folder, _, names in os.walk(draft):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    make_folder(final.parent)
    draft.rename(final)
    sync(final.parent)


def make_folder(path: Path) -> None:
    """Make a folder and what is missing above it, entries forced to the disk."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Force a file's bytes, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class TellingWhenFull:
    """A block in which a full disk is told as such, whichever library met it and whatever it made of it.

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
        if error is not None and not isinstance(error, DiskFull) and _is_full(error):
            reached = self.reached()
            raise DiskFull(
                f"the disk of {self.root.resolve()} is full: {error}",
                hint=f"{reached}{'; ' if reached else ''}free some space, "
                "then the same command continues where it was",
                retryable=True,
            ) from error


def _is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if _FULL_WORDS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
