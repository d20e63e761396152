from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.core.config import Events
from freshet.core.errors import InputError
from freshet.stages.events import EventLog, ImportReport, brings_items, import_items

from .shop import CATALOGUE, EVENT, ITEM, LOG, parquet, put, quarters, text
from .sources import events, take


def unread(report: ImportReport) -> dict[str, str]:
    return {one.path.name: one.why for one in report.unread}


@pytest.mark.parametrize(
    "names",
    [
        tuple(f"events.{n:03}.parquet" for n in range(4)),
        ("events.csv", "events_2.CSV", "events-2024-01.csv", "ratings.csv"),
        ("events.csv", "events.csv.1", "events.csv.2.gz", "events.csv-20240131"),
        ("a.csv", "2024/b.csv", "2024/02/c.csv", "d.tsv"),
        ("events.csv", "EVENTS.CSV", "events (1).csv", "events - Copy.csv"),
        ("events/part-0.csv", "events/part-1.csv", "2023/events.csv", "ratings2.csv"),
        ("part-0.csv.bz2", "part-1.csv.xz", "part-2.csv.zst", "part-3.csv.zip"),
    ],
)
def test_all_files_of_a_folder_are_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name, rows in zip(names, quarters(), strict=True):
        path = tmp_path / "in" / name
        content = text(rows, sep="\t" if ".tsv" in name else ",").encode()
        if path.suffix == ".parquet":
            parquet(path, rows)
        elif path.suffix == ".zst":
            with pa.CompressedOutputStream(str(put(path, b"")), "zstd") as file:
                file.write(content)
        elif path.suffix == ".zip":
            with zipfile.ZipFile(put(path, b""), "w") as archive:
                archive.writestr("out/part.csv", content)
        else:
            packing = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
            put(path, packing.get(path.suffix, bytes)(content))
    report = take(tmp_path / "w", tmp_path / "in")
    assert (report.rows_read, report.added, report.unread) == (len(LOG), len(LOG), ())
    (note,) = report.notes
    assert note.endswith(" and 3 more: numbers in 'timestamp' read as seconds since 1970")


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    source = tmp_path / "in"
    put(source / "events.csv", text(LOG[:9]))
    for name in ("_SUCCESS", ".events.csv.crc", "README.txt", "old.xlsx", "links.csv", "items/part-0.csv"):
        put(source / name, "x\n")
    put(source / "events.1.csv", "")
    (source / "events.gone.csv").symlink_to(tmp_path / "nowhere")
    (source / "events.same.csv").symlink_to(source / "events.csv")
    report = take(tmp_path / "w", source)
    assert report.added == 9
    assert unread(report) == {
        "_SUCCESS": "hidden",
        ".events.csv.crc": "hidden",
        "README.txt": "text that no name says to be events or items",
        "old.xlsx": "no data file that Freshet reads",
        "links.csv": "beside events.csv",
        "part-0.csv": "items",
        "events.1.csv": "empty",
        "events.gone.csv": "a link to nothing",
        "events.same.csv": "a link to a file that is read",
    }
    assert report.notes[0].startswith("in: 9 files not read as events: .events.csv.crc (hidden), ")
    assert report.notes[0].endswith(" and 4 more")


def test_the_same_data_in_two_formats_counts_once(tmp_path: Path) -> None:
    source = tmp_path / "in"
    put(source / "events.csv", text(LOG))
    put(source / "events.csv.gz", gzip.compress(text(LOG).encode()))
    parquet(source / "events.parquet", LOG)
    report = take(tmp_path / "w", source)
    assert (report.rows_read, report.added) == (len(LOG), len(LOG))
    assert set(unread(report).values()) == {"taken for the same data as events.parquet"}


def test_linked_folders_are_read_once(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "events.csv", text(LOG))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "2024").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "in")
    assert take(tmp_path / "w", tmp_path / "in").rows_read == len(LOG)


def test_a_glob_takes_folders_and_leaves_items(tmp_path: Path) -> None:
    for n, rows in enumerate(quarters()):
        put(tmp_path / "in" / f"month-{n}" / "part.csv", text(rows))
    assert take(tmp_path / "v", tmp_path / "in" / "month-*").added == len(LOG)
    put(tmp_path / "in" / "log.csv", text(LOG))
    put(tmp_path / "in" / "items.csv", text(CATALOGUE, ITEM))
    report = take(tmp_path / "w", tmp_path / "in" / "*.csv")
    assert (report.added, unread(report)) == (len(LOG), {"items.csv": "items"})


def test_what_a_workspace_keeps_is_no_source(tmp_path: Path) -> None:
    put(tmp_path / "w" / "freshet.toml", "")
    put(tmp_path / "w" / "events.csv", text(LOG))
    first, again = (take(tmp_path / "w", tmp_path / "w") for _ in range(2))
    assert (first.added, again.rows_read, again.added) == (len(LOG), len(LOG), 0)
    assert unread(again)["events"] == "a folder of a workspace"


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("listed", [True, False])
def test_a_json_file_holds_a_list_or_objects(tmp_path: Path, indent: int | None, listed: bool) -> None:
    rows = [dict(zip(EVENT, row, strict=True)) for row in LOG[:20]]
    parts = [json.dumps(row, indent=indent) for row in rows]
    content = json.dumps(rows, indent=indent) if listed else "\n".join(parts)
    assert take(tmp_path / "w", put(tmp_path / "events.json", content)).added == 20


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.json", b'[{"user_id": 1},\n{"user_id": ]', "what begins in line 2 can't be read"),
        ("events.json", b'{"events": [{"user_id": 1}]}', "no column 'user_id' for the user; it has 'events'"),
        ("events.csv.bz2", bz2.compress(text(LOG).encode())[:-9], "can't be read"),
        ("events.csv.xz", lzma.compress(text(LOG).encode())[:-9], "can't be read"),
        ("events.csv.gz", gzip.compress(b"a\n") + gzip.compress(text(LOG).encode())[:-9], "can't be read"),
        ("events.csv.zip", b"PK", "can't be read"),
        ("events.csv", gzip.compress(text(LOG).encode()), "is no text, but packed by gzip"),
        ("events.csv", b"PAR1\x15\x04\x15\xc8", "is no text, but Parquet"),
        ("events.jsonl", b"PK\x03\x04\0\0\0\0", "is no text, but a zip archive or a spreadsheet"),
        ("events.orc", b"ORC", "can't tell its format"),
    ],
)
def test_a_file_that_is_cut_off_or_of_another_format_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        take(tmp_path / "w", put(tmp_path / name, content))


