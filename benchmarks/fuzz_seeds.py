"""Small valid files of every form, and what is done to them: case n of a seed is always the same."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 12
ODD = (
    *("", " ", "null", "None", "\\N", "NaN", "inf", "-0", "1e999", "0x1F", "9" * 25, "9" * 400, "1,5", "1.0"),
    *("true", "2024-13-45", "0000-00-00", "9999-12-31T23:59:59", "1/2/24", "12:00", "1970-01-01", "0", "-1"),
    *(
        "20240101",
        "1704067200000000000",
        "Mon, 01 Jan 2024 10:00:00 GMT",
        "2024-01-01T10:00:00[Europe/Paris]",
    ),
    *(
        "é",
        "日本",
        "\u202e",
        "\u2028",
        "\x1b[2J",
        "\x85",
        "a::b",
        "a|b",
        "a;b",
        "'",
        "''",
        '"',
        '""',
        '"a',
        "=1+1",
    ),
    *("{}", "[1]", "x" * 70_000, "../../etc/passwd", "user", "item,time"),
)
TIMES = (
    "%Y-%m-%d",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %I:%M:%S %p",
    "%d-%m-%Y",
    "%Y%m%d",
    "%Y-%m-%dT%H:%M:%SZ",
    "%H:%M",
)


@dataclass(frozen=True)
class Case:
    """A file to import.

    Attributes:
        name: of the file; `form` says what it was before it was mutated.
        header: its first line where it has one that names columns.
        positive: rule for events.
    """

    name: str
    form: str
    items: bool
    content: bytes
    header: str
    positive: str
    mutations: list[str]


def case(seed: int, number: int) -> Case:
    """The case of this number."""
    rng = random.Random(f"{seed}/{number}")
    items = rng.random() < 0.3
    kind = rng.choice(["csv", "csv", "tsv", "jsonl", "jsonl", "dat", "parquet", "csv.gz", "jsonl.gz"])
    rows = _items(rng) if items else _events(rng)
    done: list[str] = []
    columns = _mutated_columns(rng, rows, done)
    if kind == "parquet":
        content, header = _parquet(rng, columns, done), ""
    else:
        text, header = written(kind.removesuffix(".gz"), columns)
        content = _mutated_text(rng, text, done)
        if kind.endswith(".gz"):
            content = gzip.compress(content, 1, mtime=0)
    if rng.random() < (0.7 if kind in ("parquet", "csv.gz", "jsonl.gz") else 0.4):
        content = _mutated_bytes(rng, content, done)
    stem = ("movies" if items else "ratings") if kind == "dat" else ("items" if items else "events")
    positive = "" if items else rng.choice(["", "", "value >= 3", "value >= 3 and item != 'i1'"])
    what = "items" if items else "events"
    return Case(f"{stem}.{kind}", f"{what} {kind}", items, content, header, positive, done)


def _events(rng: random.Random) -> dict[str, list[Any]]:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=rng.randrange(60 * 24 * 60)) for _ in range(ROWS)]
    numeric = rng.random() < 0.5
    return {
        "user": [f"u{rng.randrange(5)}" for _ in range(ROWS)],
        "item": [f"i{rng.randrange(9)}" for _ in range(ROWS)],
        "value": [rng.randrange(1, 6) for _ in range(ROWS)],
        "time": [int(time.timestamp()) if numeric else time.strftime("%Y-%m-%d %H:%M:%S") for time in times],
    }


def _items(rng: random.Random) -> dict[str, list[Any]]:
    return {
        "item": [f"i{rng.randrange(15)}" for _ in range(ROWS)],
        "title": [rng.choice(["Old House", "Blue Sea", "Night Café", "War", ""]) for _ in range(ROWS)],
        "text": [" ".join(rng.choices(["ghost", "love", "sea", "war", "city"], k=3)) for _ in range(ROWS)],
    }


def _mutated_columns(rng: random.Random, rows: dict[str, list[Any]], done: list[str]) -> dict[str, list[Any]]:
    """Odd values, other forms of times, columns that are missing, renamed or there twice."""
    rows = {name: [*values] for name, values in rows.items()}
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        name, row, odd = rng.choice(sorted(rows)), rng.randrange(ROWS), rng.choice(ODD)
        whole = rng.random() < 0.2
        rows[name] = [odd] * ROWS if whole else [*rows[name][:row], odd, *rows[name][row + 1 :]]
        done.append(f"{name}[{'all' if whole else row}] = {odd[:30]!r}")
    if "time" in rows and rng.random() < 0.25:
        form = rng.choice(TIMES)
        rows["time"] = [_as(form, value) for value in rows["time"]]
        done.append(f"times as {form}")
    if rng.random() < 0.1 and len(rows) > 1:
        gone = rng.choice(sorted(rows))
        del rows[gone]
        done.append(f"no {gone}")
    if rng.random() < 0.1:
        name = rng.choice(sorted(rows))
        other = rng.choice(["", "user", "item", "time", "value", "Timestamp", "time_ms", " x ", name.upper()])
        rows = {(other if key == name else key): values for key, values in rows.items()}
        done.append(f"{name} is called {other!r}")
    return rows


def _as(form: str, value: Any) -> str:
    if isinstance(value, int):
        return datetime.fromtimestamp(value, UTC).strftime(form)
    try:
        return datetime.fromisoformat(value).strftime(form)
    except ValueError:
        return str(value)


def written(kind: str, columns: dict[str, list[Any]]) -> tuple[str, str]:
    """A text file and its header; fields are not quoted."""
    rows = list(zip(*columns.values(), strict=True))
    if kind == "jsonl":
        return "".join(
            json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n" for row in rows
        ), ""
    separator = {"csv": ",", "tsv": "\t", "dat": "::"}[kind]
    lines = [separator.join(map(str, row)) for row in rows]
    header = separator.join(columns)
    return "\n".join(lines if kind == "dat" else [header, *lines]) + "\n", header


TEXT: dict[str, Callable[[random.Random, str], str]] = {
    "CRLF": lambda _, text: text.replace("\n", "\r\n"),
    "CR": lambda _, text: text.replace("\n", "\r"),
    "mixed line ends": lambda rng, text: "".join(
        c if c != "\n" else rng.choice(["\n", "\r\n"]) for c in text
    ),
    "no last line end": lambda _, text: text.rstrip("\n"),
    "blank lines": lambda _, text: text.replace("\n", "\n\n"),
    "twice": lambda _, text: text + text,
    "without header": lambda _, text: text.partition("\n")[2],
    "header alone": lambda _, text: text.partition("\n")[0] + "\n",
    "empty": lambda _, __: "",
    "blanks": lambda _, __: " \n \n",
    "semicolons": lambda _, text: text.replace(",", ";"),
    "bars": lambda _, text: text.replace(",", "|").replace("::", "|"),
    "quoted": lambda _, text: "\n".join(
        ",".join(f'"{field}"' for field in line.split(",")) for line in text.split("\n")
    ),
    "a quote": lambda rng, text: _inserted(rng, text, '"'),
    "a NUL": lambda rng, text: _inserted(rng, text, "\0"),
    "a backslash": lambda rng, text: _inserted(rng, text, "\\"),
    "a separator": lambda rng, text: _inserted(rng, text, rng.choice([",", "\t", "::", ";"])),
    "a line end": lambda rng, text: _inserted(rng, text, "\n"),
    "a brace": lambda rng, text: _inserted(rng, text, rng.choice("{}[]")),
    "trailing separators": lambda _, text: text.replace("\n", ",\n"),
    "a doubled column": lambda _, text: "\n".join(
        f"{s},{s.split(',')[0]}" if s else "" for s in text.split("\n")
    ),
    "a huge field": lambda rng, text: _inserted(rng, text, "z" * rng.choice([1000, 300_000, 2_500_000])),
    "many lines": lambda _, text: text * min(300, 1_000_000 // (len(text) + 1) + 1),
    "lines shuffled": lambda rng, text: "".join(rng.sample(s := text.splitlines(True), len(s))),
    "comment": lambda _, text: "# made by hand\n" + text,
}
ENCODINGS = ("latin-1", "cp1252", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7")


def _inserted(rng: random.Random, text: str, what: str) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + what + text[at:]


def _mutated_text(rng: random.Random, text: str, done: list[str]) -> bytes:
    for _ in range(rng.choice([0, 1, 1, 2])):
        name = rng.choice([*TEXT])
        if len(text) < 5_000_000:
            text = TEXT[name](rng, text)
            done.append(name)
    if rng.random() < 0.12:
        encoding = rng.choice(ENCODINGS)
        done.append(encoding)
        return text.encode(encoding, "replace")
    return text.encode("utf-8", "surrogatepass")


def _mutated_bytes(rng: random.Random, content: bytes, done: list[str]) -> bytes:
    """Flips, cuts, and bytes that were not there."""
    found = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        if not found:
            break
        at = rng.randrange(len(found))
        match rng.choice(["flip", "flip", "flip", "byte", "cut", "delete", "insert", "double"]):
            case "flip":
                found[at] ^= 1 << rng.randrange(8)
            case "byte":
                found[at] = rng.randrange(256)
            case "cut":
                del found[max(at, len(found) * 3 // 4) :]
            case "delete":
                del found[at : at + rng.randrange(1, 40)]
            case "insert":
                found[at:at] = rng.randbytes(rng.randrange(1, 9))
            case _:
                found[at:at] = found[at : at + rng.randrange(1, 200)]
    done.append("bytes")
    return bytes(found)


def _parquet(rng: random.Random, columns: dict[str, list[Any]], done: list[str]) -> bytes:
    """The columns, some of them of a type that nobody expects."""
    arrays, names = [], []
    for name, values in columns.items():
        arrays.append(_array(rng, name, values, done))
        names.append(name)
    if rng.random() < 0.05 and names:
        arrays, names = [*arrays, arrays[0]], [*names, names[0]]
        done.append("a doubled column")
    sink = io.BytesIO()
    table = pa.Table.from_arrays(arrays, names=names).slice(0, rng.choice([0, 1, ROWS, ROWS, ROWS]))
    codec, version = rng.choice(["none", "snappy", "zstd", "gzip"]), rng.choice(["1.0", "2.6"])
    int96 = rng.random() < 0.1
    pq.write_table(table, sink, compression=codec, version=version, use_deprecated_int96_timestamps=int96)
    return sink.getvalue()


def _array(rng: random.Random, name: str, values: list[Any], done: list[str]) -> pa.Array:
    plain = values if all(isinstance(one, int) for one in values) else [str(one) for one in values]
    array = pa.array([None if rng.random() < 0.02 else one for one in plain])
    if rng.random() > 0.25:
        return array
    seconds = [1_704_067_200 + 3600 * n for n in range(ROWS)]
    unit, zone = rng.choice(["s", "ms", "us", "ns"]), rng.choice([None, "UTC", "Europe/Paris"])
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    made: dict[str, Callable[[], pa.Array]] = {
        "timestamp": lambda: pa.array([s * per_second for s in seconds], pa.timestamp(unit, zone)),
        "date32": lambda: pa.array([s // 86_400 for s in seconds], pa.int32()).cast(pa.date32()),
        "time64": lambda: pa.array([s % 86_400 for s in seconds], pa.int64()).cast(pa.time64("us")),
        "duration": lambda: pa.array(seconds, pa.duration("s")),
        "float": lambda: pa.array([float(s) for s in seconds]),
        "decimal": lambda: pa.array([Decimal(s) for s in seconds], pa.decimal128(20, 2)),
        "bool": lambda: pa.array([n % 2 == 0 for n in range(ROWS)]),
        "binary": lambda: pa.array([rng.randbytes(4) for _ in range(ROWS)]),
        "list": lambda: pa.array([[n] for n in range(ROWS)]),
        "struct": lambda: pa.array([{"a": n} for n in range(ROWS)]),
        "null": lambda: pa.nulls(ROWS),
        "dictionary": lambda: array.dictionary_encode(),
        "uint64": lambda: pa.array([2**63 + n for n in range(ROWS)], pa.uint64()),
        "half": lambda: pa.array([n / 2 for n in range(ROWS)], pa.float32()),
    }
    kind = rng.choice([*made])
    done.append(f"{name} is {kind}")
    return made[kind]()
