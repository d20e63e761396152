"""CSV text put into the one form that the database reads without doubt; lines without form are set aside.

A quote that is never closed would swallow the rest of its file, and one that a later quote closes by chance
the lines between. So a record over several lines is read only if it follows the rules of quoting and its
lines don't each look like a record; in doubt the file decides: quotes that close by chance don't do so again
and again without one that closes wrongly. Each line set aside counts as one unreadable row.

How a file is written (delimiter, quotes, escapes, where its header is) is found from its first lines.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from freshet.core.errors import InputError
from freshet.core.urls import Location

MAX_RECORD = 2_000_000
"""Longest record in characters; the database takes 2 MiB."""

_CLEAR = 4
"""So many lines that each look like a record are records; fewer may be one, and none of them is read."""

_OFTEN = 4
"""So many records over several lines, and nothing else amiss in a file, are none by chance."""

_BROKEN = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8, as `surrogateescape` reads them

csv.field_size_limit(MAX_RECORD)

RefusedLines = list[tuple[int, str]]
"""Lines set aside: number in the file and text."""

Kind = Literal["plain", "long", "doubtful", "refused"]
"""Of a record: on one line, over several, over several that may be records of their own, or none."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        header: names of its columns.
        skip: lines in front of the first record.
        escape: the sign that takes the meaning of a quote away; '' = a quote is doubled instead.
    """

    header: tuple[str, ...]
    skip: int
    delimiter: str
    quote: str = '"'
    escape: str = ""

    @property
    def is_standard(self) -> bool:
        """Whether the database reads it as it is."""
        return self.quote == '"' and not self.escape

    def reader(self, lines: Iterator[str] | list[str], strict: bool = True) -> Iterator[list[str]]:
        """A reader of records; `line_num` says how many lines it has taken."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            escapechar=self.escape or None,
            skipinitialspace=True,  # as the database does in front of quotes
            strict=strict,
        )


def rewrite(path: Path, dialect: Dialect, into: Path) -> RefusedLines:
    """Write a CSV file anew: UTF-8, `"` doubled in quotes, lines that end in `\\n`. Line numbers stay."""
    seen, refused = _rewrite(path, dialect, into, trusting=False)
    if seen["doubtful"] and not seen["refused"] and seen["doubtful"] + seen["long"] >= _OFTEN:
        _, refused = _rewrite(path, dialect, into, trusting=True)
    return refused


def _rewrite(path: Path, dialect: Dialect, into: Path, trusting: bool) -> tuple[Counter[str], RefusedLines]:
    """How many records of each kind there are, and the lines set aside.

    Args:
        trusting: whether doubtful records are read as they are quoted.
    """
    refused: RefusedLines = []
    seen: Counter[str] = Counter()
    with (
        path.open(encoding="utf-8-sig", errors="surrogateescape") as source,
        into.open("w", encoding="utf-8", newline="") as target,
    ):
        writer = csv.writer(target, delimiter=dialect.delimiter, lineterminator="\n")
        for number, lines, fields, kind in _records(source, dialect):
            seen[kind] += 1
            if kind == "refused" or (kind == "doubtful" and not trusting):
                target.write("\n" * len(lines))
                refused += [(number + index, _readable(line)) for index, line in enumerate(lines)]
            elif fields:
                writer.writerow(fields)
            else:
                target.writelines(lines)
    return seen, refused


def _readable(line: str) -> str:
    return line.rstrip("\n").encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _records(source: Iterator[str], dialect: Dialect) -> Iterator[tuple[int, list[str], list[str], Kind]]:
    """(number of the first line, lines, fields, kind) of each record; no fields: as it stands."""
    waiting: deque[str] = deque()
    number = 1
    signs = {'"', dialect.quote, dialect.escape or dialect.quote}
    while waiting or _more(source, waiting):
        line = waiting[0]
        kind: Kind = "plain"
        if number > dialect.skip and any(sign in line for sign in signs):
            lines, fields, kind = _record(source, waiting, dialect)
        else:
            lines, fields = [line], []
        if any(_BROKEN.search(one) for one in lines):
            kind = "refused"
        yield number, lines, fields, kind
        for _ in lines:
            waiting.popleft()
        number += len(lines)


def _record(
    source: Iterator[str], waiting: deque[str], dialect: Dialect
) -> tuple[list[str], list[str], Kind]:
    reader = dialect.reader(_feed(source, waiting, dialect))
    try:
        fields = next(reader)
    except csv.Error:
        return [waiting[0]], [], "refused"
    lines = [waiting[index] for index in range(reader.line_num)]  # type: ignore[attr-defined]
    if len(lines) == 1:
        return lines, fields, "plain"
    if not all(_looks_whole(line, dialect) for line in lines if line.strip()):
        return lines, fields, "long"
    if len(lines) >= _CLEAR:
        return lines[:1], [], "refused"
    return lines, fields, "doubtful" if len(fields) == len(dialect.header) else "refused"


