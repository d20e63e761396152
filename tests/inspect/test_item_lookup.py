"""Items as a person finds them: every word counts, case and accents don't, the closest and most popular first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.core.types import Interests
from freshet.inspect import open_release
from freshet.inspect.item_lookup import ItemLookup
from freshet.stages.items import ItemIndex
from freshet.stages.items import format as rankers
from freshet.storage.workspace import Workspace
from tests.pipeline.world import copied

TITLES = {
    "42": "The Third Man",
    "a1": "Amélie",
    "b7": "Amelie at the Station <script>alert(1)</script>",
    "third": "",
    "x9": "Man of the Third Kind",
    "man": "Something else",
    "g1": "Große Freiheit",
}


@pytest.fixture
def lookup() -> ItemLookup:
    """Seven items, the most popular first, of two interests."""
    interests = Interests(np.array([7, 3], np.int32), ("noir city", "love"), np.eye(2, dtype=np.float32))
    texts = [pa.array(column, pa.large_string()) for column in (TITLES.keys(), TITLES.values())]
    return ItemLookup(interests, *texts, np.array([0, 1, 1, 0, 0, 0, 1], np.int16))


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("third man", ["42", "x9"]),  # both words, in any order
        ("the third man", ["42", "x9"]),  # the whole title first
        ("AMELIE", ["a1", "b7"]),  # the whole title first
        ("amelie at", ["b7"]),
        ("third", ["third", "42", "x9"]),  # an id
        ("man", ["man", "x9", "42"]),  # an id, then what begins with it
        ("groß", ["g1"]),
        ("  ", list(TITLES)),
        ("nothing like it", []),
        ("a\x1fzz", []),
    ],
)
def test_found(lookup: ItemLookup, text: str, ids: list[str]) -> None:
    found = lookup.search(text, 10)
    assert [line.id for line in found.lines] == ids
    assert found.total == len(ids)


def test_only_so_many_are_shown_of_all_that_were_found(lookup: ItemLookup) -> None:
    found = lookup.search("man", 1)
    assert [line.id for line in found.lines] == ["man"]
    assert found.total == 3


def test_an_interest_is_paged(lookup: ItemLookup) -> None:
    pages = [lookup.of_interest(0, first, 2) for first in (0, 2, 4)]
    assert [[line.id for line in page.lines] for page in pages] == [["42", "third"], ["x9", "man"], []]
    assert {page.total for page in pages} == {4}
    assert pages[0].lines[0].interest == "noir city"
    assert pages[0].lines[0].interest_id == 7


def test_items_are_found_by_id_in_the_order_asked(lookup: ItemLookup) -> None:
    named = lookup.named(["x9", "gone", "42"])
    assert [line and line.id for line in named] == ["x9", None, "42"]
    assert lookup.named([]) == []


def test_without_a_ranker_items_come_from_the_catalogue(counts_serve: Workspace) -> None:
    opened = open_release(counts_serve)
    assert not opened.release.ranker
    found = ItemLookup.of(counts_serve, opened).search("", 100)
    catalogue = pq.read_table(counts_serve.config.events.items).to_pylist()
    titles = {row["item_id"]: row["title"] for row in catalogue}
    assert {line.id: line.title for line in found.lines} == {line.id: titles[line.id] for line in found.lines}
    assert found.total == len(titles)


def test_a_ranker_gives_the_order(counts_serve: Workspace, tmp_path: Path) -> None:
    ws = copied(counts_serve, tmp_path / "ranked")
    opened = open_release(ws)
    size = len(opened.interests)
    start = np.minimum(np.arange(size + 1), 2)  # an item in each of the first two interests
    popular = np.log(np.array([0.1, 0.9], np.float32))
    nearest = np.zeros((size, size - 1), np.int16)
    index = ItemIndex(("a", "b"), ("First", ""), start, popular, popular, np.ones(2, bool), nearest)
    with ws.store.create("rankers", "r1") as draft:
        rankers.write(index, draft.path / rankers.ITEMS)
    with_ranker = replace(opened, release=replace(opened.release, ranker="r1"))
    lookup = ItemLookup.of(ws, with_ranker)
    assert [(line.id, line.title) for line in lookup.search("", 5).lines] == [("b", ""), ("a", "First")]
    assert [line.id for line in lookup.of_interest(1, 0, 5).lines] == ["b"]
    lost = replace(opened, release=replace(opened.release, ranker="lost"))
    assert len(ItemLookup.of(ws, lost)) > 2  # as serving does: without it
