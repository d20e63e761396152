"""Weights of popularity, newness and histories, and how rankings are judged, against known answers."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.stages.items import Engagements, Rows, design, evaluate, fit_weights, interval
from freshet.stages.items.prior_weights import Design
from tests.stages.items.test_item_histories import log

START = np.array([0, 2, 4, 5])


def test_weights_are_found_again_and_none_is_negative() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(20_000, 6, 3)).astype(np.float32)
    wanted = np.array([1.0, 0.3, -0.5])
    scores = features @ wanted + random.gumbel(size=(20_000, 6))
    found, nats = fit_weights(Design(features, scores.argmax(axis=1), np.ones((20_000, 6), bool)))
    assert found[2] == 0
    assert found[0] / found[1] == pytest.approx(1 / 0.3, rel=0.15)
    assert nats < np.log(6)


def test_a_choice_is_among_the_items_of_the_interest_that_were_there_and_new_to_the_user() -> None:
    events = log((1, 0, 0), (2, 0, 1), (3, 0, 2), (4, 9, 3), (5, 10, 1))
    rows = Rows(
        np.array([5, 6]),
        np.array([10, 10], np.int32),
        np.array([[-1, 0], [-1, -1]], np.int32),
        np.array([1, 2], np.int32),
        np.array([True, True]),
        np.array([0, 1]),
    )
    found = design(events, rows, START, 4, (8.0,))
    assert found.candidate.tolist() == [[False, True], [True, False]]  # item 3 came within the window
    assert found.chosen.tolist() == [1, 0]
    assert found.features.shape == (2, 2, 2)


def test_hits_and_gains_are_those_of_the_places() -> None:
    start = np.array([0, 20])
    first = np.zeros(20, np.int32)
    first[19] = 99  # not there yet
    events = Engagements(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), first)
    rows = Rows(
        np.array([1, 1, 2, 3]),
        np.full(4, 10, np.int32),
        np.array([[0], [0], [-1], [-1]], np.int32),
        np.array([1, 3, 12, 19], np.int32),
        np.ones(4, bool),
        np.array([0, 0, 1, 2]),
    )
    by_number = lambda before, day, asked: np.tile(-np.arange(20.0), (len(asked), 1))  # noqa: E731
    found = evaluate(events, rows, start, rows.day, {"number": by_number})
    assert found.hit["number"].tolist() == [1, 0, 0]  # item 0 is seen: 1 and 3 stand at 0 and 2
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(found.gain["number"], [(1 + 1 / np.log2(4)) / ideal, 0, 0])
    assert found.history.tolist() == [True, False, False]


def test_equal_scores_share_the_middle_of_their_places() -> None:
    events = Engagements(
        np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(30, np.int32)
    )
    rows = Rows(
        np.array([1]),
        np.array([5], np.int32),
        np.array([[-1]], np.int32),
        np.array([0], np.int32),
        np.ones(1, bool),
        np.zeros(1, np.int64),
    )
    found = evaluate(
        events, rows, np.array([0, 30]), rows.day, {"same": lambda before, day, asked: np.zeros((1, 30))}
    )
    assert found.hit["same"].tolist() == [0]


def test_an_interval_takes_users_as_wholes() -> None:
    values = np.repeat([1.0, 0.0], 50)
    alone = interval(values, np.arange(100))
    co_engagement = interval(values, np.repeat([1, 2], 50))
    assert alone["value"] == co_engagement["value"] == 0.5
    assert co_engagement["high"] - co_engagement["low"] > 3 * (alone["high"] - alone["low"])
