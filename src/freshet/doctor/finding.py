"""One thing that is not as it should be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from freshet.storage.durable import set_aside


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong.

    Attributes:
        what: in a few words.
        where: path within the workspace.
        means: what follows from it, and what a person can do where nothing is repaired.
        repair: what repairing does; '' where it can't.
        damage: something is lost or can't be used; else it is a leftover that only takes room.
        bytes: freed by the repair.
        fix: the repair.
    """

    what: str
    where: str
    means: str
    repair: str
    damage: bool
    bytes: int = 0
    fix: Callable[[], None] | None = field(default=None, compare=False, repr=False)


def leftover(what: str, root: Path, path: Path, means: str) -> Finding:
    """Something nobody needs; the repair deletes it."""
    size = size_of(path)
    where = path.relative_to(root).as_posix()
    return Finding(what, where, means, "delete it", False, size, partial(_delete, path))


def damaged(what: str, root: Path, path: Path, means: str) -> Finding:
    """Something that can't be used and can be made again; the repair moves it aside."""
    where = path.relative_to(root).as_posix()
    into = f"move it to damaged/{where}"
    return Finding(what, where, means, into, True, fix=partial(set_aside, root, path))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what has vanished meanwhile has none."""
    if path.is_dir():
        return sum(size_of(Path(folder, name)) for folder, _, names in os.walk(path) for name in names)
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def _delete(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
