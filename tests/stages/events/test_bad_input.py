from __future__ import annotations

import gzip
import json
import os
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.core.errors import ConfigError, InputError
from freshet.stages.events import EventLog, Refused

from .sources import event, events, quarantined, take, write

pytestmark = pytest.mark.slow

T = 1704164645  # 2024-01-02 03:04:05

BAD = [
    ("missing user", event(user=None)),
    ("missing user", event(user="  ")),
    ("missing item", event(item="")),
    ("missing time", event(time=None)),
    ("unreadable time", event(time="yesterday")),
    ("unreadable time", event(time="nan")),
    ("time before 1970", event(time="1969-12-31T23:59:59Z")),
    ("time before 1980", event(time="1979-12-31T23:59:59Z")),
    ("unreadable time", event(time=-5)),
    ("time in the future", event(time="2024-01-11T00:00:01Z")),
    ("unreadable time", event(time=1e300)),
    ("value is not a number", event(value="good")),
    ("value is not a number", event(value="inf")),
]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_bad_rows_are_kept_with_their_reason_and_number(tmp_path: Path, ending: str) -> None:
    rows = [event("good"), *(row for _, row in BAD), event("late", time="2024-01-10T23:00:00Z")]
    report = take(tmp_path / "w", write(tmp_path / f"log{ending}", rows))
    kept = quarantined(tmp_path / "w")
    assert [(row, reason) for row, _, reason, _ in kept] == [
        (n, why) for n, (why, _) in enumerate(BAD, start=2)
    ]
    assert json.loads(kept[4][3])["timestamp"] == "yesterday"
    assert report.rows_read == len(rows) == report.added + sum(report.quarantined.values())
    assert [row[1] for row in events(EventLog(tmp_path / "w").snapshot())] == ["good", "late"]


def test_lines_that_are_no_rows_are_quarantined(tmp_path: Path) -> None:
    csv = tmp_path / "log.csv"
    csv.write_text(
        f'user_id,item_id,timestamp,value\nu,i,{T},1\nu,i\nu,i,{T},1,extra\n\nv,i,{T},1\nv,"i,{T},1\n'
    )
    report = take(tmp_path / "v", csv)
    assert (report.rows_read, report.added, report.quarantined) == (5, 2, {"unreadable row": 3})
    assert [(line, raw) for _, line, _, raw in quarantined(tmp_path / "v")][:2] == [
        (3, "u,i"),
        (4, f"u,i,{T},1,extra"),
    ]
    jsonl = tmp_path / "log.jsonl"
    good = json.dumps(event()).encode()
    jsonl.write_bytes(good + b'\n{"user_id": \n[1]\n\n"text"\n' + good.replace(b'"u"', b'"\xff"') + b"\n")
    report = take(tmp_path / "w", jsonl)
    assert (report.rows_read, report.added, report.quarantined) == (5, 1, {"unreadable row": 4})
    assert '{"user_id": ' in [raw for *_, raw in quarantined(tmp_path / "w")]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_strange_ids_survive(tmp_path: Path, ending: str) -> None:
    ids = [
        "it's",
        'say "hi", ok',
        "😀 ünï",
        "a\nb",
        "{}",
        "x" * 10_000 + '"😀',
        "null",
        " padded ",
        "-- DROP",
        "\\n",
    ]
    source = write(tmp_path / f"log{ending}", [event(one, one) for one in ids])
    assert take(tmp_path / "w", source, positive="value >= 7", missing=[]).quarantined == {}
    assert {(row[1], row[2]) for row in events(EventLog(tmp_path / "w").snapshot())} == {
        (one.strip(), one.strip()) for one in ids
    }


@pytest.mark.parametrize(
    ("name", "data"),
    [("log.csv", b"user_id,item_id,timestamp,value\n"), ("log.jsonl", b""), ("log.jsonl", b"\n\n")],
)
def test_an_empty_log_is_an_import_of_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    report = take(tmp_path / "w", tmp_path / name, positive="value >= 7")
    assert (report.rows_read, report.added, report.days, report.first) == (0, 0, 0, None)
    assert report.notes == (f"{name} holds no events",)
    assert not (tmp_path / "w" / "events").exists()


