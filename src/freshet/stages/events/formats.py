"""Which files a source consists of, and how each is written.

A source is a file, a folder or a glob. In a folder, files and sub-folders named `events` or `ratings` hold
events, those named `items` or `movies` the catalogue, whatever follows the word (`events_2.csv`,
`items.000.parquet`, `events/part-0.csv`); where no name says so, every data file holds events. Published data
sets, such as MovieLens, are recognised by their files and read as `layouts` says. What is found and not read
is named.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.errors import InputError
from freshet.stages.events import source_folders
from freshet.stages.events.layouts import DAT_EVENTS, DAT_ITEMS, LAYOUTS, PLAIN, LaidOut, Reading, recognise
from freshet.stages.events.source_folders import Partition, Unread, fixed_part, partitions, walk

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
_DAT: dict[Role, Reading] = {"events": DAT_EVENTS, "items": DAT_ITEMS}
_ROLES: dict[Role, re.Pattern[str]] = {
    "events": re.compile(r"(events|ratings)(?![a-z])"),
    "items": re.compile(r"(items|movies)(?![a-z])"),
}
_ROTATED = re.compile(r"\.\d[\d_-]*$|-\d+$")  # events.csv.1, events.csv-20240131


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read.

    Attributes:
        reading: what a published layout says of its columns and rows.
        partitions: columns in the names of its folders, as in `country=FR/part-0.parquet`.
    """

    path: Path
    kind: Kind
    reading: Reading = PLAIN
    partitions: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Files to read, in the order of their paths, and those that were found beside them.

    Attributes:
        laid_out: the published layout that was recognised, if it is one.
    """

    files: tuple[SourceFile, ...]
    unread: tuple[Unread, ...] = ()
    laid_out: LaidOut | None = None


def event_source(source: Path, layout: str = "auto") -> Source:
    """The event files of a source.

    Args:
        layout: [events] layout.

    Raises:
        InputError: there is nothing there, or nothing that can be read, or a published data set isn't whole.
    """
    found = _select(source, "events", layout)
    if not found.files:
        if source.exists() and not source.is_dir():
            raise InputError(
                f"{source} is no regular file", hint="save what comes through it to a file first"
            )
        raise InputError(
            f"{source} {'holds no event file' if source.is_dir() else 'not found'}{_listed(found.unread)}",
            hint="give a Parquet, CSV or JSONL file, a folder or glob of them, or a published data set",
        )
    return found


def item_source(source: Path, layout: str = "auto") -> Source:
    """The item files of a source: a file, a glob, or a folder with `items` or `movies`, or of items alone.

    Args:
        layout: [events] layout.

    Raises:
        InputError: there is no such file.
    """
    found = _select(source, "items", layout)
    if not found.files:
        raise InputError(
            f"{source} has no item file{_listed(found.unread)}",
            hint="set [events] items to a Parquet, CSV or JSONL file, or to '' to go without items",
        )
    return found


def brings_items(source: Path, layout: str = "auto") -> bool:
    """Whether an event source is a folder with item files of its own.

    Args:
        layout: [events] layout.
    """
    if not source.is_dir():
        return False
    found, _ = walk(source)
    laid_out = _laid_out(found, layout)
    if laid_out and laid_out.of("items"):
        return True
    return any(_role(path, source) == "items" and _kind(path) is not None for path in found)


def suffixes(path: Path) -> tuple[str, tuple[str, ...]]:
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


def zip_member(path: Path) -> str | None:
    """The one data file in a zip archive; None if there is none, or several."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [
                name for name in archive.namelist() if suffixes(Path(name))[0] and "__MACOSX" not in name
            ]
    except (OSError, zipfile.BadZipFile):
        return None
    return names[0] if len(names) == 1 else None


def _kind(path: Path) -> Kind | None:
    ending, packing = suffixes(path)
    if ending or packing != (".zip",):
        return _KINDS.get(ending)
    member = zip_member(path)
    return _KINDS.get(suffixes(Path(member))[0]) if member else None


def _laid_out(files: Sequence[Path], layout: str) -> LaidOut | None:
    return recognise(LAYOUTS, files, _bare_name, _first_line, layout)


