"""Names' endings: the format of a file, and how it is packed; and unpacking it."""

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
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

import pyarrow as pa

from freshet.core.errors import InputError
from freshet.core.urls import Location
from freshet.stages.events.source_listing import Content

Kind = Literal["parquet", "csv", "jsonl", "json", "dat"]

KINDS: dict[str, Kind] = {  # of one data set in several formats, the first is read
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
_ROTATED = re.compile(r"\.\d[\d_-]*$|-\d+$")  # events.csv.1, events.csv-20240131


def suffixes(path: Location) -> tuple[str, tuple[str, ...]]:
    """The ending that says the format ('' = none does), and those of packing, outermost first."""
    name, packing = path.name.lower(), []
    while True:
        ending = Path(name).suffix
        if ending in PACKED:
            packing.append(ending)
        elif ending in KINDS:
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


_OPENERS: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {  # each reads bytes
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda path: pa.input_stream(str(path), compression="zstd"),
    ".zip": lambda path: _open_member(path),
}
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What a damaged packed file raises."""


def unpacked(path: Location, content: Content, scratch: Path) -> Path:
    """The file itself, or an unpacked copy in `scratch` (a copy costs disk space only while it is read).

    Raises:
        InputError: a zip archive holds no data file, or several.
        DAMAGED: the file is damaged, or cut off.
    """
    place = content.local(scratch)
    for number, ending in enumerate(suffixes(path)[1]):
        copy = scratch / f"unpacked-{number}"
        with _OPENERS[ending](place) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        place = copy
    return place


def _open_member(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        member = zip_member(file)
    if member is None and zipfile.is_zipfile(path):
        raise InputError(f"{path} holds no data file, or several", hint="unpack it and give the folder")
    return zipfile.ZipFile(path).open(member or "")
