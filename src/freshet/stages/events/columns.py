"""Which column of a file holds what: the configured name, or an obvious alias of a default name."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from freshet.core import config
from freshet.core.errors import InputError
from freshet.stages.events.csv_text import looks_like_data
from freshet.stages.events.rule import Rule
from freshet.stages.events.source_tables import Table

CANONICAL = ("id", "user", "item", "time", "value")
"""Columns of the log; other columns that a rule names are kept beside them."""

_ALIASES = {
    "user": ("user", "userid", "uid"),
    "item": ("item", "itemid", "movieid"),
    "time": (
        *("timestamp", "time", "ts", "datetime", "eventtime", "eventtimestamp", "unixtime", "unixtimestamp"),
        *("timems", "timestampms", "eventtimems", "timeus", "timestampus", "timens", "timestampns"),
        *("date", "eventdate", "day"),
    ),
    "value": ("value", "rating", "score"),
    "title": ("title", "name"),
    "text": ("text", "description", "genres"),
}


@dataclass(frozen=True, slots=True)
class EventColumns:
    """The file's names of an event's parts.

    `times` are the columns that may hold the time, the most wanted first; one if it is named as configured.
    `extras` are the columns kept beside them: name in the log -> name in the file.
    """

    user: str
    item: str
    times: tuple[str, ...]
    value: str | None
    id: str | None
    extras: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """The file's names of an item's parts."""

    item: str
    title: str | None
    text: str | None
    notes: tuple[str, ...]


def event_columns(
    table: Table, wanted: config.Columns, rule: Rule, keep: frozenset[str] = frozenset()
) -> EventColumns:
    """Find an event's parts in a file; columns to `keep` may be missing, those of the rule may not.

    Raises:
        InputError: a part that is needed isn't there.
    """
    found = {part: _find(table, wanted, part) for part in CANONICAL}
    for part in ("user", "item", "time"):
        if found[part] is None:
            raise _missing(table, wanted, part)
    if wanted.id and found["id"] is None:
        raise _missing(table, wanted, "id")
    needs_value = "value" in {column.lower() for column in rule.columns}
    if wanted.value and found["value"] is None and needs_value:
        raise _missing(table, wanted, "value")
    notes = _notes(table, wanted, {part: column for part, column in found.items() if part != "time"})
    if wanted.value and found["value"] is None:
        notes.append(f"{table.path.name} has no column {wanted.value!r}: every event has the value 1")
    return EventColumns(
        str(found["user"]),
        str(found["item"]),
        _all(table, wanted, "time"),
        found["value"],
        found["id"],
        _extras(table, rule, keep),
        tuple(notes),
    )


def named_columns(
    wanted: config.Columns, rule: Rule, keep: frozenset[str] = frozenset(), part: str = ""
) -> frozenset[str]:
    """Plain spellings of all columns that are read of events, or of those that may hold one part.

    Plain is: in small letters, without `_`.
    """
    names: set[str] = set() if part else {*rule.columns, *keep}
    for one in [part] if part else CANONICAL:
        name = str(getattr(wanted, one))
        names.add(name)
        if name == _default(wanted, one):
            names.update(_ALIASES.get(one, ()))
    return frozenset(name.lower().replace("_", "") for name in names if name)


def item_columns(table: Table, wanted: config.ItemColumns) -> ItemColumns:
    """Find an item's parts in a file.

    Raises:
        InputError: there is no id, or a column named in the configuration isn't there.
    """
    found = {part: _find(table, wanted, part) for part in ("item", "title", "text")}
    notes = _notes(table, wanted, found)
    for part, column in found.items():
        name = getattr(wanted, part)
        if column is None and name:
            if part == "item" or name != _default(wanted, part):
                raise _missing(table, wanted, part)
            notes.append(f"{table.path.name} has no column {name!r}: items have no {part}")
    return ItemColumns(str(found["item"]), found["title"], found["text"], tuple(notes))


def _default(wanted: BaseModel, part: str) -> str:
    return str(type(wanted).model_fields[part].default)


def time_like(table: Table) -> tuple[str, ...]:
    """Columns whose names are those of times, such as `timestamp`."""
    plain = _plain(table)
    return tuple(plain[alias] for alias in _ALIASES["time"] if alias in plain)


def _find(table: Table, wanted: BaseModel, part: str) -> str | None:
    return next(iter(_all(table, wanted, part)), None)


def _all(table: Table, wanted: BaseModel, part: str) -> tuple[str, ...]:
    name = str(getattr(wanted, part))
    if not name:
        return ()
    exact = table.find(name)
    if exact is not None or name != _default(wanted, part):
        return () if exact is None else (exact,)
    plain = _plain(table)
    return tuple(plain[alias] for alias in _ALIASES.get(part, ()) if alias in plain)


def _plain(table: Table) -> dict[str, str]:
    own = [column for column in table.columns if column not in table.partitions]  # dt=2024-01-01 is no time
    return {column.lower().replace("_", ""): column for column in reversed(own)}


def _notes(table: Table, wanted: BaseModel, found: dict[str, str | None]) -> list[str]:
    return [
        f"{table.path.name}: column {column!r} read as {part}"
        for part, column in found.items()
        if column is not None and column.lower() != getattr(wanted, part).lower()
    ]


def _extras(table: Table, rule: Rule, keep: frozenset[str]) -> dict[str, str]:
    extras: dict[str, str] = {}
    for column in sorted(rule.columns | keep):
        if column.lower() in {*CANONICAL, *(name.lower() for name in extras)}:
            continue
        name = table.find(column)
        if name is None and column not in rule.columns:
            continue
        if name is None:
            raise InputError(
                f"{table.path} has no column {column!r}, which the positive rule {rule.text!r} names; "
                f"it has {_listed(table)}",
                hint="change [events] positive",
            )
        extras[column] = name
    return extras


def _missing(table: Table, wanted: BaseModel, part: str) -> InputError:
    section = "events.columns" if isinstance(wanted, config.Columns) else "events.item_columns"
    hint = (
        f"if all files have changed, set [{section}] {part} in freshet.toml to the column "
        "that holds it; if this one alone has, ask for it with the column that it had"
    )
    if looks_like_data([column for column in table.columns if column not in table.partitions]):
        hint = f"its first line must name the columns, and seems to be data; else {hint}"
    return InputError(
        f"{table.path} has no column {getattr(wanted, part)!r} for the {part}; it has {_listed(table)}",
        hint=hint,
    )


def _listed(table: Table) -> str:
    return ", ".join(repr(column) for column in table.columns) or "no columns"
