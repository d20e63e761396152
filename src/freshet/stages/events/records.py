"""CSV text put into the one form that the database reads without doubt; lines without form are set aside.

A quote that is never closed would swallow the rest of its file, and one that a later quote closes by chance
the lines between. So a record over several lines is read only if it follows the rules of quoting and its
lines don't each look like a record; in doubt the file decides: quotes that close by chance don't do so again
and again without one that closes wrongly. Each line set aside counts as one unreadable row.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_RECORD = 2_000_000
"""Longest record in characters; the database takes 2 MiB."""

_CLEAR = 4
"""So many lines that each look like a record are records; fewer may be one, and none of them is read."""

_OFTEN = 4
"""So many records over several lines, and nothing else amiss in a file, are none by chance."""

_BROKEN = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8, as `surrogateescape` reads them

csv.field_size_limit(MAX_RECORD)

Refused = list[tuple[int, str]]
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


def rewrite(path: Path, dialect: Dialect, into: Path) -> Refused:
    """Write a CSV file anew: UTF-8, `"` doubled in quotes, lines that end in `\\n`. Line numbers stay."""
    seen, refused = _rewrite(path, dialect, into, trusting=False)
    if seen["doubtful"] and not seen["refused"] and seen["doubtful"] + seen["long"] >= _OFTEN:
        _, refused = _rewrite(path, dialect, into, trusting=True)
    return refused


def _rewrite(path: Path, dialect: Dialect, into: Path, trusting: bool) -> tuple[Counter[str], Refused]:
    """How many records of each kind there are, and the lines set aside.

    Args:
        trusting: whether doubtful records are read as they are quoted.
    """
    refused: Refused = []
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