def test_columns_in_folders_names_are_columns(tmp_path: Path) -> None:
    source = tmp_path / "in"
    names = ("purchase", "view", "click%20here", "__HIVE_DEFAULT_PARTITION__")
    for name, rows, ending in zip(names, quarters(), ("parquet", "csv", "csv.gz", "csv"), strict=True):
        path = source / "country=FR" / f"event_type={name}" / f"part-0.{ending}"
        if ending == "parquet":
            parquet(path, rows)
        else:
            content = text(rows).encode()
            put(path, gzip.compress(content) if ending == "csv.gz" else content)
    report = take(tmp_path / "w", source, positive="event_type = 'purchase' and country = 'FR'")
    assert (report.added, report.quarantined) == (len(LOG), {})
    found = events(EventLog(tmp_path / "w").snapshot(), "DISTINCT event_type, country")
    assert set(found) == {("purchase", "FR"), ("view", "FR"), ("click here", "FR"), (None, "FR")}
    one = source / "country=FR" / "event_type=purchase" / "part-0.parquet"
    assert take(tmp_path / "v", one, positive="event_type = 'purchase'").added == len(LOG) // 4


def test_a_partition_gives_way_to_the_file_and_is_a_time_only_by_name(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "value=7" / "date=2024-01-02" / "part.parquet",
        [("u", "i", 2.5)],
        ("user_id", "item_id", "value"),
    )
    with pytest.raises(InputError, match="no column 'timestamp'"):
        take(tmp_path / "w", path)
    report = take(tmp_path / "w", path, columns={"time": "date"})
    assert events(EventLog(tmp_path / "w").snapshot(), "value") == [(2.5,)]
    assert (
        "part.parquet: column 'value' is read from the file, not from the name of its folder" in report.notes
    )


@pytest.mark.parametrize(
    "names",
    [("items.000.parquet", "items.001.parquet"), ("items.csv", "movies.csv"), ("items/a.csv", "items/b.csv")],
)
def test_all_item_files_are_read(tmp_path: Path, names: tuple[str, str]) -> None:
    source = tmp_path / "in"
    put(source / "events.csv", text(LOG))
    for name, rows in zip(names, (CATALOGUE[:50], CATALOGUE[40:]), strict=True):
        if name.endswith("parquet"):
            parquet(source / name, rows, ITEM)
        else:
            put(source / name, text(rows, ITEM))
    assert brings_items(source)
    report = import_items(source, Events(), tmp_path / "out")
    assert (report.rows_read, report.items, report.duplicates) == (106, 96, 10)
    assert take(tmp_path / "w", source).added == len(LOG)


def test_a_catalogue_may_be_a_folder_of_partitions(tmp_path: Path) -> None:
    for n in range(2):
        parquet(tmp_path / "shop" / f"category=c{n}" / "part-0.parquet", CATALOGUE[n::2], ITEM)
    put(tmp_path / "shop" / "README.md", "about")
    report = import_items(tmp_path / "shop", Events(), tmp_path / "out")
    assert report.items == 96
    assert report.notes == ("shop: 1 file not read as items: README.md (no data file that Freshet reads)",)
    categories = pq.read_table(tmp_path / "out" / "items.parquet")["category"].to_pylist()
    assert sorted(set(categories)) == ["c0", "c1"]


def test_several_sources_bring_items(tmp_path: Path) -> None:
    for n in range(2):
        put(tmp_path / str(n) / "items.csv", text(CATALOGUE[n::2], ITEM))
    assert import_items([tmp_path / "0", tmp_path / "1"], Events(), tmp_path / "out").items == 96


def test_a_zip_archive_of_several_files_says_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(put(tmp_path / "in" / "archive.zip", b""), "w") as archive:
        archive.writestr("events.csv", text(LOG))
        archive.writestr("items.csv", text(CATALOGUE, ITEM))
    with pytest.raises(InputError, match=r"found archive.zip \(not one data file: unpack it\)"):
        take(tmp_path / "w", tmp_path / "in")


@pytest.mark.parametrize("gap", ["", "\n", " "])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_list_named_jsonl_is_read(tmp_path: Path, gap: str, bom: str) -> None:
    objects = f",{gap}".join(json.dumps(dict(zip(EVENT, row, strict=True))) for row in LOG)
    report = take(tmp_path / "w", put(tmp_path / "log.jsonl", f"{bom}[{gap}{objects}{gap}]"))
    assert (report.rows_read, report.added) == (len(LOG), len(LOG))


def test_a_damaged_line_does_not_make_jsonl_a_list(tmp_path: Path) -> None:
    objects = "\n".join(json.dumps(dict(zip(EVENT, row, strict=True))) for row in LOG)
    report = take(tmp_path / "w", put(tmp_path / "log.jsonl", f"[1, 2]\n{objects}\n"))
    assert (report.added, report.quarantined) == (len(LOG), {"unreadable row": 1})