def _feed(source: Iterator[str], waiting: deque[str], dialect: Dialect) -> Iterator[str]:
    index = size = 0
    sign = re.escape(dialect.delimiter)
    while size < MAX_RECORD and (index < len(waiting) or _more(source, waiting)):
        line = waiting[index]
        if dialect.escape:  # \\N is a missing value, not the letter N
            line = re.sub(rf"(^|{sign})\\N(?=[{sign}\r\n]|$)", r"\1\\\\N", line)
        yield line
        index, size = index + 1, size + len(line)


def _looks_whole(line: str, dialect: Dialect) -> bool:
    """Whether a line has as many fields as a record, its quotes taken as letters or as quotes."""
    width = len(dialect.header)
    if line.count(dialect.delimiter) == width - 1:
        return True
    return len(next(dialect.reader([line], strict=False), [])) == width


def _more(source: Iterator[str], waiting: deque[str]) -> bool:
    line = next(source, None)
    if line is None:
        return False
    waiting.append(line)
    return True


_DELIMITERS = ",\t;|"
_QUOTES = "\"'"
_FIRST_LINES = 200
_EXCEL = re.compile(r'"?sep=(.)"?')  # a first line by which Excel names the delimiter


def dialect(path: Path, shown: Location, escaped: bool) -> Dialect:
    """How a UTF-8 file is written.

    Args:
        shown: the file's name in messages.
        escaped: quotes in it have a backslash in front.

    Raises:
        InputError: it has no header, or two kinds of quotes.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = list(islice(iter(lambda: file.readline(MAX_RECORD), ""), _FIRST_LINES))
    skip = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    named = _EXCEL.fullmatch(lines[skip].strip()) if skip < len(lines) else None
    skip += 1 if named else 0
    if skip >= len(lines):
        raise InputError(f"{shown} is empty", hint="a CSV file starts with a line of column names")
    text = [line for line in lines[skip:] if line.strip()]
    candidates = [
        Dialect((), skip + 1, delimiter, quote, "\\" if escaped else "")
        for delimiter in (named.group(1) if named else _DELIMITERS)
        for quote in _QUOTES
    ]
    best = max(candidates, key=lambda one: _fit(text, one))
    if all(_encloses(text, replace(best, quote=quote)) for quote in _QUOTES):
        raise InputError(f"{shown} has fields in single and in double quotes", hint="use one kind of quotes")
    return replace(best, header=_names(_split(text[0], best), shown))


def looks_like_data(names: Sequence[str]) -> bool:
    """Whether column names are more likely the values of a first row: some are numbers or times."""
    return any(re.fullmatch(r"[+-]?\d+([.,]\d+)?|\d{4}-\d\d-\d\d.*", name) for name in names)


def _fit(lines: list[str], dialect: Dialect) -> tuple[bool, bool, float, int]:
    """How well a dialect explains the lines: has columns; uses its quotes; as many in every row; how many."""
    rows = [_split(line, dialect) for line in lines]
    width = len(rows[0])
    even = sum(len(row) == width for row in rows[1:]) / max(1, len(rows) - 1)
    standard = dialect.quote == '"'
    used = standard or _encloses(lines, dialect)
    return used and width > 1, used, round(even + (0 if standard else 0.1), 2), width


def _encloses(lines: list[str], dialect: Dialect) -> bool:
    """Whether in half of the lines a field starts with the quote, and it or a later one ends with it."""

    def encloses(line: str) -> bool:
        cells = [cell.strip() for cell in line.split(dialect.delimiter)]
        starts = [index for index, cell in enumerate(cells) if cell.startswith(dialect.quote)]
        ends = [index for index, cell in enumerate(cells) if len(cell) > 1 and cell.endswith(dialect.quote)]
        return bool(starts and ends) and starts[0] <= ends[-1]

    return 2 * sum(map(encloses, lines[1:] or lines)) >= len(lines[1:] or lines)


def _split(line: str, dialect: Dialect) -> list[str]:
    try:
        fields = next(dialect.reader([line.strip("\r\n")], strict=False), [])
    except csv.Error:
        return []
    return [field.strip() for field in fields]


def _names(cells: list[str], shown: Location) -> tuple[str, ...]:
    header = tuple(name or f"column{index}" for index, name in enumerate(cells, start=1))
    lower = [name.lower() for name in header]
    twice = next((name for name in header if lower.count(name.lower()) > 1), None)
    if twice and looks_like_data(header):
        raise InputError(
            f"{shown} has no header: its first line is {', '.join(map(repr, header))}",
            hint="write a line of column names in front, such as user_id,item_id,value,timestamp",
        )
    if twice:
        raise InputError(
            f"{shown} names the column {twice!r} twice", hint="rename one of them in the first line"
        )
    return header
