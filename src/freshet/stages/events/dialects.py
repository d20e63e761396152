"""How a CSV file is written, from its first lines: delimiter, quotes, escapes, and where its header is."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from freshet.core.errors import InputError
from freshet.stages.events.records import MAX_RECORD, Dialect

_DELIMITERS = ",\t;|"
_QUOTES = "\"'"
_SAMPLE = 200
_EXCEL = re.compile(r'"?sep=(.)"?')  # a first line by which Excel names the delimiter


def dialect(path: Path, shown: Path, escaped: bool) -> Dialect:
    """How a UTF-8 file is written.

    Args:
        shown: the file's name in messages.
        escaped: quotes in it have a backslash in front.

    Raises:
        InputError: it has no header, or two kinds of quotes.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = list(islice(iter(lambda: file.readline(MAX_RECORD), ""), _SAMPLE))
    skip = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    said = _EXCEL.fullmatch(lines[skip].strip()) if skip < len(lines) else None
    skip += 1 if said else 0
    if skip >= len(lines):
        raise InputError(f"{shown} is empty", hint="a CSV file starts with a line of column names")
    text = [line for line in lines[skip:] if line.strip()]
    candidates = [
        Dialect((), skip + 1, delimiter, quote, "\\" if escaped else "")
        for delimiter in (said.group(1) if said else _DELIMITERS)
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


def _names(cells: list[str], shown: Path) -> tuple[str, ...]:
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
