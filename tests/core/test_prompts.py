"""Wording: exact, injective, and free of anything but descriptions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.prompts import NEXT, Prompts, ShortWording, longest, names, render, strength
from freshet.core.types import Context, ContextEvidence, Evidence, Prompt, Successor, pack_contexts

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


WIDE = 3
words_of_many = st.lists(
    st.text("ab0 ", min_size=1).map(lambda t: " ".join(t.split())).filter(bool),
    min_size=5,
    max_size=5,
    unique=True,
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Context, ContextEvidence | None]:
    """A context and what is said of one of its suffixes, if anything."""
    context = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=WIDE, unique=True)))
    after = context[draw(st.integers(0, len(context))) :]
    named = draw(st.lists(st.integers(0, 4), max_size=4, unique=True))
    shares = st.sampled_from([0.0, 0.039, 0.04, 0.07, 0.08, 0.2, 0.3, 1.0])
    evidence = said(after, *((i, draw(shares)) for i in named))
    return context, evidence if named else None


def one(question: tuple[Context, ContextEvidence | None], words: tuple[str, ...]) -> Prompts:
    """The prompt of a question as the many are held."""
    context, evidence = question
    packed = pack_contexts([context], WIDE)
    if evidence is None:
        return Prompts.of(packed, ShortWording(words), Evidence.none(WIDE))
    listed = [(s.interest, s.share, s.support) for s in evidence.successors]
    columns = [np.array([column]) for column in zip(*listed, strict=True)]
    held = Evidence(
        packed, np.array([len(evidence.after)], np.int8), columns[0].astype(np.int16), *columns[1:]
    )
    assert held[context] == evidence
    return Prompts.of(packed, ShortWording(words), held)


@settings(max_examples=300)
@given(questions(), questions(), words_of_many.map(tuple))
def test_prompts_are_held_as_what_tells_them_apart(
    a: tuple[Context, ContextEvidence | None],
    b: tuple[Context, ContextEvidence | None],
    words: tuple[str, ...],
) -> None:
    first, second = one(a, words), one(b, words)
    assert first.take([0]) == [Prompt(a[0], render(a[0], words, a[1]))]
    same = render(a[0], words, a[1]) == render(b[0], words, b[1])
    assert (first.identities() == second.identities()) == same
    both = first + second  # next to a longer prompt, a prompt is still the same
    assert both.identities() == first.identities() + second.identities()
    assert both.take([1, 0]) == second.take([0]) + first.take([0])


@given(st.data())
def test_no_prompt_is_longer_than_the_longest(data: st.DataObject) -> None:
    by_length = sorted(WORDS, key=len, reverse=True)
    k, named = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 4))
    index = st.integers(0, len(WORDS) - 1)
    context = tuple(data.draw(st.lists(index, max_size=k, unique=True)))
    after = context[data.draw(st.integers(0, len(context))) :]
    successors = data.draw(st.lists(index, min_size=min(1, named), max_size=named, unique=True))
    evidence = said(after, *((row, data.draw(st.floats(0, 1))) for row in successors)) if successors else None
    assert len(render(context, WORDS, evidence)) <= len(longest(by_length, k, named))


def test_the_longest_prompt_repeats_the_longest_names() -> None:
    words = ("drama war", "love", "horror zombie", "comedy")
    by_length = sorted(words, key=len, reverse=True)
    evidence = said((2, 0), (2, 0.2))
    assert len(render((1, 2, 0), words, evidence)) <= len(longest(by_length, 3, 1))


def test_contexts_longer_than_those_of_evidence_hear_of_their_last_interests() -> None:
    """As rows of users are asked: ten interests, and evidence about pairs."""
    pair = np.array([[1, 0]], np.int16)
    evidence = Evidence(pair, np.array([2], np.int8), *_columns((2, 0.2, 5.0)))
    contexts = pack_contexts([(2, 1, 0), (1, 0), (2, 0, 1)], 10)
    texts = [prompt.text for prompt in Prompts.of(contexts, ShortWording(WORDS), evidence).take(range(3))]
    said = ContextEvidence((1, 0), (Successor(2, 0.2, 5.0),))
    assert texts == [
        render((2, 1, 0), WORDS, said),
        render((1, 0), WORDS, said),
        render((2, 0, 1), WORDS),
    ]
    assert "recently after" in texts[0]
    assert len(set(Prompts.of(contexts, ShortWording(WORDS), evidence).identities())) == 3


def _columns(entry: tuple[int, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Successors, shares and supports of evidence with one entry."""
    successor, share, support = entry
    return np.array([[successor]], np.int16), np.array([[share]]), np.array([[support]])
