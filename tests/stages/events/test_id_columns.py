from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.core.config import MISSING, Events
from freshet.core.errors import InputError
from freshet.core.types.ids import plain_id
from freshet.stages.events import EventLog, import_items

from .shop import CATALOGUE, EVENT, ITEM, LOG, each, put, text
from .sources import events, take, write

START = 1_700_000_000
WRITTEN = [
    ("162", "162"),
    ("162.0", "162"),
    ("162.", "162"),
    ("162.00", "162"),
    ("1.62e2", "162"),
    ("1.62E2", "162"),
    ("1.2345678E7", "12345678"),
    ("-0.0", "0"),
    ("-7.0", "-7"),
    (" 162\t", "162"),
    ("\ufeff162.0\u00a0", "162"),
    ("00162", "00162"),
    ("00162.0", "00162.0"),
    ("162.5", "162.5"),
    ("12e5", "12e5"),
    ("v1.0", "v1.0"),
    ("1.2.0", "1.2.0"),
    ("12345678901234567890", "12345678901234567890"),
    ("a b", "a b"),
]


def users(folder: Path) -> list[str]:
    return [user for (user,) in events(EventLog(folder).snapshot(), '"user"')]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_an_id_is_read_alike_in_every_format_and_in_requests(tmp_path: Path, ending: str) -> None:
    assert [plain_id(written) for written, _ in WRITTEN] == [expected for _, expected in WRITTEN]
    rows = [dict(zip(EVENT, (one, one, START + n, 1), strict=True)) for n, (one, _) in enumerate(WRITTEN)]
    take(tmp_path / "w", write(tmp_path / f"log{ending}", rows))
    found = events(EventLog(tmp_path / "w").snapshot(), '"user", item')
    assert sorted(found) == sorted((expected, expected) for _, expected in WRITTEN)
    items = [{"item_id": one, "title": f"{n:02}", "text": ""} for n, (one, _) in enumerate(WRITTEN)]
    import_items(write(tmp_path / f"items{ending}", items), Events(), tmp_path / "out")
    catalogue = pq.read_table(tmp_path / "out" / "items.parquet")["item"].to_pylist()
    assert catalogue == sorted({expected for _, expected in WRITTEN})


@pytest.mark.parametrize(
    ("type_", "cells", "expected", "quarantined"),
    [
        (pa.int64(), [162, None], ["162"], {"missing user": 1}),
        (pa.uint64(), [2**64 - 1], ["18446744073709551615"], {}),
        (pa.float64(), [162.0, 1e7, 162.5], ["162", "10000000", "162.5"], {}),
        (pa.float64(), [None, float("nan"), float("inf")], [], {"missing user": 3}),
        (pa.float64(), [2.0**53 - 1, 2.0**53, 1e300], [str(2**53 - 1)], {"user id has lost digits": 2}),
        (pa.float32(), [162.0, 2.0**24], ["162"], {"user id has lost digits": 1}),
        (pa.decimal128(20, 2), [Decimal("162.00"), Decimal("162.50")], ["162", "162.50"], {}),
        (pa.decimal128(38, 1), [Decimal("9007199254740993.0")], ["9007199254740993"], {}),
        (pa.binary(), [b"162.0"], ["162"], {}),
        (pa.string(), ["9007199254740993.0", "1.2345678901234567e+19"], [], {"user id has lost digits": 2}),
    ],
)
def test_ids_of_every_type(
    tmp_path: Path, type_: pa.DataType, cells: list[Any], expected: list[str], quarantined: dict[str, int]
) -> None:
    rows = len(cells)
    table = pa.table(
        {"user_id": pa.array(cells, type_), "item_id": ["i"] * rows, "timestamp": range(START, START + rows)}
    )
    pq.write_table(table, tmp_path / "log.parquet")
    report = take(tmp_path / "w", tmp_path / "log.parquet", refuse=False)
    assert (sorted(users(tmp_path / "w")), report.quarantined) == (sorted(expected), quarantined)


@pytest.mark.parametrize(
    "column",
    [pa.array([True]), pa.array([[1]]), pa.array([{"a": 1}]), pa.array([5], pa.timestamp("us"))],
)
@pytest.mark.parametrize("part", ["user_id", "item_id"])
def test_a_column_that_holds_no_ids_is_refused(tmp_path: Path, column: pa.Array, part: str) -> None:
    columns = {"user_id": ["u"], "item_id": ["i"], "timestamp": [START], part: column}
    pq.write_table(pa.table(columns), tmp_path / "log.parquet")
    with pytest.raises(InputError, match=f"column '{part}' is .*, which can't be an id"):
        take(tmp_path / "w", tmp_path / "log.parquet")


