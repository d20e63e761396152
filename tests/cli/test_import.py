"""What `freshet import` tells of a log and its catalogue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import answered, called
from tests.stages.events.shop import CATALOGUE, ITEM, LOG, each, put, text


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A workspace whose catalogue has accents in Latin-1, an item twice, a row without id and a broken one."""
    rows = [*CATALOGUE, CATALOGUE[0], ("NULL", "lost", "x")]
    put(tmp_path / "data" / "items.csv", (text(rows, ITEM) + "1,2\n").encode("latin-1", "replace"))
    put(tmp_path / "data" / "events.csv", text(LOG))
    put(tmp_path / "data" / "tags.csv", "a\n")
    put(tmp_path / "shop" / "freshet.toml", '[events]\nfiles = ["../data"]\n')
    return tmp_path / "shop"


def test_rows_of_events_and_of_items_add_up(shop: Path) -> None:
    told = answered("import", "-w", shop)
    (events,) = told["files"]
    assert (
        events["rows"] == events["added"] + events["duplicates"] + sum(events["quarantined"].values()) == 480
    )
    assert {Path(one["path"]).name: one["why"] for one in events["unread"]} == {
        "items.csv": "items",
        "tags.csv": "beside events.csv",
    }
    items = told["items"]
    assert items["quarantined"] == {"missing item": 1, "unreadable row": 1}
    assert (items["rows"], items["items"], items["duplicates"]) == (99, 96, 1)
    assert items["notes"][0].startswith("items.csv is not UTF-8: read as Windows-1252")
    assert told["notes"] == []
    assert answered("import", "-w", shop)["items"] == items  # from what was kept
    assert answered("status", "-w", shop)["log"]["quarantined"] == 2


def test_a_person_reads_the_same(shop: Path) -> None:
    done = called("import", "-w", shop)
    assert (
        "catalogue: 99 rows, 96 items, 1 duplicates, quarantined: 1 missing item, 1 unreadable row"
        in done.stdout
    )
    assert "data: 2 files not read as events: items.csv (items), tags.csv (beside events.csv)" in done.stderr
    assert "quarantined: 1 rows, missing item" in done.stderr


def test_a_part_of_a_catalogue_is_told_as_what_it_is(shop: Path) -> None:
    put(shop.parent / "data" / "items.csv", text(CATALOGUE[:8], ITEM))
    (note,) = answered("import", "-w", shop)["notes"]
    assert re.match(r"only \d+ of the log's 480 events are .* which lacks '1\d\d' for one; add", note), note


def test_a_catalogue_of_other_ids_is_told(shop: Path) -> None:
    put(shop.parent / "data" / "events.csv", text(each(lambda _, row: (row[0], f"tt{row[1]}", *row[2:]))))
    (note,) = answered("import", "-w", shop)["notes"]
    assert note.startswith("only 0 of the log's 480 events are of items in the catalogue: the log has 'tt1")
    assert "the catalogue '100'; check [events.columns] item" in note


def test_a_catalogue_of_few_items_is_told(shop: Path) -> None:
    seen = {row[1] for row in LOG}
    few = [item for item in CATALOGUE if item[0] in seen][:24]
    put(shop.parent / "data" / "items.csv", text(few, ITEM))
    (note,) = answered("import", "-w", shop)["notes"]
    assert re.search(r"events are of items in the catalogue, which lacks '\d+' for one; add the other", note)


def test_a_catalogue_that_cannot_be_read_stops_an_import_first(shop: Path) -> None:
    put(shop.parent / "data" / "items.csv", "name\nx\n")
    assert "no column 'item_id'" in answered("import", "-w", shop, code=2)["error"]["message"]
    assert answered("status", "-w", shop)["log"]["events"] == 0


def test_without_a_catalogue_there_is_nothing_to_tell(shop: Path) -> None:
    (shop.parent / "data" / "items.csv").unlink()
    told = answered("import", "-w", shop)
    assert (told["items"], told["notes"]) == (None, [])
