"""Published data sets are read as they were published: whole, or refused in words."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import get_args

import pyarrow.parquet as pq
import pytest

from freshet.core.config import Events
from freshet.core.config.log_sections import LayoutName
from freshet.core.errors import FreshetError, InputError
from freshet.stages.events import EventLog, ImportReport, Rule, brings_items, import_items, parse
from freshet.stages.events.layouts import LAYOUTS

from . import published
from .shop import put
from .sources import events, quarantined, take

MAKERS: dict[str, Callable[[Path], Path]] = {
    "mind": published.mind,
    "kuairand": published.kuairand,
    "amazon-reviews-2023": published.amazon,
    "yambda": published.yambda,
    "lastfm-1k": published.lastfm,
    "movielens-100k": published.old_movielens,
}


def read(tmp_path: Path, layout: str, **settings: str) -> ImportReport:
    return take(tmp_path / "w", MAKERS[layout](tmp_path / "in"), **settings)


def log(tmp_path: Path, columns: str = '"user", item, "time", value') -> list[tuple[object, ...]]:
    return sorted(events(EventLog(tmp_path / "w").snapshot(), columns), key=repr)


def catalogue(tmp_path: Path) -> dict[str, dict[str, str]]:
    import_items(tmp_path / "in", Events(), tmp_path / "items")
    rows = pq.read_table(tmp_path / "items" / "items.parquet").to_pylist()
    return {row["item"]: row for row in rows}


def kept(report: ImportReport) -> bool:
    return report.rows_read == report.added + report.duplicates + sum(report.quarantined.values())


def test_the_setting_names_all_layouts() -> None:
    assert {*get_args(LayoutName)} == {"auto", "none", *(layout.name for layout in LAYOUTS)}


@pytest.mark.parametrize("layout", MAKERS)
def test_a_data_set_is_recognised_said_and_whole(tmp_path: Path, layout: str) -> None:
    report = read(tmp_path, layout)
    assert report.layout == layout
    assert kept(report)
    title = next(one.title for one in LAYOUTS if one.name == layout)
    assert report.notes[0].startswith(f"in: recognised as {title}: each ")
    again = take(tmp_path / "w", tmp_path / "in")
    assert (again.added, again.snapshot) == (0, report.snapshot)
    assert take(tmp_path / "v", tmp_path / "in", layout=layout).snapshot == report.snapshot
    assert all(one.why for one in report.unread if one.path.suffix != ".tsv")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_usual_rules_are_rules(layout: object) -> None:
    for part in layout.parts:  # type: ignore[attr-defined]
        assert isinstance(parse(part.positive), Rule)


def test_clicks_of_impressions_are_events(tmp_path: Path) -> None:
    report = read(tmp_path, "mind")
    assert log(tmp_path, '"user", item, "time"') == [
        ("U1", "N1", datetime(2019, 11, 11, 9, 5, 58)),
        ("U1", "N3", datetime(2019, 11, 11, 9, 5, 58)),
        ("U1", "N4", datetime(2019, 11, 15, 8, 55, 22)),
        ("U2", "N4", datetime(2019, 11, 13, 0, 0, 1)),
    ]
    assert (report.rows_read, report.quarantined) == (5, {"missing item": 1})
    ((row, _, _, raw),) = quarantined(tmp_path / "w")
    assert row == 4
    assert "N1-0 N2" in raw
    items = catalogue(tmp_path)
    assert sorted(items) == ["N1", "N2", "N3", "N4"]
    assert items["N1"]["title"] == 'A "title" of N1'
    assert items["N1"]["text"] == "sports golf What 1 tells."


def test_a_test_set_says_no_clicks_and_is_named(tmp_path: Path) -> None:
    put(tmp_path / "in" / "test" / "behaviors.tsv", "1\tU1\t11/19/2019 11:37:45 AM\tN9\tN1 N2\n")
    report = read(tmp_path, "mind")
    assert report.added == 4
    assert {one.why for one in report.unread if one.path.parent.name == "test"} == {
        "a test set: it doesn't say what was clicked"
    }


def test_videos_shown_are_events_with_their_click(tmp_path: Path) -> None:
    report = read(tmp_path, "kuairand", positive="value >= 1 and is_rand = 0")
    assert [(row[0], row[1], row[3]) for row in log(tmp_path)] == [
        ("0", "12", 1.0),
        ("0", "13", 0.0),
        ("1", "12", 1.0),
        ("1", "14", 0.0),
    ]
    assert report.first == datetime(2022, 4, 8, 8, 0, 1, 301000)
    assert catalogue(tmp_path)["12"]["tag"] == "3,9"


def test_reviews_are_of_products_with_their_variants(tmp_path: Path) -> None:
    report = read(tmp_path, "amazon-reviews-2023")
    assert log(tmp_path) == [
        ("AE1", "B00", datetime(2020, 5, 5, 14, 8, 48, 923000), 5.0),
        ("AE1", "B02", datetime(2020, 5, 5, 14, 10, 28, 923000), 2.0),
    ]
    assert report.quarantined == {"unreadable row": 1}
    items = catalogue(tmp_path)
    assert (items["B00"]["title"], items["B00"]["text"]) == ("A comb", "Hair Combs of wood small")
    assert items["B02"]["text"] == 'Soap, "soft".'


@pytest.mark.parametrize("sequential", [False, True])
def test_listens_have_the_share_that_was_played(tmp_path: Path, sequential: bool) -> None:
    report = take(tmp_path / "w", published.yambda(tmp_path / "in", sequential))
    assert log(tmp_path) == [
        ("100", "11", datetime(2020, 1, 1, 0, 0, 5), 100.0),
        ("100", "12", datetime(2020, 1, 2, 2, 0, 5), 7.0),
        ("200", "11", datetime(2020, 10, 27, 22, 13, 20), 130.0),
    ]
    assert {one.path.name: one.why for one in report.unread} == {
        "likes.parquet": "beside listens.parquet",
        "multi_event.parquet": "beside listens.parquet",
        "artist_item_mapping.parquet": "numbers of artists and albums, no texts",
    }


def test_all_events_together_are_read_where_nothing_else_is(tmp_path: Path) -> None:
    published.yambda(tmp_path / "in")
    (tmp_path / "in" / "listens.parquet").unlink()
    report = take(tmp_path / "w", tmp_path / "in", positive="event_type = 'listen' and value > 50")
    assert sorted(row[-1] for row in log(tmp_path, "item, event_type")) == ["like", "listen", "listen"]
    assert report.added == 3


def test_tracks_without_an_id_go_by_their_names(tmp_path: Path) -> None:
    report = read(tmp_path, "lastfm-1k")
    assert [row[1] for row in log(tmp_path)] == ["Nobody - No id", "Tr-1", "Tr-1"]
    assert (report.rows_read, report.quarantined) == (4, {"missing item": 1})
    items = catalogue(tmp_path)
    assert items["Tr-1"]["title"] == 'Deep "Sea - A "song'
    assert not {"user_id", "timestamp"} & {*items["Tr-1"]}


def test_marks_are_genres(tmp_path: Path) -> None:
    read(tmp_path, "movielens-100k")
    items = catalogue(tmp_path)
    assert (items["242"]["title"], items["242"]["text"]) == ("Misérables, Les (1995)", "Children's")
    assert items["302"]["text"] == "Drama"


@pytest.mark.parametrize(
    ("make", "words"),
    [(published.lastfm_totals, "says of no play when it was"), (published.open_bandit, "name no users")],
)
def test_what_can_be_no_log_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    with pytest.raises(InputError, match=words) as error:
        take(tmp_path / "w", make(tmp_path / "in"))
    assert error.value.hint


@pytest.mark.parametrize(
    ("layout", "files"),
    [("mind", "*/news.tsv"), ("kuairand", "data/*_basic_1k.csv"), ("amazon-reviews-2023", "meta*")],
)
def test_half_a_data_set_is_refused_naming_the_rest(tmp_path: Path, layout: str, files: str) -> None:
    MAKERS[layout](tmp_path / "in")
    names = list((tmp_path / "in").glob(files))
    for path in names:
        path.unlink()
    missing = names[0].name.replace("All_Beauty.jsonl.gz", "*.jsonl").replace("_1k", "_*")
    with pytest.raises(InputError, match="but it has no") as error:
        take(tmp_path / "w", tmp_path / "in")
    assert missing in error.value.message


def test_its_event_file_alone_is_enough(tmp_path: Path) -> None:
    folder = published.mind(tmp_path / "in")
    report = take(tmp_path / "w", folder / "dev" / "behaviors.tsv")
    assert (report.layout, report.added) == ("mind", 1)
    assert not brings_items(folder / "dev" / "behaviors.tsv")


def test_another_first_line_is_no_such_file(tmp_path: Path) -> None:
    put(tmp_path / "in" / "behaviors.tsv", "user_id\titem_id\ttimestamp\nu\ti\t1700000000\n")
    with pytest.raises(InputError, match="not as https"):
        take(tmp_path / "w", tmp_path / "in")
    assert take(tmp_path / "w", tmp_path / "in", layout="none").added == 1


def test_two_data_sets_in_a_folder_are_told_apart(tmp_path: Path) -> None:
    published.mind(tmp_path / "in" / "mind")
    published.lastfm(tmp_path / "in" / "lastfm")
    with pytest.raises(InputError, match=r"files of MIND .* and of Last\.fm"):
        take(tmp_path / "w", tmp_path / "in")
    assert take(tmp_path / "w", tmp_path / "in", layout="lastfm-1k").added == 3


def test_a_layout_that_is_not_there_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "in" / "log.csv", "user_id,item_id,timestamp\nu,i,1700000000\n")
    with pytest.raises(InputError, match=r"no file is one of Yambda.*there is log\.csv"):
        take(tmp_path / "w", tmp_path / "in", layout="yambda")


def test_settings_go_before_the_layout(tmp_path: Path) -> None:
    report = read(tmp_path, "amazon-reviews-2023", columns={"item": "asin"})  # type: ignore[arg-type]
    assert {row[1] for row in log(tmp_path)} == {"B01", "B02"}
    assert kept(report)


@pytest.mark.parametrize("layout", MAKERS)
def test_damage_is_refused_or_counted_never_lost(tmp_path: Path, layout: str) -> None:
    """Bytes cut, doubled and changed at random: an error in words, or every row kept or refused."""
    whole = MAKERS[layout](tmp_path / "in")
    rng = random.Random(layout)
    for attempt in range(6):
        folder = tmp_path / f"damaged-{attempt}"
        shutil.copytree(whole, folder)
        path = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
        data = bytearray(path.read_bytes())
        at = rng.randrange(len(data))
        match attempt % 3:
            case 0:
                del data[at:]
            case 1:
                data[at:at] = data[at : at + 40]
            case _:
                data[at] = rng.randrange(256)
        path.write_bytes(data)
        with suppress(FreshetError):
            assert kept(take(tmp_path / f"w-{attempt}", folder))
