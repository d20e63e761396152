"""What a prompt may say: supported, never the context's own, steady under noise, released by real change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.config import EvidenceConfig
from freshet.core.prompts import Prompts, ShortWording, render
from freshet.core.types import Context, ContextEvidence, Evidence, Successor, Sums, pack_contexts
from freshet.stages import evidence as stage
from freshet.stages.evidence import Window, read, write
from tests.stages.counts.worlds import sums
from tests.stages.evidence import reference

N = 6
STRENGTHS = (5.0, 5.0)
ALL: list[Context] = [(), *[(a,) for a in range(N)], *permutations(range(N), 2)]
FREQUENCY = EvidenceConfig(min_support=5.0, top=3, hysteresis=0.25)

Known = Mapping[Context, ContextEvidence]
Counts = dict[tuple[Context, int], float]


def packed(known: Known, k: int) -> Evidence:
    """Evidence as the stage holds it."""
    width = max([1, *(len(said.successors) for said in known.values())])
    successors = np.full((len(known), width), -1, np.int16)
    shares, supports = np.zeros((2, len(known), width))
    for row, said in enumerate(known.values()):
        for place, s in enumerate(said.successors):
            successors[row, place], shares[row, place], supports[row, place] = s.interest, s.share, s.support
    after = np.array([len(said.after) for said in known.values()], np.int8)
    return Evidence(pack_contexts(list(known), k), after, successors, shares, supports)


def choose(
    window: Window,
    contexts: Sequence[Context],
    interests: int,
    prior_counts: Sequence[float],
    config: EvidenceConfig,
    previous: Known,
    ineligible: frozenset[int] = frozenset(),
) -> Evidence:
    """What the stage chooses; it must be what the definition says."""
    k = max(map(len, contexts))
    found = stage.choose(
        window,
        pack_contexts(contexts, k),
        interests,
        prior_counts,
        config,
        packed(previous, k) if previous else None,
        ineligible,
    )
    expected = reference.choose(window, contexts, interests, prior_counts, config, previous, ineligible)
    assert list(found) == [context for context in contexts if context in expected]
    for context, said in expected.items():
        assert found[context].after == said.after
        for ours, theirs in zip(found[context].successors, said.successors, strict=True):
            assert (ours.interest, ours.support) == (theirs.interest, theirs.support)
            assert ours.share == pytest.approx(theirs.share, rel=1e-12)
    return found


def levels(*counts: Counts) -> list[Sums]:
    """Counts of lengths 0, 1, 2 as sums."""
    return [sums(rows, length) for length, rows in enumerate([*counts, *[{}] * (3 - len(counts))])]


def pick(now: Counts, config: EvidenceConfig = FREQUENCY, **more: object) -> dict[Context, ContextEvidence]:
    """Choose for all contexts from counts after single interests."""
    return choose(Window(levels({}, now), []), ALL, N, STRENGTHS, config, **{"previous": {}, **more})


def named(evidence: ContextEvidence | None) -> list[int]:
    return [] if evidence is None else [s.interest for s in evidence.successors]


def test_support_decides_and_the_suffix_speaks_where_the_pair_is_too_rare() -> None:
    pairs: Counts = {((0, 1), 2): 4.5, ((0, 1), 3): 0.5, ((4, 1), 2): 4.0}
    singles: Counts = {((1,), 3): 6.0, ((1,), 2): 3.0, ((2,), 0): 4.0}
    found = choose(Window(levels({}, singles, pairs), []), ALL, N, STRENGTHS, FREQUENCY, {})
    assert found[(0, 1)].after == (0, 1)  # support 5
    assert named(found[(0, 1)]) == [2]  # one person's half voice for 3 is not repeated
    assert found[(4, 1)].after == (1,)  # support 4 is too little
    assert named(found[(4, 1)]) == [3, 2]
    assert found[(1,)].after == (1,)
    assert (2,) not in found  # support 4, and popularity speaks only for users without context
    assert () not in found
    shares = [s.share for s in found[(1,)].successors]
    assert shares == pytest.approx([(6 + 5 / N) / 14, (3 + 5 / N) / 14])
    assert [s.support for s in found[(1,)].successors] == [6.0, 3.0]


def test_a_pair_whose_people_disagree_leaves_the_word_to_the_suffix() -> None:
    pairs: Counts = {((0, 1), i): 1.0 for i in (2, 3, 4, 5)} | {((0, 1), 2): 1.9}
    singles: Counts = {((1,), 3): 6.0}
    found = choose(Window(levels({}, singles, pairs), []), [(0, 1)], N, STRENGTHS, FREQUENCY, {})
    assert found[(0, 1)].after == (1,)


counts_of_singles = st.dictionaries(
    st.tuples(st.integers(0, N - 1).map(lambda i: (i,)), st.integers(0, N - 1)),
    st.integers(1, 20).map(float),
    max_size=30,
)


@settings(deadline=None, max_examples=80)
@given(counts_of_singles, st.frozensets(st.integers(0, N - 1)), st.sampled_from(["instance", "global"]))
def test_own_and_withheld_interests_are_never_named(
    now: Counts, ineligible: frozenset[int], level: str
) -> None:
    config = FREQUENCY.model_copy(update={"level": level})
    window = Window(levels({((), i): 9.0 for i in range(N)}, now), [])
    found = choose(window, ALL, N, STRENGTHS, config, {}, ineligible)
    again = choose(
        window, ALL, N, STRENGTHS, config, choose(window, ALL, N, STRENGTHS, config, {}), ineligible
    )
    for chosen in (found, again):
        for context, said in chosen.items():
            assert not set(named(said)) & (ineligible | set(context))
            assert len(set(named(said))) == len(said.successors) > 0


@settings(deadline=None, max_examples=80)
@given(
    counts_of_singles, counts_of_singles, st.sampled_from(["frequency", "trend"]), st.sampled_from([0.0, 0.3])
)
def test_feeding_the_same_window_twice_changes_nothing(
    before: Counts, now: Counts, rank_by: str, hysteresis: float
) -> None:
    config = FREQUENCY.model_copy(update={"rank_by": rank_by, "hysteresis": hysteresis})
    window = Window(levels({}, now), levels({}, before))
    earlier = choose(Window(levels({}, before), levels({})), ALL, N, STRENGTHS, config, {})
    once = choose(window, ALL, N, STRENGTHS, config, earlier)
    assert choose(window, ALL, N, STRENGTHS, config, once) == once


def test_noise_keeps_the_prompt_and_a_real_change_releases_it() -> None:
    first = pick({((1,), 2): 40.0, ((1,), 3): 21.0, ((1,), 4): 20.0, ((1,), 5): 19.0})
    assert named(first[(1,)]) == [2, 3, 4]
    words = [f"i{i}" for i in range(N)]
    # 5 overtakes 4 by little, 3 and 4 swap, and every share moves a little
    noise: Counts = {((1,), 2): 38.0, ((1,), 3): 19.0, ((1,), 4): 20.0, ((1,), 5): 22.0}
    steady = pick(noise, previous=first)
    assert render((1,), words, steady[(1,)]) == render((1,), words, first[(1,)])
    assert render((1,), words, pick(noise)[(1,)]) != render((1,), words, first[(1,)])
    change: Counts = {((1,), 2): 38.0, ((1,), 3): 19.0, ((1,), 4): 10.0, ((1,), 5): 30.0}
    assert pick(change, previous=first)[(1,)] == pick(change)[(1,)]
    assert named(pick(change)[(1,)]) == [2, 5, 3]


pairs_and_singles = st.tuples(
    *(
        st.dictionaries(
            st.tuples(
                st.lists(st.integers(0, N - 1), min_size=size, max_size=size, unique=True).map(tuple),
                st.integers(0, N - 1),
            ),
            st.integers(8, 60).map(float),
            max_size=25,
        )
        for size in (1, 2)
    )
)


@settings(deadline=None, max_examples=60)
@given(pairs_and_singles, st.integers(0, 2**32 - 1))
def test_noise_below_the_threshold_flips_nothing(counts: tuple[Counts, Counts], seed: int) -> None:
    """Counts move by up to 2 %, so shares by less than 9 % and their ratios by less than the hysteresis."""
    rng = np.random.default_rng(seed)
    noisy = [{cell: weight * rng.uniform(0.98, 1.02) for cell, weight in part.items()} for part in counts]
    before, after = (Window(levels({}, *part), []) for part in (counts, noisy))
    first = choose(before, ALL, N, STRENGTHS, FREQUENCY, {})
    second = choose(after, ALL, N, STRENGTHS, FREQUENCY, first)
    words = [f"i{i}" for i in range(N)]
    one, other = (Prompts.of(pack_contexts(ALL, 2), ShortWording(words), said) for said in (first, second))
    assert one.identities() == other.identities()


@settings(deadline=None, max_examples=60)
@given(pairs_and_singles, st.data())
def test_a_real_change_passes(counts: tuple[Counts, Counts], data: st.DataObject) -> None:
    first = choose(Window(levels({}, *counts), []), ALL, N, STRENGTHS, FREQUENCY, {})
    if not len(first):
        return
    context = data.draw(st.sampled_from(list(first)))
    after = first[context].after
    others = sorted(set(range(N)) - {*context, *named(first[context])})
    if not others:
        return
    newcomer = data.draw(st.sampled_from(others))
    changed = [dict(part) for part in counts]
    changed[len(after) - 1][after, newcomer] = 10_000.0
    window = Window(levels({}, *changed), [])
    now = choose(window, ALL, N, STRENGTHS, FREQUENCY, first)[context]
    assert now == choose(window, ALL, N, STRENGTHS, FREQUENCY, {})[context]
    assert named(now)[0] == newcomer


def test_a_word_is_released_when_its_share_has_left_it_for_good() -> None:
    first = pick({((1,), 2): 50.0, ((1,), 3): 50.0})
    assert [s.interest for s in first[(1,)].successors] == [2, 3]
    fallen: Counts = {((1,), 2): 90.0, ((1,), 3): 6.0}
    assert pick(fallen, previous=first)[(1,)] == pick(fallen)[(1,)]


def test_a_successor_nobody_takes_up_any_more_is_let_go() -> None:
    first = pick({((1,), 2): 40.0, ((1,), 3): 3.0})
    assert named(first[(1,)]) == [2, 3]
    assert named(pick({((1,), 2): 40.0}, previous=first)[(1,)]) == [2]


def test_configuration_wins_over_hysteresis() -> None:
    now: Counts = {((1,), 2): 40.0, ((1,), 3): 30.0, ((1,), 4): 20.0}
    first = pick(now)
    assert named(pick(now, FREQUENCY.model_copy(update={"top": 2}), previous=first)[(1,)]) == [2, 3]
    assert named(pick(now, previous=first, ineligible=frozenset({3}))[(1,)]) == [2, 4]
    assert pick(now, FREQUENCY.model_copy(update={"level": "none"})) == {}


def test_many_withheld_interests_hide_none_that_may_be_named() -> None:
    interests = 80
    now: Counts = {((0,), i): 200.0 - i for i in range(1, interests)}
    window = Window([sums({}, 0), sums(now, 1)], [])
    ineligible = frozenset(range(1, interests - 1))
    found = choose(window, [(0,)], interests, (5.0,), FREQUENCY, {}, ineligible)
    assert named(found[(0,)]) == [interests - 1]


TREND = EvidenceConfig(min_support=5.0, top=1, rank_by="trend", hysteresis=0.25)


def test_trend_names_the_planted_riser_and_lets_go_when_it_stops_rising() -> None:
    before: Counts = {((1,), 2): 60.0, ((1,), 3): 30.0, ((1,), 4): 4.0}
    now: Counts = {((1,), 2): 60.0, ((1,), 3): 28.0, ((1,), 4): 14.0}

    def trend(now: Counts, before: Counts, previous: dict[Context, ContextEvidence]) -> list[int]:
        window = Window(levels({}, now), levels({}, before))
        return named(choose(window, [(1,)], N, STRENGTHS, TREND, previous).get((1,)))

    assert named(pick(now, TREND.model_copy(update={"rank_by": "frequency"})).get((1,))) == [2]
    assert trend(now, before, {}) == [4]
    held = {(1,): ContextEvidence((1,), (Successor(2, 0.6, 60.0),))}
    assert trend(now, before, held) == [4]  # the largest share, but it does not rise
    later: Counts = {((1,), 2): 60.0, ((1,), 3): 60.0, ((1,), 4): 14.0}
    riser = {(1,): ContextEvidence((1,), (Successor(4, 0.13, 14.0),))}
    assert trend(later, now, riser) == [3]


def test_global_evidence_is_one_list_for_all() -> None:
    config = EvidenceConfig(level="global", top=1, min_support=5.0)
    interests = 30
    popular = sums({((), i): 100.0 - i for i in range(interests)}, 0)
    contexts: list[Context] = [(), (0,), (0, 3), (29, 28)]
    found = choose(Window([popular, sums({}, 1)], []), contexts, interests, (5.0,), config, {})
    for context in contexts:
        assert found[context].after == ()
        assert named(found[context]) == [i for i in range(interests) if i not in context][:10]


def test_files_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    evidence = {
        context: ContextEvidence(
            context[-1:],
            tuple(
                Successor(int(i), float(rng.random()), float(rng.integers(2, 9)))
                for i in rng.permutation(N)[:3]
            ),
        )
        for context in sorted(ALL)
    }
    write(packed(evidence, 2), tmp_path / "evidence.parquet")
    assert read(tmp_path / "evidence.parquet") == evidence
    write(Evidence.none(2), tmp_path / "empty.parquet")
    assert read(tmp_path / "empty.parquet") == {}


def counts_of(size: int) -> st.SearchStrategy[Counts]:
    """Counts after contexts of one length; halves come from users who share their voices."""
    context = st.lists(st.integers(0, N - 1), min_size=size, max_size=size, unique=True).map(tuple)
    cell = st.tuples(context, st.integers(0, N - 1))
    return st.dictionaries(cell, st.integers(1, 24).map(lambda n: n / 2), max_size=25)


windows = st.tuples(*(counts_of(size) for size in (0, 1, 2, 3))).map(
    lambda counts: [sums(rows, size) for size, rows in enumerate(counts)]
)
configs = st.builds(
    EvidenceConfig,
    level=st.sampled_from(["instance", "instance", "global", "none"]),
    rank_by=st.sampled_from(["frequency", "trend"]),
    top=st.integers(1, 4),
    min_support=st.sampled_from([1.0, 3.0, 5.5]),
    hysteresis=st.sampled_from([0.0, 0.3, 1.0]),
)


@settings(deadline=None, max_examples=80)
@given(windows, windows, windows, configs, configs, st.frozensets(st.integers(0, N - 1), max_size=2))
def test_all_at_once_is_one_by_one(
    older: list[Sums],
    before: list[Sums],
    now: list[Sums],
    earlier: EvidenceConfig,
    config: EvidenceConfig,
    ineligible: frozenset[int],
) -> None:
    contexts = [*ALL, *permutations(range(4), 3)]
    prior_counts = (3.0, 10.0, 1.0)
    previous = choose(Window(before, older), contexts, N, prior_counts, earlier, {})
    choose(Window(now, before), contexts, N, prior_counts, config, previous, ineligible)  # compares
