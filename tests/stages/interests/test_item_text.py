from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from freshet.stages.interests import describe, item_text
from freshet.stages.interests.fitting import taxonomy_descriptions
from freshet.stages.interests.item_text import plain, root, words


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("The Sci-Fi & Film-Noir of 1994", ["scifi", "film", "noir", "1990s"]),
        ("SET OF 12 T-LIGHT holders, 0.85", ["set", "tlight", "holders"]),
        ("World's end<br/>don't", ["worlds", "end"]),
        ("Été à la plage", ["été", "plage"]),
        ("宇宙戦艦", ["宇宙", "宙戦", "戦艦"]),
        ("war &amp; peace 🎉", ["war", "peace"]),
        ("", []),
    ],
)
def test_words_of_a_text(written: str, read: list[str]) -> None:
    assert words(written) == read


@given(st.text(max_size=300))
def test_words_are_lower_case_letters_and_digits(written: str) -> None:
    assert all(word.isalnum() and word == word.lower() and len(word) <= 24 for word in words(written))
    assert all(word.isalnum() for word in plain(written).split())


@pytest.mark.parametrize(
    ("word", "singular"),
    [("candles", "candle"), ("stories", "story"), ("boxes", "box"), ("glass", "glass"), ("1990s", "1990s")],
)
def test_root_folds_plurals(word: str, singular: str) -> None:
    assert root(word) == singular


_NAMES = st.lists(st.lists(st.sampled_from("abcdef"), max_size=6, unique=True), min_size=1, max_size=40)


@given(_NAMES, st.randoms(use_true_random=False))
def test_descriptions_are_unique_as_sets_of_words(candidates: list[list[str]], random: object) -> None:
    scored = [[(word, 1.0 / (1 + i)) for i, word in enumerate(row)] for row in candidates]
    fallbacks = ["same id" if i % 2 else "" for i in range(len(candidates))]
    found = describe.unique(scored, fallbacks, list(range(len(candidates)))[::-1])
    assert len({frozenset(name.split()) for name in found}) == len(candidates)
    assert all(name and name == " ".join(name.split()) for name in found)


def test_keywords_prefer_what_many_carry_here_and_few_elsewhere() -> None:
    # words: everywhere, here, name
    carried = sparse.csr_matrix(np.array([[1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]]))
    labels = np.array([0, 0, 0, 1, 1])
    found = describe.keywords(carried, np.ones(5), labels, 2, ["everywhere", "here", "name"])
    assert [word for word, _ in found[0]] == ["here"]
    assert found[1] == []


def test_forms_of_one_word_appear_once() -> None:
    carried = sparse.csr_matrix(np.array([[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]))
    names = ["wizard", "wizardry", "magic", "horse"]
    found = describe.keywords(carried, np.ones(4), np.array([0, 0, 1, 1]), 2, names)
    assert [word for word, _ in found[0]] == ["wizard", "magic"]


@given(st.lists(st.text(max_size=12), min_size=1, max_size=20))
def test_taxonomy_values_become_unique_plain_words(values: list[str]) -> None:
    found = taxonomy_descriptions(values)
    assert len({frozenset(name.split()) for name in found}) == len(values)
    assert all(word.isalnum() for name in found for word in name.split())


def test_a_text_model_survives_saving(tmp_path: Path) -> None:
    documents = [["red", "apple"], ["red", "pear"], ["blue", "boat"], ["blue", "sea", "boats"]]
    model = item_text.fit_text_model(documents, seed=0)
    model.save(tmp_path)
    loaded = item_text.TextModel.load(tmp_path)
    before, after = model.vectors(model.counts(documents)), loaded.vectors(loaded.counts(documents))
    assert np.array_equal(before, after)
    assert before[0] @ before[1] > 0.3
    assert before[0] @ before[2] < 1e-6
