"""Files on this machine: one, those below a folder, or those that match a glob."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn

import duckdb

from freshet.core.errors import InputError
from freshet.stages.events.source_listing import WORKSPACE, Found, Listing, Unread, fixed_parts
from freshet.storage.checksums import sha256

_HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class LocalContent:
    """What a file on this machine holds."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def version(self) -> str:
        return sha256(self.path)

    def open(self) -> BinaryIO:
        return self.path.open("rb")

    def local(self, scratch: Path) -> Path:  # noqa: ARG002 - it is where it is
        return self.path

    def in_sql(self, connection: duckdb.DuckDBPyConnection) -> str:  # noqa: ARG002
        return str(self.path)

    def reporting(self) -> AbstractContextManager[None]:
        return nullcontext()


def listed(source: Path) -> Listing:
    """The files at a path, below a folder, or matching a glob (of folders: those below them).

    Links are followed, each file and folder once. Of a workspace the files are looked at, not the folders,
    which hold what Freshet has made.

    Raises:
        InputError: a folder can't be read.
    """
    if source.is_file():
        return Listing("file", source, (_found(source),))
    if source.is_dir():
        return _listing("folder", source, [source])
    base = _fixed_part(source)
    if base != source:
        return _listing("glob", base, list(base.glob(str(source.relative_to(base)))))
    return Listing("other" if source.exists() else "nothing", source)


def _listing(what: Literal["folder", "glob"], base: Path, tops: list[Path]) -> Listing:
    seen: set[str] = set()
    found: list[Path] = []
    unread: list[tuple[Path, str]] = []
    for top in sorted(tops):
        for path in sorted(_below(top, seen)) if top.is_dir() else [top]:
            why = _passed_over(path, top, seen)
            if why:
                unread.append((path, why))
            else:
                found.append(path)
            seen.add(os.path.realpath(path))
    hidden = tuple(_found(path) for path, why in unread if why == _HIDDEN)
    passed_over = tuple(Unread(path, why) for path, why in unread)
    return Listing(what, base, tuple(_found(path) for path in found), passed_over, hidden)


def _found(path: Path) -> Found:
    return Found(path, LocalContent(path))


def _below(folder: Path, seen: set[str]) -> list[Path]:
    found = []
    for where, folders, names in os.walk(folder, followlinks=True, onerror=_fail):
        seen.add(os.path.realpath(where))
        if WORKSPACE in names:
            names = [*(name for name in names if name != WORKSPACE), *folders]
            folders.clear()
        folders[:] = [one for one in folders if os.path.realpath(Path(where, one)) not in seen]
        found += [Path(where, name) for name in names]
    return found


def _passed_over(path: Path, top: Path, seen: set[str]) -> str:
    parts = path.relative_to(top).parts if path != top else (path.name,)
    if any(part.startswith((".", "_")) for part in parts):
        return _HIDDEN
    if path.is_dir():
        return "a folder of a workspace"
    if not path.is_file():
        return "a link to nothing" if path.is_symlink() else "no regular file"
    return "a link to a file that is read" if os.path.realpath(path) in seen else ""


def _fail(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename} can't be read: {error.strerror}", hint="check its permissions")


def _fixed_part(pattern: Path) -> Path:
    """The part of a glob in front of the first part with a sign; a path without signs is fixed."""
    count = fixed_parts(pattern.parts)
    return pattern if count == len(pattern.parts) else Path(*pattern.parts[:count])
