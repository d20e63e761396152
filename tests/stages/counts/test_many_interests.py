"""What is computed otherwise where interests are in the thousands is the same."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from freshet.stages.counts import RowByRow
from freshet.stages.counts.count_model import ContextCounts, CountedRows, _shrink
from freshet.stages.table import enumerate_contexts
from tests.stages.counts.test_single_user_scorer import N, scorer
from tests.stages.counts.worlds import random_sums


@pytest.mark.parametrize("of_each", [False, True])
def test_rows_made_when_asked_for_are_those_of_all(of_each: bool) -> None:
    random = np.random.default_rng(0)
    sums = random_sums(N, 1, 3)
    towards = random.dirichlet(np.ones(N), N if of_each else None)
    rows = CountedRows(ContextCounts.of(sums, N), towards, 3.0)
    counts = np.zeros((N, N))
    np.add.at(counts, (sums.contexts[:, 0], sums.successor), sums.weight)
    whole = _shrink(counts, towards, 3.0)
    assert np.array_equal(rows.whole(), whole)
    asked = np.array([2, 0, 2, N - 1], np.int16)
    assert np.array_equal(rows.take(asked), whole[asked])


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("planner", ["", "alone", "relative"])
@pytest.mark.parametrize("sequence", [False, True])
def test_row_by_row_scores_are_those_of_the_scorer(k: int, planner: str, sequence: bool) -> None:
    mixture = scorer(k, 1, planner, sequence, beside=bool(planner or sequence))
    triples = np.array([*permutations(range(N), 3)], np.int16) if k == 3 else None
    contexts = enumerate_contexts(N, k, triples)
    excluded = np.zeros((len(contexts), N + 1), bool)
    excluded[np.arange(len(contexts))[:, None], contexts.astype(np.int64)] = True
    excluded = excluded[:, :N]
    expected, found = mixture(contexts, excluded), RowByRow.of(mixture)(contexts, excluded)
    for name in ("count", "fused", "planner"):
        one, other = getattr(expected, name), getattr(found, name)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
