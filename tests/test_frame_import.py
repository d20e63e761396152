"""Frames go in by the importer that reads files: the same rows, rules and notes, whatever library they are of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import freshet
from freshet.core.errors import ConfigError, InputError
from freshet.stages.events import EventLog, ImportReport
from tests.stages.events.sources import events, quarantined

NOW = datetime(2024, 1, 10, tzinfo=UTC)
ROWS = {
    "user_id": ["u1", "u2", None, "u1"],
    "item_id": [7, 8, 9, 7],
    "timestamp": [datetime(2024, 1, 2, 3, 4, 5, 678000, UTC)] * 2 + [datetime(2024, 1, 3, tzinfo=UTC)] * 2,
    "value": [8.0, None, 1.0, 3.5],
    "device": ["tv", "web", "tv", "tv"],
}


def of_pandas() -> pd.DataFrame:
    return pd.DataFrame(ROWS).astype({"device": "category"})


def of_datasets() -> Any:
    datasets = pytest.importorskip("datasets")
    return datasets.Dataset.from_dict(ROWS)


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": of_pandas,
    "pandas-arrow": lambda: of_pandas().convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda: pl.DataFrame(ROWS).with_columns(pl.col("device").cast(pl.Categorical)),
    "arrow": lambda: pa.table(ROWS),
    "reader": lambda: pa.table(ROWS).to_reader(max_chunksize=2),
    "datasets": of_datasets,
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "freshet.toml").write_text("[events]\npositive = \"value >= 3 and device = 'tv'\"\n")
    return tmp_path


def take(shop: Path, frame: Any, **options: Any) -> ImportReport:
    return freshet.import_events(shop, frame, now=NOW, **options)


def log(shop: Path) -> list[tuple[Any, ...]]:
    return sorted(events(EventLog(shop).snapshot(), '"user", item, "time", value, device'), key=repr)


@pytest.mark.parametrize("library", FRAMES)
def test_the_same_rows_come_in_from_any_library(shop: Path, library: str) -> None:
    report = take(shop, FRAMES[library](), name=library)
    assert log(shop) == [
        ("u1", "7", datetime(2024, 1, 2, 3, 4, 5, 678000), 8.0, "tv"),
        ("u1", "7", datetime(2024, 1, 3), 3.5, "tv"),
        ("u2", "8", datetime(2024, 1, 2, 3, 4, 5, 678000), None, "web"),
    ]
    assert (report.rows_read, report.added, report.quarantined) == (4, 3, {"missing user": 1})
    assert not any("no zone" in note or "index" in note for note in report.notes)
    assert [row[0] for row in quarantined(shop)] == [3]
    assert take(shop, FRAMES[library](), name=library).duplicates == 3
    assert not [*(shop / ".drafts").iterdir()]


@pytest.mark.parametrize("name", ["polars", "pandas"])
def test_times_without_a_zone_are_read_in_the_one_of_the_settings_and_told(shop: Path, name: str) -> None:
    (shop / "freshet.toml").write_text('[events]\ntimezone = "Europe/Paris"\n')
    frame = {"user_id": ["u"], "item_id": ["i"], "timestamp": [datetime(2024, 1, 2, 12)]}
    report = take(shop, (pl if name == "polars" else pd).DataFrame(frame))
    assert report.first == datetime(2024, 1, 2, 11)
    assert "frame.parquet: 1 times carry no zone, read as Europe/Paris" in report.notes


def test_an_index_is_told_and_not_read(shop: Path) -> None:
    (shop / "freshet.toml").write_text("")
    report = take(shop, of_pandas().set_index("device"))
    assert report.notes[0].startswith("frame: device is the frame's index, and not read: `reset_index()`")
    report = take(shop, of_pandas().drop(index=1))
    assert report.notes[0].startswith("frame: its index is the frame's index")
    with pytest.raises(InputError, match="no column 'user_id'"):
        take(shop, of_pandas().set_index("user_id"))


def test_a_selection_of_a_data_set_is_what_is_read(shop: Path) -> None:
    report = take(shop, of_datasets().select([3, 0]))
    assert (report.rows_read, report.added) == (2, 2)


def test_nulls_that_pandas_keeps_as_floats_are_no_other_items(shop: Path) -> None:
    (shop / "freshet.toml").write_text("")
    frame = pd.DataFrame({"user_id": ["u", "v"], "item_id": [7, None], "timestamp": [1704164645] * 2})
    report = take(shop, frame)
    assert [row[1] for row in events(EventLog(shop).snapshot(), '"user", item')] == ["7"]
    assert report.quarantined == {"missing item": 1}


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pl.LazyFrame({"a": [1]}), "LazyFrame is no frame"),
        ([{"user_id": "u"}], "list is no frame"),
        (pd.Series([1, 2]), "can't be read as Arrow"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "[Dd]uplicate|two columns"),
        (pa.table({"user_id": ["u"], "timestamp": [1]}), "no column 'item_id'"),
        (pd.DataFrame({"user_id": ["u"], "item_id": [object()], "timestamp": [1]}), "can't be read as Arrow"),
    ],
)
def test_what_is_no_frame_is_refused_in_words(shop: Path, frame: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        take(shop, frame)
    assert not EventLog(shop).snapshot().days
    assert not [*(shop / ".drafts").iterdir()]


@pytest.mark.parametrize("library", ["pandas", "polars", "datasets"])
def test_a_frame_becomes_the_catalogue(shop: Path, library: str) -> None:
    rows = {"item_id": [7, 8, None], "title": ["Seven", None, "lost"], "text": ["a film", "a song", ""]}
    frame: Any = {"pandas": pd.DataFrame, "polars": pl.DataFrame}.get(library, lambda _: None)(rows)
    if frame is None:
        frame = pytest.importorskip("datasets").Dataset.from_dict(rows)
    with pytest.raises(ConfigError, match="no Parquet file within"):
        freshet.import_items(shop, frame)
    (shop / "freshet.toml").write_text('[events]\nitems = "items.parquet"\n')
    report = freshet.import_items(shop, frame)
    assert (report.rows_read, report.items, report.quarantined) == (3, 2, {"missing item": 1})
    before = (shop / "items.parquet").read_bytes()
    with pytest.raises(InputError):
        freshet.import_items(shop, pd.DataFrame({"title": ["no id"]}))
    assert (shop / "items.parquet").read_bytes() == before


def test_nobodys_file_is_overwritten(shop: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere.csv"
    outside.write_text("item_id\n1\n")
    for path in (outside, "../items.parquet"):
        (shop / "freshet.toml").write_text(f'[events]\nitems = "{path}"\n')
        with pytest.raises(ConfigError, match="within"):
            freshet.import_items(shop, pd.DataFrame({"item_id": [1]}))
    assert outside.read_text() == "item_id\n1\n"
