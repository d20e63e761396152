"""Which files a source consists of, and how each is written.

A source is a file, a folder or a glob. Known layouts are recognised by their file names:

    MovieLens ml-latest         ratings.csv + movies.csv
    MovieLens ml-1m and ml-10m  ratings.dat + movies.dat, fields separated by `::`
    MovieTweetings              ratings.dat + movies.dat, the same
    any folder                  events.* + items.*, else every event file below it
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from freshet.errors import InputError

Kind = Literal["parquet", "csv", "jsonl", "dat"]

_KINDS: dict[str, Kind] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".dat": "dat",
}
_RATINGS = ("user_id", "item_id", "rating", "timestamp")
_MOVIES = ("item_id", "title", "genres")
_EVENT_STEMS = ("ratings", "events")
_ITEM_STEMS = ("movies", "items")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read; `header` names the columns where the file itself doesn't."""

    path: Path
    kind: Kind
    header: tuple[str, ...] = ()


def event_files(source: Path) -> tuple[SourceFile, ...]:
    """The event files of a source, in the order of their paths.

    Raises:
        InputError: there is nothing there, or nothing that can be read.
    """
    return tuple(_describe(path, _RATINGS) for path in _find(source))


def item_file(source: Path) -> SourceFile:
    """The item file of a source: the file itself, or `movies.*` / `items.*` in a folder.

    Raises:
        InputError: there is no such file.
    """
    path = _named(source, _ITEM_STEMS) if source.is_dir() else source
    if path is None or not path.is_file():
        raise InputError(
            f"{source} has no item file",
            hint="set [events] items to a Parquet, CSV or JSONL file, or to '' to go without items",
        )
    return _describe(path, _MOVIES)


def brings_items(source: Path) -> bool:
    """Whether an event source is a folder with an item file of its own."""
    return source.is_dir() and _named(source, _ITEM_STEMS) is not None


def _kind(path: Path) -> Kind | None:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        found = _KINDS.get(suffixes[-2]) if len(suffixes) > 1 else None
        return None if found == "parquet" else found
    return _KINDS.get(suffixes[-1]) if suffixes else None


def _describe(path: Path, header: tuple[str, ...]) -> SourceFile:
    kind = _kind(path)
    if kind is None:
        raise InputError(
            f"{path}: can't tell its format from its name",
            hint="known endings: " + ", ".join(_KINDS) + "; text files may also end in .gz",
        )
    return SourceFile(path, kind, header if kind == "dat" else ())


def _named(folder: Path, stems: tuple[str, ...]) -> Path | None:
    """The file of a folder whose name up to the first dot is one of `stems`, most wanted stem first."""
    for stem in stems:
        found = sorted(
            path for path in folder.iterdir() if path.name.lower().split(".")[0] == stem and _kind(path)
        )
        if found:
            return found[0]
    return None


def _find(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if source.is_dir():
        known = _named(source, _EVENT_STEMS)
        if known is not None:
            return [known]
        found = [path for path in source.rglob("*") if _is_event_file(path, source)]
    else:
        found = [path for path in _glob(source) if path.is_file()]
    if not found:
        what = "holds no event file" if source.is_dir() else "not found"
        raise InputError(
            f"{source} {what}",
            hint="give a Parquet, CSV or JSONL file, a folder or glob of them, or a MovieLens folder",
        )
    return sorted(found)


def _is_event_file(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    items = path.name.lower().split(".")[0] in _ITEM_STEMS
    return path.is_file() and not hidden and not items and _kind(path) is not None


def _glob(pattern: Path) -> list[Path]:
    parts = pattern.parts
    magic = [index for index, part in enumerate(parts) if any(sign in part for sign in "*?[")]
    if not magic:
        return []
    base = Path(*parts[: magic[0]])
    return list(base.glob(str(Path(*parts[magic[0] :]))))