def _select(source: Path, role: Role, layout: str) -> Source:
    if source.is_file():
        laid_out = _laid_out([source], layout)
        if laid_out:
            laid_out.check(source, role)
        return Source((_describe(source, role, laid_out),), (), laid_out)
    found, unread = walk(source)
    source_folders.refuse_table_formats([*found, *(one.path for one in unread)])
    laid_out = _laid_out(found, layout)
    published: list[Path] = []
    if laid_out:
        laid_out.check(source, role)
        published = laid_out.of(role)
        unread += [Unread(path, laid_out.why_not(path)) for path in laid_out.parts if path not in published]
        found = [path for path in found if path not in laid_out.parts]
    plain: list[tuple[Path, Role | None]] = []
    for path in found:
        own = _role(path, source)
        if _kind(path) is None or (source.is_dir() and own is None and suffixes(path)[0] == ".txt"):
            unread.append(Unread(path, _why_not(path)))
        elif path.stat().st_size == 0 and len(found) > 1:
            unread.append(Unread(path, "empty"))
        else:
            plain.append((path, own))
    named = [path for path, own in plain if own == role] if source.is_dir() else []
    named += published
    chosen = named or [path for path, own in plain if own in (None, role)]
    if not source.is_dir() and not chosen:  # a glob of nothing else means what it says
        chosen = [path for path, _ in plain]
    read, twice = _one_format_each(chosen)
    beside = f"beside {read[0].name}" if read else "for items" if role == "events" else "for events"
    unread += [Unread(path, own or beside) for path, own in plain if path not in set(chosen)]
    if role == "items" and named:  # the rest of the folder is none of the catalogue's business
        unread = [one for one in unread if _role(one.path, source) == "items"]
    return Source(
        tuple(_describe(path, role, laid_out) for path in read), tuple(sorted([*unread, *twice])), laid_out
    )


def _why_not(path: Path) -> str:
    ending, packing = suffixes(path)
    if ending == ".txt":
        return "text that no name says to be events or items"
    return "not one data file: unpack it" if packing == (".zip",) else "no data file that Freshet reads"


def _one_format_each(paths: list[Path]) -> tuple[list[Path], list[Unread]]:
    """Of files of one name in several formats one is read: twice the same events must not count twice."""

    def name(path: Path) -> tuple[str, str]:
        ending, packing = suffixes(path)
        rest = path.name
        for part in (*packing, ending):
            rest = re.sub(re.escape(part), "", rest, count=1, flags=re.IGNORECASE)
        return str(path.parent), rest

    def preferred(path: Path) -> tuple[int, int, str]:
        ending, packing = suffixes(path)
        return _ORDER.index(ending) if ending else len(_ORDER), len(packing), path.name

    read, unread = [], []
    for _, group in groupby(sorted(paths, key=name), key=name):
        best, *others = sorted(group, key=preferred)
        read.append(best)
        unread += [Unread(path, f"taken for the same data as {best.name}") for path in others]
    return sorted(read), unread


def _describe(path: Path, role: Role, laid_out: LaidOut | None) -> SourceFile:
    reading = laid_out.reading(path, role) if laid_out else PLAIN
    kind = "dat" if reading.columns else _kind(path)
    if kind is None:
        raise InputError(
            f"{path}: can't tell its format from its name",
            hint="known endings: "
            + ", ".join(_KINDS)
            + "; each may also be packed as "
            + ", ".join(PACKED)
            + " (a zip archive of one file); save other formats as Parquet or CSV",
        )
    if kind == "dat" and not reading.columns:
        reading = _DAT[role]
    return SourceFile(path, kind, reading, partitions(path))


def _role(path: Path, source: Path) -> Role | None:
    """What the file's name, else the nearest folder's below the source, says that it holds."""
    for part in reversed(path.relative_to(fixed_part(source)).parts):
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


def _bare_name(path: Path) -> str:
    """A file's name without the endings of packing."""
    name = path.name
    while Path(name).suffix.lower() in PACKED:
        name = name[: -len(Path(name).suffix)]
    return name


_LONGEST_LINE = 1 << 20  # bytes; a first line is seldom longer, and then its beginning does


def _first_line(path: Path) -> str:
    """The first line of a text file, packed or not; names and types of a Parquet file's columns, separated by
    tabs; '' where there is none to read."""
    ending, packing = suffixes(path)
    try:
        if ending in (".parquet", ".pq") and not packing:
            return "\t".join(f"{field.name} {field.type}" for field in pq.read_schema(path))
        with _OPENERS.get(packing[0], Path.open)(path) if packing else path.open("rb") as file:
            line = file.read(_LONGEST_LINE).partition(b"\n")[0]
    except DAMAGED:
        return ""  # whoever reads the file says what is wrong
    return str(line.decode("utf-8-sig", "replace")).rstrip("\r")


def unpacked(path: Path, scratch: Path) -> Path:
    """The file itself, or an unpacked copy in `scratch` (a copy costs disk space only while it is read).

    Raises:
        InputError: a zip archive holds no data file, or several.
        DAMAGED: the file is damaged, or cut off.
    """
    for number, ending in enumerate(suffixes(path)[1]):
        copy = scratch / f"unpacked-{number}"
        with _OPENERS[ending](path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        path = copy
    return path


def _open_member(path: Path) -> AbstractContextManager[Any]:
    member = zip_member(path)
    if member is None and zipfile.is_zipfile(path):
        raise InputError(f"{path} holds no data file, or several", hint="unpack it and give the folder")
    return zipfile.ZipFile(path).open(member or "")
