"""Wording: exact, injective, and free of anything but descriptions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.prompts import NEXT, names, render, strength
from freshet.types import Context, ContextEvidence, Successor

WORDS = ("horror zombie", "drama war", "love", "comedy")


def said(after: Context, *successors: tuple[int, float]) -> ContextEvidence:
    return ContextEvidence(after, tuple(Successor(i, share, 9.0) for i, share in successors))


@pytest.mark.parametrize(
    ("context", "evidence", "text"),
    [
        ((), None, "liked : nothing yet ; next :"),
        ((2,), None, "liked : love ; next :"),
        ((0, 1), None, "liked : horror zombie | drama war ; next :"),
        ((0, 1), said((0, 1)), "liked : horror zombie | drama war ; next :"),
        (
            (0, 1),
            said((1,), (2, 0.3), (3, 0.12)),
            "liked : horror zombie | drama war ; recently after drama war : most love , several comedy ; next :",
        ),
        ((0, 1), said((0, 1), (2, 0.5)), "liked : horror zombie | drama war ; recently : most love ; next :"),
        ((0,), said((), (3, 0.01)), "liked : horror zombie ; recently : few comedy ; next :"),
    ],
)
def test_the_wording(context: Context, evidence: ContextEvidence | None, text: str) -> None:
    assert render(context, WORDS, evidence) == text
    assert text.endswith(NEXT)


@pytest.mark.parametrize(
    ("share", "word"),
    [
        (1.0, "most"),
        (0.3, "most"),
        (0.29, "many"),
        (0.15, "many"),
        (0.14, "several"),
        (0.08, "several"),
        (0.07, "some"),
        (0.04, "some"),
        (0.03, "few"),
        (0.0, "few"),
    ],
)
def test_strength_in_words(share: float, word: str) -> None:
    assert strength(share) == word


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_never_gets_a_weaker_word(a: float, b: float) -> None:
    order = ["few", "some", "several", "many", "most"]
    assert (order.index(strength(a)) <= order.index(strength(b))) or a > b


contexts = st.lists(st.integers(0, 3), max_size=3, unique=True).map(tuple)


@given(contexts, contexts, st.sampled_from(["description", "label"]))
def test_different_contexts_have_different_prompts(a: Context, b: Context, mode: str) -> None:
    words = names(WORDS, mode)
    assert (render(a, words) == render(b, words)) == (a == b)


def test_label_mode_reads_and_writes_one_token_per_interest() -> None:
    assert names(WORDS, "description") == WORDS
    assert names(WORDS, "label") == ("<i0>", "<i1>", "<i2>", "<i3>")
    prompt = render((0, 1), names(WORDS, "label"), said((0, 1), (2, 0.2)))
    assert prompt == "liked : <i0> | <i1> ; recently : many <i2> ; next :"
