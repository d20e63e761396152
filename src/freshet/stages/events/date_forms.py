"""In which form a column's times are written: by what most of its first values are, or refused.

Whether dates such as 03/04/2022 are day-first or month-first is kept with the log, so that a later file isn't
read otherwise.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from freshet.core.errors import ArtifactError, InputError
from freshet.stages.events import time_forms
from freshet.stages.events.source_tables import Table
from freshet.stages.events.time_forms import (
    DAY_FIRST,
    EITHER,
    MONTH_FIRST,
    OTHER_NUMBER,
    SHORT_NUMBER,
    Column,
)
from freshet.storage import sql
from freshet.storage.durable import read_json, write_json

SETTLE = "set [events] time_format in freshet.toml"
"""What settles what a file doesn't prove."""

_SAMPLE = 20_000
_MIXED = 0.05  # of a file's times may be of another form than the rest, which quarantines them


class Undecided(InputError):
    """A file's dates can be day-first or month-first, and nothing that was read so far decides."""


def decide_form(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    column: str,
    held: Column,
    now: datetime,
    wanted: str,
    orders: frozenset[str],
) -> str:
    """The form of a column by its first values, '' where nothing is a time.

    Args:
        wanted: `day-first` or `month-first` where the settings say so, else ''.
        orders: those of the log's other files.

    Raises:
        InputError: the values are of several time_forms.
        Undecided: dates are day-first or month-first, and nothing says which.
    """
    counts = _counts(connection, table, held, now, _SAMPLE)
    if EITHER in counts and not wanted and not {DAY_FIRST, MONTH_FIRST} & counts.keys():
        counts = _counts(connection, table, held, now, None)  # one day above the 12th settles it
    numbers = counts.pop(OTHER_NUMBER, (0, ""))
    short = counts.pop(SHORT_NUMBER, (0, ""))
    if short[0] > _MIXED * (short[0] + sum(rows for rows, _ in counts.values())):
        raise InputError(
            f"{table.path}: {column!r} holds {short[1]!r}: as spreadsheets shorten numbers, so that events "
            "hours or days apart have one time",
            hint="export it again from where it came, or save the column as text or as whole numbers; if "
            f"these times will do, {SETTLE}",
        )
    slashed = {order: counts.pop(order) for order in (DAY_FIRST, MONTH_FIRST, EITHER) if order in counts}
    if slashed:
        order = _order(table, column, slashed, wanted, orders)
        counts[order] = (sum(rows for rows, _ in slashed.values()), next(iter(slashed.values()))[1])
    if not counts:
        return ""
    form = max(counts, key=lambda name: counts[name][0])
    others = {name: found for name, found in counts.items() if name != form}
    if form in time_forms.DIGITS.values() and numbers[0]:
        others["numbers that are no such date"] = numbers
    for other, (rows, example) in others.items():
        if rows > _MIXED * sum(found[0] for found in counts.values()):
            raise _mixed(table, column, {form: counts[form][1], other: example})
    return form if form != time_forms.YEAR_DAY else ""


def _order(
    table: Table, column: str, slashed: dict[str, tuple[int, str]], wanted: str, orders: frozenset[str]
) -> str:
    """Whether dates such as 03/04/2022 are day-first or month-first."""
    against = next((found for order, found in slashed.items() if order not in (wanted, EITHER)), (0, ""))
    if wanted and against[0] > _MIXED * sum(rows for rows, _ in slashed.values()):
        raise InputError(
            f"{table.path}: {column!r} holds {against[1]!r}, which can't be one of the {words(wanted)} "
            "that [events] time_format asks for",
            hint=f'{SETTLE} to "auto" or to what these dates are',
        )
    if wanted:
        return wanted
    proofs = {order: found for order, found in slashed.items() if order != EITHER}
    if len(proofs) == 2 and min(n for n, _ in proofs.values()) > _MIXED * sum(n for n, _ in proofs.values()):
        raise _mixed(table, column, {order: example for order, (_, example) in proofs.items()})
    if proofs:
        return max(proofs, key=lambda order: proofs[order][0])
    if len(orders) == 1:
        return next(iter(orders))
    raise Undecided(
        f"{table.path}: dates in {column!r} such as {slashed[EITHER][1]!r} can be day-first or month-first; "
        + ("the log has files of both" if orders else "none has a day after the 12th"),
        hint=f"{SETTLE} to {DAY_FIRST!r} or {MONTH_FIRST!r}",
    )


def _counts(
    connection: duckdb.DuckDBPyConnection, table: Table, held: Column, now: datetime, limit: int | None
) -> dict[str, tuple[int, str]]:
    """Form -> (values of it, the smallest one) among the first values of a column."""
    first = f"LIMIT {limit}" if limit else ""
    text = sql.name("freshet text")
    found = connection.sql(
        f"""SELECT form, count(*), min({text}) FROM (
                SELECT {text}, {time_forms.form_of(Column(text, held.is_text), now)} AS form FROM (
                    SELECT {held.text} AS {text} FROM ({table.query}) WHERE {held.text} <> '' {first}))
            WHERE form IS NOT NULL GROUP BY form ORDER BY count(*) DESC, form"""
    ).fetchall()
    return {str(form): (int(rows), str(example)) for form, rows, example in found}


def _mixed(table: Table, column: str, examples: dict[str, str]) -> InputError:
    listed = " and ".join(f"{words(form)} ({example!r})" for form, example in examples.items())
    return InputError(
        f"{table.path}: column {column!r} mixes {listed}",
        hint=f"write all times of a file in one form, or {SETTLE}: what is of another form is quarantined",
    )


def words(form: str) -> str:
    """A form for people."""
    if form in time_forms.UNITS:
        return f"{form} since 1970"
    if form == DAY_FIRST:
        return "day-first dates (dd/mm/yyyy)"
    return "month-first dates (mm/dd/yyyy)" if form == MONTH_FIRST else form


def known_orders(root: Path) -> frozenset[str]:
    """`day-first`, `month-first`: those of the files imported so far.

    Raises:
        ArtifactError: `orders.json` is damaged.
    """
    path = _orders_path(root)
    if not path.exists():
        return frozenset()
    found = frozenset(read_json(path))
    if not found <= {DAY_FIRST, MONTH_FIRST}:
        raise ArtifactError(f"{path} is damaged", hint="delete it, and set [events] time_format")
    return found


def keep_orders(root: Path, orders: frozenset[str]) -> None:
    """Keep the orders of files that are in the log now."""
    before = known_orders(root)
    if not orders <= before:
        write_json(_orders_path(root), sorted(before | orders))


def _orders_path(root: Path) -> Path:
    return root / "events" / "orders.json"
