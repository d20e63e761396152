"""Items as a person finds them: every word counts, case and accents don't, the closest and most popular first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from freshet.core.types import Interests
from freshet.inspect import open_release
from freshet.inspect.item_lookup import ItemLookup
from freshet.storage.workspace import Workspace

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
        (
            "third man",
            ["42", "x9"],
        ),  # both words, in any order; the one that begins so... comes by popularity
        ("the third man", ["42"]),  # a title
        ("AMELIE", ["a1", "b7"]),  # the whole title first
        ("amelie at", ["b7"]),
        ("third", ["third", "42", "x9"]),  # an id
        ("man", ["man", "x9", "42"]),  # an id, then what begins with it
        ("groß", ["g1"]),
        ("  ", list(TITLES)),
        ("nothing like it", []),
        ("a\x1fb", ["a1", "b7", "g1", "42"][:0]),
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


def test_a_release_with_and_without_ranker_has_the_same_items(counted: Workspace) -> None:
    opened = open_release(counted)
    by_ranker = ItemLookup.of(counted, opened)
    without = ItemLookup.of(counted, replace(opened, release=replace(opened.release, ranker="")))
    assert opened.release.ranker
    assert len(by_ranker) == len(without) > 0
    everything = len(without)
    lines = {line.id: line for line in by_ranker.search("", everything).lines}
    assert {line.id: line for line in without.search("", everything).lines} == lines
