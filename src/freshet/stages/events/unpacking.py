"""Packed files, unpacked beside the others of an import."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa

from freshet.core.errors import InputError
from freshet.stages.events.formats import suffixes, zip_member

_OPEN: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {  # each reads bytes
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda path: pa.input_stream(str(path), compression="zstd"),
    ".zip": lambda path: _member(path),
}
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What a damaged packed file raises."""


def unpacked(path: Path, scratch: Path) -> Path:
    """The file itself, or an unpacked copy in `scratch` (a copy costs disk space only while it is read).

    Raises:
        InputError: a zip archive holds no data file, or several.
        DAMAGED: the file is damaged, or cut off.
    """
    for number, ending in enumerate(suffixes(path)[1]):
        copy = scratch / f"unpacked-{number}"
        with _OPEN[ending](path) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        path = copy
    return path


def _member(path: Path) -> AbstractContextManager[Any]:
    member = zip_member(path)
    if member is None and zipfile.is_zipfile(path):
        raise InputError(f"{path} holds no data file, or several", hint="unpack it and give the folder")
    return zipfile.ZipFile(path).open(member or "")
