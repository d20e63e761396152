"""Interests formed by the vectors of an encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet.backends.encoders.wordllama_encoder import WordLlamaEncoder
from freshet.core.config import InterestsConfig
from freshet.core.errors import ConfigError
from freshet.stages.interests import assign, build, load
from freshet.stages.interests.format import open_model
from freshet.stages.interests.item_text import readable

from .test_building import assignment, checksums, ways
from .world import TOPICS, planted, write_day, write_items

THEMES = {
    "fear": "haunted ghost terror scream nightmare vampire zombie crypt spooky undead demon dread monster fright corpse",
    "food": "bread soup cheese oven recipe dinner pastry cake sauce kitchen chef dessert flour butter salad",
    "ships": "sailor harbour captain vessel anchor ocean deck voyage pirate mast coast navy boat sea sail",
}
CONFIG = InterestsConfig(count=3, co_engagement=0.0, text_vectors="encoder")


def catalogue(folder: Path) -> tuple[Path, list[Path]]:
    """No two items share a word: only what words mean tells themes apart."""
    rows = [
        (f"{theme}-{i // 3}", f"{' '.join(words.split()[i : i + 3])}", "", theme)
        for theme, words in THEMES.items()
        for i in range(0, 15, 3)
    ]
    items = write_items(
        folder / "items.parquet", [*rows, ("fear-new", "a werewolf", "", "fear"), ("blank", "", "", "")]
    )
    engaged = [(f"u{i}-{j}", row[0]) for i, row in enumerate(rows) for j in range(4)]
    return items, [write_day(folder / "day.parquet", engaged, 0)]


def test_it_finds_themes_that_share_no_word(tmp_path: Path) -> None:
    items, days = catalogue(tmp_path)

    def pure(path: Path) -> float:
        """Share of the items that are with the theme most of their interest has."""
        found = [(interest, item.split("-")[0]) for item, interest in assignment(path).items()]
        groups = [[theme for i, theme in found if i == interest] for interest in {i for i, _ in found}]
        return sum(max(group.count(theme) for theme in THEMES) for group in groups) / len(found)

    summary = build(items, days, "true", CONFIG, None, tmp_path / "by", encoder=WordLlamaEncoder())
    build(items, days, "true", InterestsConfig(count=3, co_engagement=0.0), None, tmp_path / "words")
    assert pure(tmp_path / "by") > 0.85
    assert pure(tmp_path / "words") < 0.7
    assert ways(tmp_path / "by")["fear-new"] == "text"
    assert assignment(tmp_path / "by")["fear-new"] == assignment(tmp_path / "by")["fear-1"]
    assert "blank" not in assignment(tmp_path / "by")
    version = WordLlamaEncoder().version
    assert summary["text_vectors"] == version
    assert json.loads((tmp_path / "by" / "quality.json").read_text())["text_vectors"] == version
    model = open_model(tmp_path / "by")
    assert (model.encoder, model.centroids.shape) == (version, (3, 256))


def test_descriptions_are_words_of_the_texts_all_the_same(tmp_path: Path) -> None:
    world = planted(tmp_path)
    config = InterestsConfig(count=6, text_vectors="encoder")
    build(world.items, world.days, "true", config, None, tmp_path / "out", encoder=WordLlamaEncoder())
    found, words = assignment(tmp_path / "out"), load(tmp_path / "out").descriptions
    for item, interest in found.items():
        assert TOPICS[world.topic[item]] in words[interest]


def test_items_that_came_later_get_their_interest_by_the_same_vectors(tmp_path: Path) -> None:
    items, days = catalogue(tmp_path)
    build(items, days, "true", CONFIG, None, tmp_path / "by", encoder=WordLlamaEncoder())
    before = assignment(tmp_path / "by")
    known = pq.read_table(items).to_pylist()
    later = [("zz", "lighthouse keeper", "", "ships"), ("zy", "phantom spirits", "", "fear")]
    more = write_items(
        tmp_path / "more.parquet", [*((r["item"], r["title"], r["text"], r["kind"]) for r in known), *later]
    )
    asked: list[str] = []

    class Noting(WordLlamaEncoder):
        def encode(self, texts, progress=None):
            asked.extend(texts)
            return super().encode(texts)

    summary = assign(tmp_path / "by", more, days, "true", tmp_path / "out", Noting())
    found = assignment(tmp_path / "out")
    assert summary["new_items"] == 2
    assert found["zz"] == before["ships-3"]
    assert found["zy"] == before["fear-0"]
    assert before.items() <= found.items()
    assert sorted(asked) == ["", "lighthouse keeper", "phantom spirits"]  # what is settled isn't encoded


def test_other_vectors_than_those_of_before_are_refused(tmp_path: Path) -> None:
    items, days = catalogue(tmp_path)
    build(items, days, "true", CONFIG, None, tmp_path / "by", encoder=WordLlamaEncoder())
    with pytest.raises(ConfigError, match=r"formed by wordllama-.*would be compared by words"):
        assign(tmp_path / "by", items, days, "true", tmp_path / "out")
    build(items, days, "true", InterestsConfig(count=3), None, tmp_path / "words")
    with pytest.raises(ConfigError, match="formed by words, new items would be compared by wordllama-"):
        assign(tmp_path / "words", items, days, "true", tmp_path / "out", WordLlamaEncoder())


def test_a_rebuild_continues_what_another_kind_of_vectors_began(tmp_path: Path) -> None:
    items, days = catalogue(tmp_path)
    build(items, days, "true", CONFIG, None, tmp_path / "by", encoder=WordLlamaEncoder())
    again = build(
        items, days, "true", CONFIG, tmp_path / "by", tmp_path / "again", encoder=WordLlamaEncoder()
    )
    assert again["churn"] == 0
    assert load(tmp_path / "again").ids.tolist() == load(tmp_path / "by").ids.tolist()
    words = build(
        items, days, "true", InterestsConfig(count=3, co_engagement=0.0), tmp_path / "by", tmp_path / "words"
    )
    assert words["interests"] == 3


def test_the_same_vectors_give_the_same_files(tmp_path: Path) -> None:
    items, days = catalogue(tmp_path)
    for name in ("one", "two"):
        build(items, days, "true", CONFIG, None, tmp_path / name, encoder=WordLlamaEncoder())
    assert checksums(tmp_path / "one") == checksums(tmp_path / "two")


def test_words_write_nothing_about_encoders(tmp_path: Path) -> None:
    """Artifacts of workspaces without an encoder stay what they were, byte for byte."""
    items, days = catalogue(tmp_path)
    summary = build(items, days, "true", InterestsConfig(count=3), None, tmp_path / "words")
    assert "text_vectors" not in summary
    texts = [path.read_text() for path in (tmp_path / "words").glob("*.json")]
    assert len(texts) == 2
    assert all("encoder" not in text and "text_vectors" not in text for text in texts)


def test_texts_are_read_as_sentences_without_markup() -> None:
    assert readable(["Jaws", "Up", ""], ["<b>Jaws</b> &amp; sharks\n bite", "A house flies", ""]) == [
        "Jaws & sharks bite",
        "Up. A house flies",
        "",
    ]
    assert readable(["Jaws"], [""]) == ["Jaws"]
    assert np.isfinite(WordLlamaEncoder().encode(readable(["a"], ["x" * 9000]))).all()
