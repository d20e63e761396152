"""Samples: balanced, the latest, and worded with nothing that was not known at their time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.prompts import ShortWording, render
from freshet.core.types import RECENT, Context, ContextEvidence, Successor, Transitions
from freshet.stages.tuning import balanced, make_examples

N = 4
NAMES = tuple(f"name {i}" for i in range(N))
rows = st.lists(
    st.tuples(
        st.integers(0, 60), st.lists(st.integers(0, N - 1), max_size=3, unique=True), st.integers(0, N - 1)
    ),
    max_size=40,
).map(lambda found: sorted(found, key=lambda row: row[0]))


def transitions(found: list[tuple[int, list[int], int]]) -> Transitions:
    """From (day, recent interests, successor), ordered by day."""
    recent = np.full((len(found), RECENT), -1, np.int16)
    for row, (_, interests, _) in zip(recent, found, strict=True):
        if interests:
            row[-len(interests) :] = interests
    return Transitions.on_days(
        np.arange(len(found), dtype=np.uint64),
        np.array([day for day, _, _ in found], np.int32),
        recent,
        np.array([successor for _, _, successor in found], np.int16),
        np.zeros((len(found), N), bool),
    )


@given(rows, st.integers(1, 4), st.integers(1, 3))
def test_balanced_keeps_the_latest_distinct_contexts_of_every_label(
    found: list[tuple[int, list[int], int]], per_label: int, k: int
) -> None:
    log = transitions(found)
    kept = balanced(log, k, per_label).tolist()
    assert kept == sorted(set(kept))
    contexts = log.contexts(k)
    pairs = [(int(log.successor[row]), contexts[row]) for row in kept]
    assert len(set(pairs)) == len(pairs)
    assert max(Counter(label for label, _ in pairs).values(), default=0) <= per_label
    for label in range(N):  # what is left out is older than what is kept, or a repetition
        mine = [row for row in range(len(log)) if log.successor[row] == label]
        latest: dict[Context, int] = {}
        for row in mine:
            latest[contexts[row]] = row
        assert [row for row in kept if row in mine] == sorted(latest.values())[-per_label:]


def test_zero_keeps_everything() -> None:
    log = transitions([(1, [0], 1), (1, [0], 1), (2, [], 1)])
    assert balanced(log, 2, 0).tolist() == [0, 1, 2]


class Remembering:
    """Evidence that names its own moment, and remembers for whom it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[Context]]] = []

    def __call__(self, day: int, contexts: Sequence[Context]) -> Mapping[Context, ContextEvidence]:
        self.asked.append((day, list(contexts)))
        share = 0.5 if day % 2 else 0.05
        return {c: ContextEvidence(c, (Successor(0, share, 9.0),)) for c in contexts if c != (3,)}


@given(rows, st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 9))
def test_evidence_is_of_the_time_before_each_window(
    found: list[tuple[int, list[int], int]], share: float, window: int
) -> None:
    log, before = transitions(found), Remembering()
    examples = make_examples(
        log, ShortWording(NAMES), before, k=2, window_days=window, evidence_share=share, seed=4
    )
    assert len(examples) == len(log)
    assert [e.successor for e in examples] == log.successor.tolist()
    days = [day for day, _ in before.asked]
    assert days == sorted(set(days))
    assert all(day % window == 0 for day in days)
    by_day = dict(before.asked)
    contexts = log.contexts(2)
    for row, example in enumerate(examples):
        context, day = contexts[row], int(log.day[row])
        start = day // window * window
        assert start <= day
        bare = render(context, NAMES)
        said = ContextEvidence(context, (Successor(0, 0.5 if start % 2 else 0.05, 9.0),))
        assert example.prompt.context == context
        assert example.completion == NAMES[example.successor]
        assert example.prompt.text in (bare, render(context, NAMES, said))
        if share == 1.0 and context != (3,):
            assert example.prompt.text != bare
            assert context in by_day[start]
        if share == 0.0 or context == (3,):
            assert example.prompt.text == bare
    if share == 0.0:
        assert before.asked == []


def test_a_planner_that_reads_lists_gets_those_of_the_time_before() -> None:
    log = transitions([(1, [0], 1), (9, [0], 2), (9, [1], 3)])
    asked: list[int] = []

    def before(day: int, contexts: Sequence[Context]) -> Mapping[Context, Sequence[int]]:
        asked.append(day)
        return dict.fromkeys(contexts, (day % 4, 3))

    examples = make_examples(
        log, ShortWording(NAMES), Remembering(), k=1, window_days=7, evidence_share=0.0, seed=0,
        options_before=before,
    )  # fmt: skip
    assert asked == [0, 7]
    assert [example.prompt.options for example in examples] == [(0, 3), (3, 3), (3, 3)]


def test_about_the_share_asked_for_carries_evidence_and_the_seed_decides_which() -> None:
    log = transitions([(day, [1], 2) for day in range(400)])

    def texts(seed: int) -> list[bool]:
        made = make_examples(
            log, ShortWording(NAMES), Remembering(), k=1, window_days=7, evidence_share=0.3, seed=seed
        )
        return ["recently" in example.prompt.text for example in made]

    assert texts(0) == texts(0)
    assert texts(0) != texts(1)
    assert 80 <= sum(texts(0)) <= 160  # 120 expected, standard deviation 9


def test_a_planner_that_is_asked_about_users_reads_some_longer_histories() -> None:
    """Half of the samples have all recent interests up to `longest`; evidence tells of the last ones."""
    log = transitions([(day, [3, 2, 0], 1) for day in range(400)])
    made = make_examples(
        log, ShortWording(NAMES), Remembering(), k=2, window_days=7, evidence_share=1.0, seed=0, longest=3
    )
    lengths = [len(example.prompt.context) for example in made]
    assert set(lengths) == {2, 3}
    assert 160 <= lengths.count(3) <= 240  # 200 expected, standard deviation 10
    for example in made:
        assert example.prompt.context == (3, 2, 0)[-len(example.prompt.context) :]
        told = "recently after name 2 | name 0 :" in example.prompt.text
        assert told == (len(example.prompt.context) == 3)  # a pair's own evidence says "recently :"
    short = make_examples(
        log, ShortWording(NAMES), Remembering(), k=2, window_days=7, evidence_share=1.0, seed=0
    )
    assert {example.prompt.context for example in short} == {(2, 0)}
    cut = make_examples(
        log, ShortWording(NAMES), Remembering(), k=1, window_days=7, evidence_share=0.0, seed=0, longest=2
    )
    assert {example.prompt.context for example in cut} == {(0,), (2, 0)}
