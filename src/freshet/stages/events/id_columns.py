"""Ids in SQL: the rule of `freshet.core.types.ids` over a column of any type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from freshet.core.errors import InputError
from freshet.core.types.ids import BLANKS, DECIMAL, SCIENTIFIC, SHORTENED, no_ids
from freshet.stages.events.source_tables import Table
from freshet.storage import sql

_EXACT = {"VARCHAR": 2**53, "DOUBLE": 2**53, "FLOAT": 2**24}
"""From here on a number written with a point may be another one, rounded to what the type can hold."""

_AS_FLOAT = rf"-?[0-9]+\.0|{SCIENTIFIC}"
_SPREADSHEET = rf"{SHORTENED}(1[1-9]|[2-9][0-9]|[0-9]{{3}})"
"""From twelve digits on a spreadsheet saves a number as 4.00638E+12: barcodes become one item."""
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_ALL_NULL = '"NULL"'  # of a column without a single value
_TYPES = (*_EXACT, *_WHOLE, *(f"U{name}" for name in _WHOLE), "DECIMAL", "UUID", "DATE", "ENUM", _ALL_NULL)


@dataclass(frozen=True, slots=True)
class Id:
    """A column of ids as SQL over the query of `with_ids`.

    Attributes:
        id: text; NULL where there is none.
        missing: boolean: there is none.
        problems: branches of a CASE that say why a cell can't be an id.
    """

    id: str
    missing: str
    problems: str


def with_ids(
    table: Table, columns: Mapping[str, str], spellings: Sequence[str]
) -> tuple[Table, dict[str, Id]]:
    """A table with its ids beside its columns.

    Args:
        columns: whose ids (`user`, `item`) -> the column.
        spellings: [events] missing.

    Raises:
        InputError: a column's type can't be an id.
    """
    cells = "".join(f", {_cell(table, column)} AS {_name(what, 'cell')}" for what, column in columns.items())
    ids = "".join(f", {_id(_name(what, 'cell'))} AS {_name(what, 'id')}" for what in columns)
    query = f"SELECT *{ids} FROM (SELECT *{cells} FROM ({table.query}))"
    words = sql.texts(sorted(no_ids(spellings)))
    found = {
        what: Id(
            _name(what, "id"),
            f"list_contains({words}, lower(coalesce({_name(what, 'id')}, '')))",
            f"WHEN {table.nested.get(column, 'false')} THEN '{what} id is neither text nor a number' "
            f"WHEN {_rounded(_name(what, 'cell'), _type(table, column))} THEN '{what} id has lost digits'",
        )
        for what, column in columns.items()
    }
    return replace(table, query=query), found


def _cell(table: Table, column: str) -> str:
    type_, name = _type(table, column), sql.name(column)
    if type_ not in _TYPES:
        raise InputError(
            f"{table.path}: column {column!r} is {table.columns[column]}, which can't be an id",
            hint="name a column of text or whole numbers in [events.columns] or [events.item_columns], "
            "or write the ids as text",
        )
    text = f"CAST({name} AS VARCHAR)"
    if type_ in ("FLOAT", "DOUBLE"):
        return f"CASE WHEN isfinite({name}) THEN {text} END"
    # `trim` of these signs is slow, and seldom needed
    blank = f"regexp_full_match({text}, '[!-~]*')"
    return (
        text
        if type_ != "VARCHAR"
        else f"CASE WHEN {blank} THEN {text} ELSE trim({text}, {sql.text(BLANKS)}) END"
    )


def _id(cell: str) -> str:
    number = f"TRY_CAST({cell} AS DOUBLE)"
    return f"""CASE
        WHEN NOT {_has_point(cell)} THEN {cell}
        WHEN regexp_full_match({cell}, {sql.text(DECIMAL)})
            THEN coalesce(nullif(split_part({cell}, '.', 1), '-0'), '0')
        WHEN regexp_full_match({cell}, {sql.text(SCIENTIFIC)}) AND abs({number}) < 1e37
            AND {number} = trunc({number}) THEN CAST(CAST({number} AS HUGEINT) AS VARCHAR)
        ELSE {cell} END"""


def _rounded(cell: str, type_: str) -> str:
    if type_ not in _EXACT:
        return "false"
    large = (
        f"regexp_full_match({cell}, {sql.text(_AS_FLOAT)}) "
        f"AND abs(TRY_CAST({cell} AS DOUBLE)) >= {_EXACT[type_]}"
    )
    shortened = f"regexp_full_match({cell}, {sql.text(_SPREADSHEET)})" if type_ == "VARCHAR" else "false"
    return f"{_has_point(cell)} AND ({large} OR {shortened})"


def _has_point(cell: str) -> str:
    return f"coalesce(contains({cell}, '.') OR contains({cell}, '+'), false)"


def _type(table: Table, column: str) -> str:
    return table.columns[column].split("(")[0]


def _name(what: str, part: str) -> str:
    """A name no source column has."""
    return sql.name(f"freshet {what} {part}")