def test_an_empty_parquet_file_is_an_import_of_nothing(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([event()]).slice(0, 0), tmp_path / "log.parquet")
    assert "log.parquet holds no events" in take(tmp_path / "w", tmp_path / "log.parquet").notes


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("log.csv", b"", "log.csv is empty"),
        ("log.csv", b"user_id,user_id\n", "names the column 'user_id' twice"),
        ("log.parquet", b"", "log.parquet can't be read"),
        ("log.parquet", b"PAR1 but not really PAR1", "log.parquet can't be read"),
        ("log.csv.gz", b"not gzip", "log.csv.gz can't be read"),
        ("log.jsonl.gz", gzip.compress(b'{"user_id": 1}\n', mtime=0)[:-12], "log.jsonl.gz can't be read"),
        ("log.jsonl", b"[\n1,\n2]\n", "none of its 3 lines is a JSON object"),
        ("log.jsonl", b'{"user_id": "' + b"u" * 2_500_000 + b'"}\n', "none of its 1 lines is a JSON object"),
        ("log.csv", b"user_id,item_id,timestamp\0\nu,i,1704164645\n", r"'timestamp\\x00' holds a NUL"),
        ("log.jsonl", b'{"user_id\\u0000": "u"}\n', r"'user_id\\x00' holds a NUL"),
        ("log.xlsx", b"x", "can't tell its format"),
    ],
)
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message) as error:
        take(tmp_path / "w", tmp_path / name)
    assert error.value.hint


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source, message in (
        ("absent.csv", "not found"),
        ("*.csv", "not found"),
        ("empty", "holds no event file"),
    ):
        with pytest.raises(InputError, match=message):
            take(tmp_path / "w", tmp_path / source)


def test_a_pipe_is_no_missing_file(tmp_path: Path) -> None:
    """As of `freshet import <(zcat log.csv.gz)`."""
    os.mkfifo(tmp_path / "log.csv")
    with pytest.raises(InputError, match=r"log\.csv is no regular file"):
        take(tmp_path / "w", tmp_path / "log.csv")


def test_a_missing_column_is_named_with_what_there_is(tmp_path: Path) -> None:
    source = write(tmp_path / "log.csv", [{"who": "u", "item_id": "i", "timestamp": T}])
    with pytest.raises(
        InputError, match="no column 'user_id' for the user; it has 'who', 'item_id', 'timestamp'"
    ) as error:
        take(tmp_path / "w", source)
    assert "[events.columns] user" in error.value.hint
    columns = {"user": "who"}
    with pytest.raises(InputError, match="no column 'value' for the value"):
        take(tmp_path / "w", source, columns=columns, positive="value >= 7")
    with pytest.raises(InputError, match="no column 'device', which the positive rule"):
        take(tmp_path / "w", source, columns=columns, positive="device = 'tv'")
    with pytest.raises(InputError, match="no column 'nr' for the id"):
        take(tmp_path / "w", source, columns={**columns, "id": "nr"})
    report = take(tmp_path / "w", source, columns=columns)
    assert "log.csv has no column 'value': every event has the value 1" in report.notes
    assert events(EventLog(tmp_path / "w").snapshot(), "value") == [(1.0,)]


def test_a_column_of_the_wrong_type_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "log.parquet", [event(time=True)])
    with pytest.raises(InputError, match="column 'timestamp' is BOOLEAN, which can't be a time"):
        take(tmp_path / "w", source)
    with pytest.raises(ConfigError, match="timezone 'Mars' is not a time zone"):
        take(tmp_path / "w", write(tmp_path / "log.csv", [event()]), timezone="Mars")