def test_objects_lists_and_truth_values_in_json_are_no_ids(tmp_path: Path) -> None:
    cells: list[Any] = [{"$oid": "x"}, [1], True, "{}", "[1]", "true", 7, 162.0, None]
    rows = [{"user_id": cell, "item_id": "i", "timestamp": START + n} for n, cell in enumerate(cells)]
    source = put(tmp_path / "log.jsonl", "\n".join(map(json.dumps, rows)))
    report = take(tmp_path / "w", source)
    assert report.quarantined == {"missing user": 1, "user id is neither text nor a number": 3}
    assert sorted(users(tmp_path / "w")) == sorted(["{}", "[1]", "true", "7", "162"])


def test_ids_with_a_point_join_a_catalogue_without(tmp_path: Path) -> None:
    source = put(tmp_path / "events.csv", text(each(lambda _, row: (row[0], f"{row[1]}.0", *row[2:]))))
    take(tmp_path / "w", source)
    import_items(put(tmp_path / "items.csv", text(CATALOGUE, ITEM)), Events(), tmp_path / "out")
    known = set(pq.read_table(tmp_path / "out" / "items.parquet")["item"].to_pylist())
    assert {item for (item,) in events(EventLog(tmp_path / "w").snapshot(), "item")} <= known


@pytest.mark.parametrize("word", [*MISSING, "none", "Null", "n/a", "  ", "NAN"])
def test_a_word_for_no_user_is_nobody(tmp_path: Path, word: str) -> None:
    rows = each(lambda n, row: (word, *row[1:]) if n % 4 == 0 else row)
    report = take(tmp_path / "w", put(tmp_path / "events.csv", text(rows)))
    assert (report.added, report.quarantined) == (360, {"missing user": 120})


def test_a_word_for_no_item_is_no_item(tmp_path: Path) -> None:
    rows = each(lambda n, row: (row[0], "NULL", *row[2:]) if n % 4 == 0 else row)
    report = take(tmp_path / "w", put(tmp_path / "events.csv", text(rows)))
    assert report.quarantined == {"missing item": 120}
    source = put(tmp_path / "items.csv", text([*CATALOGUE, ("N/A", "t", "x"), ("", "t", "x")], ITEM))
    found = import_items(source, Events(), tmp_path / "out")
    assert (found.rows_read, found.items, found.quarantined) == (98, 96, {"missing item": 2})


def test_which_words_stand_for_nobody_can_be_set(tmp_path: Path) -> None:
    rows = [("NA", "i", START, 1), ("guest", "i", START + 1, 1), ("u", "i", START + 2, 1)]
    source = put(tmp_path / "events.csv", text(rows))
    assert take(tmp_path / "v", source, missing=[]).added == 3
    report = take(tmp_path / "w", source, missing=["Guest"])
    assert (users(tmp_path / "w"), report.quarantined) == (["NA", "u"], {"missing user": 1})


def test_events_whose_own_id_is_a_word_for_none_stay_apart(tmp_path: Path) -> None:
    rows = each(lambda _, row: (*row, "None"))
    source = put(tmp_path / "events.csv", text(rows, (*EVENT, "nr")))
    assert take(tmp_path / "w", source, columns={"id": "nr"}).added == len(LOG)


def test_uuids_are_read_as_they_are_written(tmp_path: Path) -> None:
    one = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
    column = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([UUID(one).bytes], pa.binary(16)))
    pq.write_table(
        pa.table({"user_id": column, "item_id": ["i"], "timestamp": [START]}), tmp_path / "log.parquet"
    )
    take(tmp_path / "w", tmp_path / "log.parquet")
    assert users(tmp_path / "w") == [one]


@pytest.mark.parametrize("form", ["%.5E", "%.2e"])
def test_ids_that_a_spreadsheet_has_shortened_are_not_one_item(tmp_path: Path, form: str) -> None:
    """Barcodes of 13 digits, saved as 4.00638E+12."""
    rows = each(lambda _, row: (row[0], form % (4_006_381_000_000 + int(row[1])), *row[2:]))
    rows[0] = (*rows[0][:1], "4006381333931", *rows[0][2:])
    report = take(tmp_path / "w", put(tmp_path / "events.csv", text(rows)))
    assert (report.added, report.quarantined) == (1, {"item id has lost digits": len(LOG) - 1})


def test_ids_with_all_digits_in_an_exponent_are_kept(tmp_path: Path) -> None:
    written = ["1.234567e+12", "4.006381333931E12", "1e+05"]  # as R and Java print them
    rows = [(one, "i", START + n, 1) for n, one in enumerate(written)]
    take(tmp_path / "w", put(tmp_path / "log.csv", text(rows)))
    assert sorted(users(tmp_path / "w")) == ["100000", "1234567000000", "4006381333931"]
