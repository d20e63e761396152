"""Endpoints called in this process: what a long batch may take of everybody's time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from freshet.core.config import HttpConfig
from freshet.http import endpoints
from freshet.http.endpoints import Endpoints
from freshet.http.group_commit import GroupCommit
from freshet.http.problems import Refusal
from freshet.http.prometheus import Metrics
from freshet.http.schemas import ExploreRequest
from freshet.http.service import Service
from freshet.serving import Recommender
from freshet.wiring import open_recommender

QUERY = ExploreRequest(interests=2, items=2)


@pytest.fixture
def recommender(copy: Path) -> Iterator[Recommender]:
    found = open_recommender(copy)
    yield found
    found.close()


def served(recommender: Recommender, limits: HttpConfig) -> Endpoints:
    """Endpoints that record nothing."""
    none = cast(Any, None)
    service = Service(recommender, limits, none, none, Metrics(), none)
    return Endpoints(service, cast(GroupCommit, None))


def test_a_batch_lets_others_have_their_turn(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "BREATH", 0.0)

    async def turns() -> int:
        batch = asyncio.create_task(served(recommender, HttpConfig()).explore_batch([QUERY] * 6))
        count = 0
        while not batch.done():
            await asyncio.sleep(0)
            count += 1
        assert batch.result().status_code == 200
        return count

    assert asyncio.run(turns()) > 5


def test_a_batch_ends_at_its_deadline(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "BREATH", 0.0)
    with pytest.raises(Refusal, match="not answered within") as refused:
        asyncio.run(served(recommender, HttpConfig(seconds=1e-9)).explore_batch([QUERY] * 2))
    assert refused.value.status == 503


def test_a_batch_may_not_ask_for_any_number_of_items(recommender: Recommender) -> None:
    four = [ExploreRequest(interests=100, items=100)] * 4
    with pytest.raises(Refusal, match="40,000 items in one request, at most 30,000") as refused:
        asyncio.run(served(recommender, HttpConfig()).explore_batch(four))
    assert refused.value.status == 413
