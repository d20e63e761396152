"""Events and items in buckets are read by the laws of folders: the same rows, the same notes, the same refusals."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import from_url

from freshet.backends.object_stores.source_objects import BucketObjects
from freshet.core.config import Events
from freshet.core.errors import ConfigError, FreshetError, InputError, StoreUnreachable
from freshet.core.urls import Location, Url, location
from freshet.stages.events import EventLog, ImportReport, import_items
from freshet.stages.events.formats import brings_items
from freshet.stages.events.source_refusal import refused
from tests.servers import Bucket

from . import published
from .sources import NOW, event, events, quarantined, write

Make = Callable[[Path], None]


def into(bucket: Bucket, folder: Path) -> None:
    """Every file of a folder as an object."""
    store = from_url(bucket.url)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            obstore.put(store, path.relative_to(folder).as_posix(), path)


def take(root: Path, source: Location, **settings: object) -> ImportReport:
    log = EventLog(root, store=BucketObjects())
    return log.import_events(source, Events(**settings), now=NOW)


def url(bucket: Bucket, below: str = "") -> Url:
    found = location(f"{bucket.url}/{below}")
    assert isinstance(found, Url)
    return found


def days(folder: Path, form: str = "parquet", bad: bool = False) -> None:
    for day in (1, 2, 3):
        below = folder / f"country=FR/date=2024-01-0{day}"
        below.mkdir(parents=True)
        rows = [event(f"u{n}", f"i{n % 3}", f"2024-01-0{day}T03:0{n}:00Z", n) for n in range(6)]
        if bad:
            rows[day]["user_id"] = ""
        write(below / f"part-0.{form}", rows)


def packed(folder: Path) -> None:
    text = (write(folder / "plain.csv", [event("u0", "i0")])).read_bytes()
    for number, (ending, pack) in enumerate(
        {
            ".gz": gzip.compress,
            ".bz2": bz2.compress,
            ".xz": lzma.compress,
            ".zst": zstd,
            ".zip": zipped,
        }.items()
    ):
        other = text.replace(b"u0", f"u{number + 1}".encode())
        (folder / f"log_{number}.csv{ending}").write_bytes(pack(other))
    (folder / "log_9.zip").write_bytes(zipped(text.replace(b"u0", b"u9")))


def zstd(text: bytes) -> bytes:
    sink = io.BytesIO()
    with pa.CompressedOutputStream(pa.PythonFile(sink, "wb"), "zstd") as out:
        out.write(text)
        out.flush()
    return sink.getvalue() if not sink.closed else b""


def zipped(text: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("log.csv", text)
    return made.getvalue()


def mixture(folder: Path) -> None:
    days(folder, "csv")
    write(folder / "events.parquet", [event("p", "i1")])
    write(folder / "events.csv", [event("p", "i1")])  # the same data once more
    write(folder / "items.csv", [{"item_id": "i1", "title": "One", "text": "a b"}])
    (folder / "_SUCCESS").write_text("")
    (folder / "_temporary").mkdir()
    write(folder / "_temporary/events.csv", [event("hidden")])
    (folder / "readme.txt").write_text("about")
    (folder / "picture.png").write_bytes(b"x")
    (folder / "events_empty.csv").write_text("")
    (folder / "shop/days").mkdir(parents=True)
    (folder / "shop/freshet.toml").write_text("")
    write(folder / "shop/days/events.parquet", [event("of a workspace")])


def grown_table(folder: Path) -> None:
    days(folder)
    (folder / "_delta_log").mkdir()
    (folder / "_delta_log" / f"{0:020}.json").write_text('{"add":{"path":"x"}}')


def units(folder: Path) -> None:
    """A file of every unit and way to write it: each is read by its own size."""
    for name, factor in {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}.items():
        for kind, ending in ((int, "parquet"), (float, "parquet"), (str, "csv"), (int, "jsonl")):
            rows = [
                event(f"{name}{kind.__name__}{ending}", f"i{n}", kind((1_704_153_600 + n) * factor))
                for n in range(5)
            ]
            write(folder / f"{name}-{kind.__name__}.{ending}", rows)


MAKES: dict[str, tuple[Make, str]] = {
    "parquet by day": (days, ""),
    "glob of folders": (days, "country=*/date=2024-01-0[12]"),
    "glob of files": (days, "country=FR/*/*.parquet"),
    "deep glob": (days, "**/*.parquet"),
    "csv by day": (lambda folder: days(folder, "csv"), ""),
    "jsonl by day": (lambda folder: days(folder, "jsonl"), "country=FR"),
    "one file": (days, "country=FR/date=2024-01-02/part-0.parquet"),
    "packed": (packed, ""),
    "all sorts": (mixture, ""),
    "all sorts by glob": (mixture, "[c-ps]*"),
    "bad rows": (lambda folder: days(folder, bad=True), ""),
    "bad lines": (lambda folder: days(folder, "csv", bad=True), ""),
    "all units": (units, ""),
    "delta table that only grew": (grown_table, ""),
}


@pytest.mark.parametrize("name", MAKES)
def test_a_bucket_is_read_as_a_folder_is(bucket: Bucket, tmp_path: Path, name: str) -> None:
    make, below = MAKES[name]
    folder = tmp_path / "lake"
    folder.mkdir()
    make(folder)
    into(bucket, folder)
    here, there = take(tmp_path / "a", folder / below), take(tmp_path / "b", url(bucket, below))

    def said(report: ImportReport, base: str) -> tuple[object, ...]:
        unread = sorted((str(one.path).removeprefix(base), one.why) for one in report.unread)
        read = (report.rows_read, report.added, report.duplicates, report.quarantined, report.snapshot)
        notes = [note.partition(": ")[2] if "not read as" in note else note for note in report.notes]
        return *read, notes, unread

    assert here.added
    assert said(here, str(folder)) == said(there, bucket.url)
    assert here.rows_read == here.added + here.duplicates + sum(here.quarantined.values())
    assert sorted(map(str, quarantined(tmp_path / "a"))) == sorted(map(str, quarantined(tmp_path / "b")))
    whole = [events(EventLog(tmp_path / root).snapshot()) for root in "ab"]
    assert whole[0] == whole[1]


def test_quarantine_names_the_object_and_the_row(s3: Bucket, tmp_path: Path) -> None:
    days(tmp_path / "lake", bad=True)
    into(s3, tmp_path / "lake")
    take(tmp_path / "w", url(s3))
    name = s3.url.replace("://", "_") + "_country=FR_date=2024-01-02_part-0.parquet-"
    (path,) = [each for each in (tmp_path / "w/quarantine").iterdir() if each.name.startswith(name)]
    (row,) = pq.read_table(path).to_pylist()
    assert (row["row"], row["reason"]) == (3, "missing user")
    assert '"item_id":"i2"' in row["raw"]


def test_items_come_from_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    mixture(folder)
    into(bucket, folder)
    store = BucketObjects()
    assert brings_items(url(bucket), store)
    here, there = (
        import_items(folder, Events(), tmp_path),
        import_items(url(bucket), Events(), tmp_path, None, store),
    )
    assert here.items == 1
    assert (here.items, here.checksum, here.columns) == (there.items, there.checksum, there.columns)


@pytest.mark.parametrize("make", [published.mind, published.amazon, published.yambda])
def test_a_published_data_set_in_a_bucket_is_recognised(
    s3: Bucket, tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    folder = make(tmp_path / "data")
    into(s3, folder)
    here, there = take(tmp_path / "a", folder), take(tmp_path / "b", url(s3))
    assert here.layout
    assert (here.layout, here.snapshot, here.quarantined) == (there.layout, there.snapshot, there.quarantined)
    assert brings_items(url(s3), BucketObjects()) == brings_items(folder)


def refusal(bucket: Bucket, tmp_path: Path, below: str = "") -> FreshetError:
    with pytest.raises(FreshetError) as e:
        take(tmp_path / "w", url(bucket, below))
    assert not (tmp_path / "w/events").exists(), "nothing enters the log"
    return e.value


def test_what_is_not_there_is_said(bucket: Bucket, tmp_path: Path) -> None:
    assert f"{bucket.url}/none/x.csv not found" in refusal(bucket, tmp_path, "none/x.csv").message
    assert "not found" in refusal(bucket, tmp_path, "date=*/x.csv").message
    gone = Bucket(bucket.url + "-none", bucket.env, bucket.server)
    error = refusal(gone, tmp_path)
    assert "there is no such bucket" in error.message
    assert isinstance(error, InputError)


@pytest.mark.parametrize(
    "wrong",
    [
        {"AWS_SECRET_ACCESS_KEY": "wrong"},
        {"AWS_ACCESS_KEY_ID": "nobody"},
        {"AWS_SKIP_SIGNATURE": "true"},
    ],
)
def test_wrong_credentials_are_told_from_a_wrong_bucket(
    s3: Bucket, tmp_path: Path, wrong: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in wrong.items():
        monkeypatch.setenv(key, value)
    error = refusal(s3, tmp_path, "events.csv")
    assert isinstance(error, ConfigError)
    assert "credentials are missing or refused" in error.message
    assert "AWS_ACCESS_KEY_ID" in error.hint
    assert "secret" not in str(error)


def test_wrong_credentials_of_azure(azure: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("d3Jvbmc=", "no base 64"):
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", key)
        error = refusal(azure, tmp_path, "events.csv")
        assert isinstance(error, ConfigError)
        assert "AZURE_STORAGE_ACCOUNT_KEY" in error.hint
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    assert isinstance(refusal(azure, tmp_path, "events.csv"), ConfigError)


def test_a_server_that_is_gone_is_no_refusal(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether the source was there: the log isn't behind a source that was never seen."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    error = refusal(s3, tmp_path, "events.csv")
    assert isinstance(error, StoreUnreachable)
    assert error.retryable
    assert refused(url(s3, "events.csv"), InputError("no"), BucketObjects()) == {}


def test_a_refused_object_is_remembered(bucket: Bucket, tmp_path: Path) -> None:
    obstore.put(from_url(bucket.url), "events.csv", b"user_id,item_id,timestamp\n,i,2024-01-01\n")
    error = refusal(bucket, tmp_path, "events.csv")
    assert isinstance(error, InputError)
    assert f"{bucket.url}/events.csv: none of its 1 rows can be used" in error.message
    kept = refused(url(bucket, "events.csv"), error, BucketObjects())
    assert kept["refused"] == f"{bucket.url}/events.csv"


def test_tables_whose_files_hold_deleted_rows_are_refused(bucket: Bucket, tmp_path: Path) -> None:
    days(tmp_path / "lake")
    into(bucket, tmp_path / "lake")
    obstore.put(from_url(bucket.url), f"_delta_log/{0:020}.json", b'{"add":{}}')
    obstore.put(from_url(bucket.url), f"_delta_log/{1:020}.json", b'{"remove":{}}')
    assert "is a Delta Lake table" in refusal(bucket, tmp_path).message
    assert take(tmp_path / "v", url(bucket, "**/*.parquet")).added == 18


def test_a_damaged_object_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    days(tmp_path / "lake")
    path = tmp_path / "lake/country=FR/date=2024-01-02/part-0.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    into(bucket, tmp_path / "lake")
    assert "date=2024-01-02/part-0.parquet can't be read" in refusal(bucket, tmp_path).message


class Changing(BucketObjects):
    """A store in which an object changes between two requests."""

    def __init__(self, bucket: Bucket, after: int) -> None:
        super().__init__()
        self.bucket, self.after = bucket, after

    def _range(self, found, start, end):  # type: ignore[no-untyped-def]
        self.after -= 1
        if self.after == 0:
            obstore.put(from_url(self.bucket.url), found.url.key, b"other content")
        return super()._range(found, start, end)


@pytest.mark.parametrize("after", range(1, 6))
def test_an_object_that_changes_while_it_is_read_is_refused(
    bucket: Bucket, tmp_path: Path, after: int
) -> None:
    wide = pa.table(
        {name: [f"{name}{n}" for n in range(20_000)] for name in ("user_id", "item_id", "x", "y")}
    )
    wide = wide.append_column("timestamp", pa.array([1_704_000_000 + n for n in range(20_000)]))
    pq.write_table(wide, tmp_path / "events.parquet", row_group_size=5_000)
    obstore.put(from_url(bucket.url), "events.parquet", tmp_path / "events.parquet")
    store = Changing(bucket, after)
    with pytest.raises(InputError, match="was changed or removed while it was read") as e:
        EventLog(tmp_path / "w", store=store).import_events(url(bucket, "events.parquet"), Events(), now=NOW)
    assert f"{bucket.url}/events.parquet" in e.value.message
    assert EventLog(tmp_path / "w").snapshot().days == ()


def test_a_text_that_changes_after_it_was_listed_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    obstore.put(from_url(bucket.url), "events.csv", b"user_id,item_id,timestamp\nu,i,2024-01-01\n")
    store = BucketObjects()
    found = store.find(url(bucket, "events.csv"))
    assert found is not None
    obstore.put(from_url(bucket.url), "events.csv", b"user_id,item_id,timestamp\nu,i,2024-01-02\n")
    with pytest.raises(InputError, match="was changed or removed"):
        store.copy(found, tmp_path / "copy")


def test_more_objects_than_a_page_are_all_read(s3: Bucket, tmp_path: Path) -> None:
    """A page of a listing has 1,000."""
    store, count = from_url(s3.url), 2_050
    for number in range(count):
        obstore.put(store, f"log/h={number % 24}/{number:05}.csv", b"")
    obstore.put(store, "log/h=1/last.csv", b"user_id,item_id,timestamp\nu,i,2024-01-01\n")
    report = take(tmp_path / "w", url(s3, "log"))
    assert (report.added, len(report.unread)) == (1, count)
    assert len(list(BucketObjects().below(url(s3, "log")))) == count + 1


def test_a_marker_of_a_folder_is_no_file(s3: Bucket, tmp_path: Path) -> None:
    obstore.put(from_url(s3.url), "log/events.csv", b"user_id,item_id,timestamp\nu,i,2024-01-01\n")
    report = take(tmp_path / "w", url(s3, "log/"))
    assert (report.added, report.unread) == (1, ())
