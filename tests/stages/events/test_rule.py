from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.errors import ConfigError
from freshet.stages.events import parse

ROWS = [
    {"value": value, "device": device, "flag": flag, "limit": limit}
    for value in (None, -1.5, 7.0, 8.0)
    for device in (None, "tv", "o'brien", "9")
    for flag in (None, "true", "false", "maybe")
    for limit in (None, "7", "nan", "x")
]


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        connection.execute(
            'CREATE TABLE rows (n INTEGER, value DOUBLE, device VARCHAR, flag VARCHAR, "limit" VARCHAR)'
        )
        connection.executemany(
            "INSERT INTO rows VALUES (?, ?, ?, ?, ?)", [[n, *row.values()] for n, row in enumerate(ROWS)]
        )
        yield connection


def positive(database: duckdb.DuckDBPyConnection, rule: str) -> list[bool]:
    return [row[0] for row in database.sql(f"SELECT {parse(rule).sql} FROM rows ORDER BY n").fetchall()]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("value >= 7", lambda r: r["value"] is not None and r["value"] >= 7),
        ("7 <= value", lambda r: r["value"] is not None and r["value"] >= 7),
        ("not value >= 7", lambda r: r["value"] is not None and r["value"] < 7),
        (
            "VALUE == 8 AND device IN ('tv', \"o'brien\")",
            lambda r: r["value"] == 8 and r["device"] in ("tv", "o'brien"),
        ),
        ("device not in ('tv')", lambda r: r["device"] not in (None, "tv")),
        ("device = 9", lambda r: r["device"] == "9"),
        ("flag", lambda r: r["flag"] == "true"),
        ("flag = false or value is null", lambda r: r["flag"] == "false" or r["value"] is None),
        (
            "value is not null and (flag or not flag)",
            lambda r: r["value"] is not None and r["flag"] in ("true", "false"),
        ),
        ("`limit` > 3", lambda r: r["limit"] == "7"),
        ("true", lambda r: True),
        ("  ", lambda r: True),
    ],
)
def test_a_rule_means_what_it_says(database, rule: str, expected: Callable[[dict[str, Any]], bool]) -> None:
    assert positive(database, rule) == [expected(row) for row in ROWS]


def test_columns_compare_as_numbers_where_both_are_and_as_text_where_not(database) -> None:
    def expected(row: dict[str, Any]) -> bool:
        if row["device"] is None or row["limit"] is None:
            return False
        if row["device"] == "9" and row["limit"] == "7":
            return True
        return row["device"] >= row["limit"]

    assert positive(database, "device >= limit") == [expected(row) for row in ROWS]
    assert parse("value >= limit").columns == {"value", "limit"}


def test_a_rule_names_its_columns() -> None:
    assert parse("value >= 7 and (device = 'tv' or `watch share` > 0.5)").columns == {
        "value",
        "device",
        "watch share",
    }
    assert parse("").columns == frozenset()


@pytest.mark.parametrize(
    ("rule", "position"),
    [
        ("value >=", 9),
        ("value >= 7 value", 12),
        ("value > 3 > 2", 11),
        ("value; drop table rows", 6),
        ("3 < 4", 5),
        ("value = null", 9),
        ("(value > 3", 11),
        ("device in ()", 12),
        ("device like 'x'", 8),
        ("value > 1e999", 9),
        ("len(device) > 3", 4),
        ("'it", 1),
        ("(" * 60 + "value" + ")" * 60, 51),
    ],
)
def test_anything_else_is_refused_with_its_position(rule: str, position: int) -> None:
    with pytest.raises(ConfigError, match=rf"position {position}: "):
        parse(rule)


@given(st.text(max_size=60))
def test_arbitrary_text_gives_a_rule_or_a_config_error(rule: str) -> None:
    with suppress(ConfigError):
        parse(rule)


WORDS = [
    "value",
    "device",
    "flag",
    "`limit`",
    "and",
    "or",
    "not",
    "in",
    "is",
    "null",
    "(",
    ")",
    ",",
    ">=",
    "=",
]
WORDS += ["7", "-1.5", "'tv'", "'; DROP TABLE rows; --'", '"o\'brien"', "true", "false", "--", "/*", "\\"]


@settings(max_examples=120)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join))
def test_whatever_is_accepted_runs_and_gives_a_truth_value(database, rule: str) -> None:
    try:
        parse(rule)
    except ConfigError:
        return
    assert set(positive(database, rule)) <= {True, False}
    assert database.sql("SELECT count(*) FROM rows").fetchall() == [(len(ROWS),)]


Evaluator = Callable[[dict[str, Any]], bool | None]


def number(value: Any) -> float | None:
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if found == found else None


def compare(column: str, sign: str, literal: float | str | bool) -> Evaluator:
    def evaluate(row: dict[str, Any]) -> bool | None:
        left = row[column]
        if isinstance(literal, bool):
            left = {"true": True, "false": False}.get(left)
        elif isinstance(literal, float):
            left = number(left)
        if left is None:
            return None
        return {"<": left < literal, "<=": left <= literal, "=": left == literal, "!=": left != literal,
                ">": left > literal, ">=": left >= literal}[sign]  # fmt: skip

    return evaluate


def negate(inner: Evaluator) -> Evaluator:
    def evaluate(row: dict[str, Any]) -> bool | None:
        found = inner(row)
        return None if found is None else not found

    return evaluate


def join(word: str, left: Evaluator, right: Evaluator) -> Evaluator:
    decisive = word == "or"

    def evaluate(row: dict[str, Any]) -> bool | None:
        both = (left(row), right(row))
        if decisive in both:
            return decisive
        return None if None in both else not decisive

    return evaluate


def literal(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else "'" + value.replace("'", "\\'") + "'"


comparisons = st.one_of(
    st.tuples(st.sampled_from(["value", "limit", "device"]), st.sampled_from([-1.5, 0.0, 7.0, 7.5])),
    st.tuples(st.sampled_from(["device", "limit"]), st.sampled_from(["tv", "o'brien", "", "9"])),
    st.tuples(st.just("flag"), st.booleans()),
).flatmap(
    lambda pair: st.sampled_from(["<", "<=", "=", "!=", ">", ">="]).map(
        lambda sign: (f"`{pair[0]}` {sign} {literal(pair[1])}", compare(pair[0], sign, pair[1]))
    )
)
missing = st.sampled_from(["value", "device", "flag", "limit"]).map(
    lambda column: (f"`{column}` is null", lambda row, column=column: row[column] is None)
)
rules = st.recursive(
    st.one_of(comparisons, missing),
    lambda inner: st.one_of(
        inner.map(lambda rule: (f"not ({rule[0]})", negate(rule[1]))),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda parts: (
                f"({parts[0][0]}) {parts[1]} ({parts[2][0]})",
                join(parts[1], parts[0][1], parts[2][1]),
            )
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None)
@given(rules)
def test_sql_agrees_with_python(database, rule: tuple[str, Evaluator]) -> None:
    text, evaluate = rule
    assert positive(database, text) == [evaluate(row) is True for row in ROWS]
