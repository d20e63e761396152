"""A text file as the database reads it: unpacked, UTF-8, one kind of line end, CSV in one dialect.

Most files are read as they are, after one look at their bytes; the others from a copy in a scratch folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from freshet.core.errors import InputError
from freshet.core.urls import Location
from freshet.stages.events import encodings
from freshet.stages.events.csv_text import Dialect, RefusedLines, dialect, rewrite
from freshet.stages.events.formats import SourceFile

_PIECE = 1 << 22
_LINE_END, _QUOTE = 10, 34
_ESCAPED = re.compile(rb'\\"[^\r\n",;\t|]')
_BINARY = {
    b"\x1f\x8b": "packed by gzip",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"PAR1": "Parquet",
    b"ARROW1": "Arrow",
    b"Obj\x01": "Avro",
    b"SQLite f": "a database",
}
"""How other formats begin."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text file, ready to be read.

    Attributes:
        path: UTF-8 text with line ends of one kind.
        dialect: of a CSV or `.dat` file.
        refused: lines that are not in `path` because they are no rows.
        notes: what was assumed.
    """

    path: Path
    dialect: Dialect
    refused: RefusedLines = field(default_factory=list)
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Look:
    """What a file's bytes are like.

    Attributes:
        mixed: it has line ends of several kinds.
        doubtful: quotes don't pair up in each line, or one stands inside a field.
        escaped: quotes have a backslash in front.
    """

    utf8: bool = True
    mixed: bool = False
    doubtful: bool = False
    escaped: bool = False


def ready(file: SourceFile, path: Path, scratch: Path, encoding: str) -> Text:
    """Make a text file readable.

    Args:
        path: the file, unpacked.
        encoding: [events] encoding.

    Raises:
        InputError: it is no text, or its encoding or header isn't clear.
    """
    _refuse_binary(path, file.path)
    notes: list[str] = []
    wide = encodings.wide(path)
    if wide:
        path = encodings.decode(path, file.path, wide, scratch / "decoded")
    look = _look(path, quotes=file.kind == "csv")
    broken = False
    if not look.utf8:
        found, note = encodings.encoding_of(path, file.path, encoding)
        notes.append(note)
        broken = found is None
        if found:
            path = encodings.decode(path, file.path, found, scratch / "utf-8")
    if file.kind == "dat":
        return Text(
            _plain_lines(path, look, scratch),
            Dialect(file.reading.columns, 0, file.reading.delimiter, ""),
            [],
            tuple(notes),
        )
    if file.kind == "json" or (file.kind == "jsonl" and _is_list(path)):
        path = _json_lines(path, file.path, scratch / "lines")
    if file.kind in ("json", "jsonl"):
        return Text(_plain_lines(path, look, scratch), Dialect((), 0, "\x01", ""), [], tuple(notes))
    written = dialect(path, file.path, look.escaped)
    refused: RefusedLines = []
    if not written.is_standard:
        how = "single quotes" if written.quote == "'" else "a backslash in front of quotes"
        notes.append(f"{file.path.name}: read as CSV with {how}")
    if broken or look.mixed or look.doubtful or not written.is_standard:
        refused = rewrite(path, written, scratch / "records")
        path = scratch / "records"
    return Text(path, written, refused, tuple(notes))


def _refuse_binary(path: Path, shown: Location) -> None:
    with path.open("rb") as file:
        start = file.read(8)
    for sign, name in _BINARY.items():
        if start.startswith(sign):
            raise InputError(
                f"{shown} is no text, but {name}", hint="give it the ending of its format, or save it as text"
            )


def _look(path: Path, quotes: bool) -> _Look:
    look, ends = _Look(), set()
    for piece in _pieces(path):
        look.utf8 = look.utf8 and _is_utf8(piece)
        pairs = piece.count(b"\r\n") if b"\r" in piece else 0
        counts = {"\r\n": pairs, "\n": piece.count(b"\n") - pairs, "\r": piece.count(b"\r") - pairs}
        ends |= {end for end, count in counts.items() if count}
        if quotes and b'"' in piece:
            look.doubtful = look.doubtful or _doubtful(piece)
            look.escaped = look.escaped or (b'\\"' in piece and _ESCAPED.search(piece) is not None)
    look.mixed = len(ends) > 1 or ends == {"\r"}
    return look


def _pieces(path: Path) -> Iterator[bytes]:
    """The file in pieces of whole lines."""
    with path.open("rb") as file:
        waiting: list[bytes] = []
        while piece := file.read(_PIECE):
            cut = piece.rfind(b"\n") + 1
            if cut:
                yield b"".join([*waiting, piece[:cut]])
                waiting = []
            waiting.append(piece[cut:])
        if any(waiting):
            yield b"".join(waiting)


def _is_utf8(piece: bytes) -> bool:
    try:
        return piece.isascii() or bool(piece.decode())
    except UnicodeDecodeError:
        return False


def _doubtful(piece: bytes) -> bool:
    """Whether a line has an odd number of quotes, or one that opens or closes no field and isn't doubled."""
    signs = np.frombuffer(b"\n" + piece + b"\n", np.uint8)
    quotes = np.flatnonzero(signs == _QUOTE)
    ends = np.flatnonzero(signs == _LINE_END)
    if np.any(np.diff(np.searchsorted(quotes, ends)) % 2):
        return True
    edges = np.zeros(256, bool)
    edges[list(b'\r\n",;\t|')] = True
    return not np.all(edges[signs[quotes - 1]] | edges[signs[quotes + 1]])


def _plain_lines(path: Path, look: _Look, scratch: Path) -> Path:
    """The file, or a copy whose lines all end in `\\n`; damaged bytes stay."""
    if not look.mixed:
        return path
    copy = scratch / "one-kind"
    with (
        path.open(encoding="utf-8", errors="surrogateescape") as source,
        copy.open("w", encoding="utf-8", errors="surrogateescape", newline="") as target,
    ):
        target.writelines(source)
    return copy


def _is_list(path: Path) -> bool:
    """Whether a JSON file is a list of objects, whatever its name says."""
    with path.open("rb") as file:
        start = file.read(4096)
    return re.match(rb"(\xef\xbb\xbf)?\s*\[\s*\{", start) is not None


def _json_lines(path: Path, shown: Location, into: Path) -> Path:
    """A JSON file as one object a line: lists are opened, objects may span lines. It is held in memory."""
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    if not text.lstrip().startswith("["):
        first = text.lstrip().partition("\n")[0]
        try:
            json.loads(first)
            return path
        except (ValueError, RecursionError):
            pass  # an object over several lines
    decoder, at = json.JSONDecoder(), 0
    gap = re.compile(r"[\s,\[\]]*" if text.lstrip().startswith("[") else r"\s*")
    with into.open("w", encoding="utf-8", errors="surrogateescape", newline="") as target:
        while (at := _end(gap, text, at)) < len(text):
            try:
                _, end = decoder.raw_decode(text, at)
            except ValueError:
                line = text.count("\n", 0, at) + 1
                raise InputError(
                    f"{shown} is not JSON: what begins in line {line} can't be read",
                    hint="repair it, or write one object per line and name the file .jsonl",
                ) from None
            target.write(re.sub(r"[\r\n]", " ", text[at:end]) + "\n")
            at = end
    return into


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
