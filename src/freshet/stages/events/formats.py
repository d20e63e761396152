"""Which files a source consists of, and how each is written.

A source is a file, a folder or a glob, on this machine or in a bucket. In a folder, files and sub-folders
named `events` or `ratings` hold events, those named `items` or `movies` the catalogue, whatever follows the
word (`events_2.csv`, `items.000.parquet`, `events/part-0.csv`); where no name says so, every data file holds
events. That covers MovieLens and MovieTweetings, whose `.dat` files have no header. What is found and not
read is named.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

import pyarrow as pa

from freshet.core.errors import ConfigError, InputError
from freshet.core.ports import SourceStore
from freshet.core.urls import Location
from freshet.stages.events import source_buckets, source_folders
from freshet.stages.events.source_listing import (
    Content,
    Found,
    Listing,
    Partition,
    Unread,
    partitions,
    refuse_table_formats,
)

Kind = Literal["parquet", "csv", "jsonl", "json", "dat"]
Role = Literal["events", "items"]

_KINDS: dict[str, Kind] = {  # of one data set in several formats, the first is read
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".dat": "dat",
}
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
_ORDER = list(_KINDS)
_HEADERS: dict[Role, tuple[str, ...]] = {
    "events": ("user_id", "item_id", "rating", "timestamp"),
    "items": ("item_id", "title", "genres"),
}
_ROLES: dict[Role, re.Pattern[str]] = {
    "events": re.compile(r"(events|ratings)(?![a-z])"),
    "items": re.compile(r"(items|movies)(?![a-z])"),
}
_ROTATED = re.compile(r"\.\d[\d_-]*$|-\d+$")  # events.csv.1, events.csv-20240131


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read.

    Attributes:
        header: names the columns where the file itself doesn't.
        partitions: columns in the names of its folders, as in `country=FR/part-0.parquet`.
    """

    path: Location
    content: Content
    kind: Kind
    header: tuple[str, ...] = ()
    partitions: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Files to read, in the order of their paths, and those that were found beside them."""

    files: tuple[SourceFile, ...]
    unread: tuple[Unread, ...] = ()


def listing(source: Location, store: SourceStore | None) -> Listing:
    """What lies at a source.

    Args:
        store: of objects in buckets; None where none are read.
    """
    if isinstance(source, Path):
        return source_folders.listed(source)
    if store is None:
        raise ConfigError(f"{source} lies in a bucket, and only files are read here", hint="give a path")
    return source_buckets.listed(source, store)


def event_source(source: Location, store: SourceStore | None = None) -> Source:
    """The event files of a source.

    Raises:
        InputError: there is nothing there, or nothing that can be read.
    """
    there = listing(source, store)
    found = _select(there, "events")
    if not found.files:
        if there.what == "other":
            raise InputError(
                f"{source} is no regular file", hint="save what comes through it to a file first"
            )
        is_folder = there.what == "folder"
        raise InputError(
            f"{source} {'holds no event file' if is_folder else 'not found'}{_listed(found.unread)}",
            hint="give a Parquet, CSV or JSONL file, a folder or glob of them, or a MovieLens folder",
        )
    return found


def item_source(source: Location, store: SourceStore | None = None) -> Source:
    """The item files of a source: a file, a glob, or a folder with `items` or `movies`, or of items alone.

    Raises:
        InputError: there is no such file.
    """
    found = _select(listing(source, store), "items")
    if not found.files:
        raise InputError(
            f"{source} has no item file{_listed(found.unread)}",
            hint="set [events] items to a Parquet, CSV or JSONL file, or to '' to go without items",
        )
    return found


def brings_items(source: Location, store: SourceStore | None = None) -> bool:
    """Whether an event source is a folder with item files of its own."""
    there = listing(source, store)
    return there.what == "folder" and any(
        _role(one.path, there.base) == "items" and _kind(one) is not None for one in there.files
    )


def suffixes(path: Location) -> tuple[str, tuple[str, ...]]:
    """The ending that says the format ('' = none does), and those of packing, outermost first."""
    name, packing = path.name.lower(), []
    while True:
        ending = Path(name).suffix
        if ending in PACKED:
            packing.append(ending)
        elif ending in _KINDS:
            return ending, tuple(packing)
        elif not _ROTATED.search(name):
            return "", tuple(packing)
        name = name[: -len(ending)] if ending in PACKED else _ROTATED.sub("", name)


def zip_member(file: BinaryIO) -> str | None:
    """The one data file in a zip archive; None if there is none, or several."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [
                name for name in archive.namelist() if suffixes(Path(name))[0] and "__MACOSX" not in name
            ]
    except (OSError, zipfile.BadZipFile):
        return None
    return names[0] if len(names) == 1 else None


