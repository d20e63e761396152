"""Group commit: every request gets the receipts of its own events, whatever they were written with."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.errors import StateError
from freshet.http.group_commit import GroupCommit
from freshet.http.problems import Refusal
from freshet.serving.messages import Event, Receipt


class Disk:
    """Records events slowly; what it is told of an event comes back as its receipt's `why`."""

    def __init__(self) -> None:
        self.commits: list[int] = []
        self.may = threading.Event()
        self.may.set()

    def record(self, events: Sequence[Event]) -> list[Receipt]:
        """As a recommender would."""
        self.may.wait()
        self.commits.append(len(events))
        return [Receipt("recorded", event.item) for event in events]


@pytest.fixture(scope="module")
def worker() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def posted(*items: str) -> list[Event]:
    return [Event("u", item) for item in items]


async def until(commits: GroupCommit, waiting: int) -> None:
    while commits.waiting < waiting:
        await asyncio.sleep(0)


@given(sizes=st.lists(st.integers(0, 7), min_size=1, max_size=20), together=st.integers(1, 12))
def test_receipts_are_those_of_the_request(
    sizes: list[int], together: int, worker: ThreadPoolExecutor
) -> None:
    disk = Disk()
    requests = [[f"{number}-{place}" for place in range(size)] for number, size in enumerate(sizes)]

    async def run() -> list[list[Receipt]]:
        commits = GroupCommit(disk.record, worker, 1000, together)
        found = await asyncio.gather(*(commits.record(posted(*items), 30) for items in requests))
        assert commits.waiting == 0
        return list(found)

    assert [[receipt.why for receipt in receipts] for receipts in asyncio.run(run())] == requests
    assert sum(disk.commits) == sum(sizes)
    assert max(disk.commits) <= max(together, *sizes)


def test_what_comes_during_a_commit_makes_up_the_next_one(worker: ThreadPoolExecutor) -> None:
    disk = Disk()

    async def run() -> None:
        commits = GroupCommit(disk.record, worker, 1000)
        disk.may.clear()
        first = asyncio.create_task(commits.record(posted("a"), 30))
        await until(commits, 1)
        await asyncio.sleep(0)
        rest = [asyncio.create_task(commits.record(posted("b", "c"), 30)) for _ in range(10)]
        await until(commits, 21)
        disk.may.set()
        await asyncio.gather(first, *rest)

    asyncio.run(run())
    assert disk.commits == [1, 20]


def test_what_finds_no_room_is_refused_and_the_rest_recorded(worker: ThreadPoolExecutor) -> None:
    disk = Disk()

    async def run() -> None:
        commits = GroupCommit(disk.record, worker, 3)
        disk.may.clear()
        taken = asyncio.create_task(commits.record(posted("a", "b"), 30))
        await until(commits, 2)
        with pytest.raises(Refusal, match="2 events wait") as refused:
            await commits.record(posted("c", "d"), 30)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "1"})
        disk.may.set()
        assert len(await taken) == 2

    asyncio.run(run())
    assert disk.commits == [2]


def test_who_waits_too_long_is_told_so_and_the_events_are_still_written(worker: ThreadPoolExecutor) -> None:
    disk = Disk()

    async def run() -> None:
        commits = GroupCommit(disk.record, worker, 100)
        disk.may.clear()
        with pytest.raises(Refusal, match="not written within"):
            await commits.record(posted("a"), 0.01)
        disk.may.set()
        await commits.drained()
        assert commits.waiting == 0

    asyncio.run(run())
    assert disk.commits == [1]


def test_a_store_out_of_reach_fails_those_that_wait_and_no_later_ones(worker: ThreadPoolExecutor) -> None:
    disk = Disk()
    failing = True

    def record(events: Sequence[Event]) -> list[Receipt]:
        if failing:
            raise StateError("out of reach", retryable=True)
        return disk.record(events)

    async def run() -> None:
        nonlocal failing
        commits = GroupCommit(record, worker, 100)
        found = await asyncio.gather(
            *(commits.record(posted("a"), 30) for _ in range(3)), return_exceptions=True
        )
        assert [type(error) for error in found] == [StateError] * 3
        failing = False
        assert len(await commits.record(posted("b"), 30)) == 1
        assert commits.waiting == 0

    asyncio.run(run())


def test_a_writer_that_is_gone_fails_requests_and_holds_none(worker: ThreadPoolExecutor) -> None:
    ended = ThreadPoolExecutor(1)
    ended.shutdown()

    def leave(_: Sequence[Event]) -> list[Receipt]:
        raise SystemExit(1)

    async def run() -> None:
        for broken, record, error in ((ended, Disk().record, StateError), (worker, leave, RuntimeError)):
            commits = GroupCommit(record, broken, 100)
            for _ in range(2):
                with pytest.raises(error):
                    await commits.record(posted("a"), 30)
            assert commits.waiting == 0
            await commits.drained()

    asyncio.run(run())