def test_a_value_column_of_text_is_quarantined_row_by_row(tmp_path: Path) -> None:
    report = take(
        tmp_path / "w", write(tmp_path / "log.parquet", [event(value="7"), event("v", value="seven")])
    )
    assert (report.added, report.quarantined) == (1, {"value is not a number": 1})


def test_one_user_and_one_item(tmp_path: Path) -> None:
    assert take(tmp_path / "w", write(tmp_path / "log.csv", [event()])).added == 1


@pytest.mark.parametrize(
    ("time", "note"),
    [
        (1704164645, "seconds"),
        (1704164645000, "milliseconds"),
        (1704164645000000, "microseconds"),
        (1704164645000000000, "nanoseconds"),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_numbers_are_read_by_their_size(tmp_path: Path, ending: str, time: int, note: str) -> None:
    report = take(tmp_path / "w", write(tmp_path / f"log{ending}", [event(time=time)]))
    assert report.first == datetime(2024, 1, 2, 3, 4, 5)
    assert report.notes == (f"log{ending}: numbers in 'timestamp' read as {note} since 1970",)


@pytest.mark.parametrize(
    ("time", "expected", "zoneless"),
    [
        ("2024-01-02T03:04:05+05:30", datetime(2024, 1, 1, 21, 34, 5), False),
        ("2024-01-02 03:04:05Z", datetime(2024, 1, 2, 3, 4, 5), False),
        ("2024-01-02 03:04:05.25", datetime(2024, 1, 2, 2, 4, 5, 250000), True),
        ("2024-01-02", datetime(2024, 1, 1, 23), True),
        (datetime(2024, 1, 2, 3), datetime(2024, 1, 2, 2), True),
    ],
)
def test_times_without_zone_get_the_configured_one_and_a_note(
    tmp_path: Path, time, expected, zoneless
) -> None:
    report = take(
        tmp_path / "w", write(tmp_path / "log.parquet", [event(time=time)]), timezone="Europe/Berlin"
    )
    assert report.first == expected
    assert report.notes == (
        ("log.parquet: 1 times carry no zone, read as Europe/Berlin",) if zoneless else ()
    )


def test_whole_numbers_in_a_float_column_are_ids_without_a_point(tmp_path: Path) -> None:
    report = take(tmp_path / "w", write(tmp_path / "log.parquet", [event(user=12.0), event(user=None)]))
    assert events(EventLog(tmp_path / "w").snapshot(), '"user"') == [("12",)]
    assert report.quarantined == {"missing user": 1}


def test_every_format_gives_the_same_log(tmp_path: Path) -> None:
    rows = [event(f"u{n}", f"i{n % 3}", 1704164645 + n, n / 2) for n in range(5)]
    sources = [write(tmp_path / f"log{ending}", rows) for ending in (".csv", ".jsonl", ".parquet")]
    for source in sources[:2]:
        packed = tmp_path / f"{source.name}.gz"
        packed.write_bytes(gzip.compress(source.read_bytes()))
        sources.append(packed)
    plain = sources[0].read_text()
    for name, text in (
        ("tabs.tsv", plain.replace(",", "\t")),
        ("windows.csv", "\ufeff" + plain.replace("\n", "\r\n")),
    ):
        sources.append(tmp_path / name)
        sources[-1].write_bytes(text.encode())
    versions = {take(tmp_path / f"w{n}", source).snapshot for n, source in enumerate(sources)}
    assert len(versions) == 1


def test_numbers_that_no_log_could_hold_are_quarantined_by_what_they_would_be(tmp_path: Path) -> None:
    times = [T, T + 1, -5, 0, 1e300]
    report = take(tmp_path / "w", write(tmp_path / "log.csv", [event(time=time) for time in times]))
    assert report.quarantined == {"time before 1970": 1, "time before 1980": 1, "time in the future": 1}
    assert report.rows_read == 5 == report.added + sum(report.quarantined.values())


def test_true_and_false_are_values(tmp_path: Path) -> None:
    words = ["True", "False", "true", " false ", "TRUE", True, "1", "0.5", ""]
    rows = [event(item=f"i{n}", value=word) for n, word in enumerate(words)]
    report = take(tmp_path / "w", write(tmp_path / "log.csv", rows), positive="value >= 1")
    assert [row[0] for row in events(EventLog(tmp_path / "w").snapshot(), "value")] == [
        *(1, 0, 1, 0, 1, 1, 1, 0.5),
        None,
    ]
    assert report.notes == ("log.csv: 6 values are true or false, read as 1 or 0",)
    typed = write(tmp_path / "log.parquet", [event(item=f"i{n}", value=n % 2 == 0) for n in range(4)])
    assert take(tmp_path / "v", typed).quarantined == {}
    assert [row[0] for row in events(EventLog(tmp_path / "v").snapshot(), "value")] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "value", ["4,5", "80%", "$4.50", "1_000", "1 000", "yes", "t", "good", "0x10", "inf", "-inf"]
)
def test_a_file_whose_values_are_no_numbers_is_refused(tmp_path: Path, value: str) -> None:
    source = write(tmp_path / "log.csv", [event(f"u{n}", value=value) for n in range(3)])
    with pytest.raises(
        Refused, match=r"none of its 3 rows can be used \(value is not a number: 3\); such as row 1: {"
    ) as e:
        take(tmp_path / "w", source)
    assert "[events.columns] value" in e.value.hint
    assert str(e.value.until) == "2024-01-02"
    assert EventLog(tmp_path / "w").snapshot().rows == 0


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("gap", ["NaN", "NULL", "\\N", " nan ", "None", "-", float("nan")])
def test_a_gap_among_values_is_an_event_without_a_value(tmp_path: Path, gap: object, ending: str) -> None:
    """As an empty cell is, whatever the tool and the format; words that stand for no user are no gaps."""
    rows = [event("u1", value=2 if isinstance(gap, float) else "2"), event("u2", value=gap)]
    rows.append(event("u0", value=0 if isinstance(gap, float) else "0"))
    report = take(tmp_path / "w", write(tmp_path / f"log{ending}", rows), missing=("0",))
    assert report.quarantined == {}
    assert events(EventLog(tmp_path / "w").snapshot(), '"user", value') == [
        ("u0", 0),
        ("u1", 2),
        ("u2", None),
    ]


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([event(user="")], "missing user: 1"),
        ([event(item=None)], "missing item: 1"),
        ([event(time=None)], "missing time: 1"),
        ([event(time="2030-01-01")], "time in the future: 1"),
        ([event(time="1969-01-01")], "time before 1970: 1"),
        ([event(user="", value="z"), event(value="x")], "missing user: 1, value is not a number: 1"),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_file_that_gives_nothing_is_refused_whatever_the_reason(
    tmp_path: Path, ending: str, rows: list[dict[str, object]], why: str
) -> None:
    with pytest.raises(Refused) as error:
        take(tmp_path / "w", write(tmp_path / f"log{ending}", rows))
    assert why in error.value.message
    assert error.value.hint


def test_lines_alone_are_a_file_that_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp,value\nu;i;2024-01-01;1\n")
    with pytest.raises(Refused, match="such as line 2: u;i;2024-01-01;1") as error:
        take(tmp_path / "w", tmp_path / "log.csv")
    assert "delimiter" in error.value.hint


def test_of_a_folder_with_a_file_that_gives_nothing_nothing_enters(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "a.csv", [event()])
    write(folder / "b.csv", [event(value="x")])
    write(folder / "c.csv", [event(value="y", time="2024-01-03T00:00:00Z")])
    with pytest.raises(
        Refused, match=r"b.csv: none of its 1 rows .* 1 other files of the source are refused"
    ) as error:
        take(tmp_path / "w", folder)
    assert str(error.value.until) == "2024-01-03"
    assert not (tmp_path / "w" / "events").exists()
    write(folder / "b.csv", [event("b", value="x"), event("b", value=1)])
    write(folder / "c.csv", [event("c")])
    assert take(tmp_path / "w", folder).added == 3
