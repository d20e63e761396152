"""Ids in SQL: the rule of `freshet.types.ids` over a column of any type."""

from __future__ import annotations

from collections.abc import Sequence

from freshet.errors import InputError
from freshet.events import sql
from freshet.events.reading import Table
from freshet.types.ids import BLANKS, DECIMAL, SCIENTIFIC

_EXACT = {"FLOAT": 2**24, "DOUBLE": 2**53}
"""From here on a whole number in a column of this type may be another one, rounded."""

_AS_FLOAT = rf"-?[0-9]+\.0|{SCIENTIFIC}"
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_FINE = ("VARCHAR", *_EXACT, *_WHOLE, *(f"U{name}" for name in _WHOLE), "DECIMAL", "UUID", "DATE", "ENUM")


def as_id(table: Table, column: str) -> str:
    """SQL text: a cell as an id; NULL where there is none.

    Raises:
        InputError: the column's type can't be an id.
    """
    type_ = _type(table, column)
    if type_ not in _FINE:
        raise InputError(
            f"{table.path}: column {column!r} is {table.columns[column]}, which can't be an id",
            hint="name a column of text or whole numbers in [events.columns] or [events.item_columns], "
            "or write the ids as text",
        )
    cell = _cell(table, column)
    number = f"TRY_CAST({cell} AS DOUBLE)"
    whole = f"CAST(CAST({number} AS HUGEINT) AS VARCHAR)"
    return f"""CASE
        WHEN {cell} IS NULL OR NOT (contains({cell}, '.') OR contains({cell}, '+')) THEN {cell}
        WHEN regexp_full_match({cell}, {sql.text(DECIMAL)})
            THEN coalesce(nullif(split_part({cell}, '.', 1), '-0'), '0')
        WHEN regexp_full_match({cell}, {sql.text(SCIENTIFIC)}) AND abs({number}) < 1e37
            AND {number} = trunc({number}) THEN {whole}
        ELSE {cell} END"""


def is_rounded(table: Table, column: str) -> str:
    """SQL boolean: the id is a number that has lost digits, as beyond 2^53 in a column of floats."""
    type_ = _type(table, column)
    if type_ not in ("VARCHAR", *_EXACT):
        return "false"
    cell = _cell(table, column)
    written = f"regexp_full_match({cell}, {sql.text(_AS_FLOAT)})"
    return (
        f"coalesce(contains({cell}, '.') OR contains({cell}, '+'), false) AND {written} "
        f"AND abs(TRY_CAST({cell} AS DOUBLE)) >= {_EXACT.get(type_, 2**53)}"
    )


def is_missing(id_: str, spellings: Sequence[str]) -> str:
    """SQL boolean: an id is blank, or a word that stands for none, in any case of letters."""
    words = sql.texts(["", *(word.strip(BLANKS).lower() for word in spellings)])
    return f"list_contains({words}, lower(coalesce({id_}, '')))"


def bad_id(table: Table, column: str, what: str) -> tuple[str, ...]:
    """SQL branches of a CASE: why a cell can't be the id of `what`."""
    return (
        f"WHEN {table.nested.get(column, 'false')} THEN '{what} id is neither text nor a number'",
        f"WHEN {is_rounded(table, column)} THEN '{what} id has lost digits'",
    )


def _type(table: Table, column: str) -> str:
    return table.columns[column].split("(")[0]


def _cell(table: Table, column: str) -> str:
    name = sql.name(column)
    text = f"trim(CAST({name} AS VARCHAR), {sql.text(BLANKS)})"
    return f"CASE WHEN isfinite({name}) THEN {text} END" if _type(table, column) in _EXACT else text