def _kind(one: Found) -> Kind | None:
    ending, packing = suffixes(one.path)
    if ending or packing != (".zip",):
        return _KINDS.get(ending)
    with one.content.open() as file:
        member = zip_member(file)
    return _KINDS.get(suffixes(Path(member))[0]) if member else None


def _select(there: Listing, role: Role) -> Source:
    if there.what == "file":
        return Source((_describe(there.files[0], role),))
    is_folder, unread = there.what == "folder", list(there.unread)
    refuse_table_formats([*there.files, *there.hidden])
    plain: list[tuple[Found, Role | None]] = []
    for one in there.files:
        own = _role(one.path, there.base)
        if _kind(one) is None or (is_folder and own is None and suffixes(one.path)[0] == ".txt"):
            unread.append(Unread(one.path, _why_not(one.path)))
        elif one.content.size == 0 and len(there.files) > 1:
            unread.append(Unread(one.path, "empty"))
        else:
            plain.append((one, own))
    named = [one for one, own in plain if own == role] if is_folder else []
    chosen = named or [one for one, own in plain if own in (None, role)]
    if not is_folder and not chosen:  # a glob of nothing else means what it says
        chosen = [one for one, _ in plain]
    read, twice = _one_format_each(chosen)
    beside = f"beside {read[0].path.name}" if read else "for items" if role == "events" else "for events"
    taken = {one.path for one in chosen}
    unread += [Unread(one.path, own or beside) for one, own in plain if one.path not in taken]
    if role == "items" and named:  # the rest of the folder is none of the catalogue's business
        unread = [one for one in unread if _role(one.path, there.base) == "items"]
    passed_over = sorted([*unread, *twice], key=lambda one: (one.path.parts, one.why))
    return Source(tuple(_describe(one, role) for one in read), tuple(passed_over))


def _why_not(path: Location) -> str:
    ending, packing = suffixes(path)
    if ending == ".txt":
        return "text that no name says to be events or items"
    return "not one data file: unpack it" if packing == (".zip",) else "no data file that Freshet reads"


def _one_format_each(files: list[Found]) -> tuple[list[Found], list[Unread]]:
    """Of files of one name in several formats one is read: twice the same events must not count twice."""

    def name(one: Found) -> tuple[str, str]:
        ending, packing = suffixes(one.path)
        rest = one.path.name
        for part in (*packing, ending):
            rest = re.sub(re.escape(part), "", rest, count=1, flags=re.IGNORECASE)
        return str(one.path.parent), rest

    def preferred(one: Found) -> tuple[int, int, str]:
        ending, packing = suffixes(one.path)
        return _ORDER.index(ending) if ending else len(_ORDER), len(packing), one.path.name

    read, unread = [], []
    for _, group in groupby(sorted(files, key=name), key=name):
        best, *others = sorted(group, key=preferred)
        read.append(best)
        unread += [Unread(one.path, f"taken for the same data as {best.path.name}") for one in others]
    return sorted(read, key=lambda one: one.path.parts), unread


def _describe(one: Found, role: Role) -> SourceFile:
    kind = _kind(one)
    if kind is None:
        raise InputError(
            f"{one.path}: can't tell its format from its name",
            hint="known endings: "
            + ", ".join(_KINDS)
            + "; each may also be packed as "
            + ", ".join(PACKED)
            + " (a zip archive of one file); save other formats as Parquet or CSV",
        )
    header = _HEADERS[role] if kind == "dat" else ()
    return SourceFile(one.path, one.content, kind, header, partitions(one.path))


def _role(path: Location, base: Location) -> Role | None:
    """What the file's name, else the nearest folder's below the source, says that it holds."""
    for part in reversed(path.parts[len(base.parts) :]):
        for role, pattern in _ROLES.items():
            if "=" not in part and pattern.match(part.lower()):
                return role
    return None


def _listed(unread: tuple[Unread, ...]) -> str:
    return f"; found {', '.join(f'{one.path.name} ({one.why})' for one in unread[:5])}" if unread else ""


_OPENERS: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {  # each reads bytes
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda path: pa.input_stream(str(path), compression="zstd"),
    ".zip": lambda path: _open_member(path),
}
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What a damaged packed file raises."""


def unpacked(file: SourceFile, scratch: Path) -> Path:
    """The file itself, or an unpacked copy in `scratch` (a copy costs disk space only while it is read).

    Raises:
        InputError: a zip archive holds no data file, or several.
        DAMAGED: the file is damaged, or cut off.
    """
    path = file.content.local(scratch)
    for number, ending in enumerate(suffixes(file.path)[1]):
        copy = scratch / f"unpacked-{number}"
        with _OPENERS[ending](path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        path = copy
    return path


def _open_member(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        member = zip_member(file)
    if member is None and zipfile.is_zipfile(path):
        raise InputError(f"{path} holds no data file, or several", hint="unpack it and give the folder")
    return zipfile.ZipFile(path).open(member or "")
