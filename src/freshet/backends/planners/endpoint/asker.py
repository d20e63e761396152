"""Asking many requests at once, storing each answer before it counts, and stopping when it is no use."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue

from freshet.backends.http_json import LONGEST_WAIT, Failing, Refusal
from freshet.backends.planners.endpoint.answer_store import AnswerStore
from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest
from freshet.backends.planners.endpoint.chat_server import ChatServer
from freshet.backends.planners.endpoint.spending import Spending
from freshet.core.types import Usage

GIVEN_UP = 3
"""Requests in a row that no try got through for, after which the server counts as gone."""

REFUSED = 20
"""Requests in a row that were refused, after which the rest is not asked: the reason is no single prompt."""

MOMENT = 0.02
"""Seconds in which answers are gathered to be stored together."""

QUEUE = 4
"""Requests under way or waiting, for each thread: enough to go on with while answers are stored, and the most
that a killed run can have had answered and not stored."""


@dataclass(slots=True)
class Answered:
    """What became of requests, by their identity.

    Attributes:
        answers: those that were answered, now or earlier.
        failures: why others were not.
        usage: of what was sent now.
        gone: why some were not asked, '' where all were; those have neither answer nor failure.
    """

    answers: dict[str, ChatAnswer]
    failures: dict[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    gone: str = ""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    future: Future[ChatAnswer]
    expected: Usage


class Asker:
    """Sends requests to a server, none whose answer is stored.

    Args:
        server: may be asked by several threads.
        store: where answers are kept.
        spending: budgets of the command.
        concurrency: requests under way at once.
        estimate: expected usage of a request, by which budgets are kept before it is sent.
    """

    def __init__(
        self,
        server: ChatServer,
        store: AnswerStore,
        spending: Spending,
        concurrency: int,
        estimate: Callable[[ChatRequest], Usage],
    ) -> None:
        self._server = server
        self._store = store
        self._spending = spending
        self._concurrency = concurrency
        self._estimate = estimate
        self._given_up = self._refused = 0

    def answers(self, requests: Mapping[str, ChatRequest]) -> Answered:
        """The answers to requests, by identity: from the store, else from the server.

        Interrupted, it sends no more, waits for what is under way, and stores what that brings.
        """
        found = Answered(self._store.find(requests))
        waiting = deque(name for name in requests if name not in found.answers)
        if not waiting:
            return found
        sent = self._server.client.sent
        under_way: dict[str, _UnderWay] = {}
        unanswered: dict[str, str] = {}
        ended: SimpleQueue[str] = SimpleQueue()
        pool = ThreadPoolExecutor(min(self._concurrency, len(waiting)), "planner")
        try:
            while waiting or under_way:
                while waiting and len(under_way) < QUEUE * self._concurrency:
                    expected = self._estimate(requests[waiting[0]])
                    if self._spending.limited:
                        found.gone = found.gone or self._spending.refusal(expected + _sum(under_way))
                    if found.gone:
                        break
                    name = waiting.popleft()
                    future = pool.submit(self._server.ask, requests[name])
                    under_way[name] = _UnderWay(future, expected)
                    future.add_done_callback(lambda _, name=name: ended.put(name))  # type: ignore[misc]
                if under_way:
                    names = _together(ended, len(under_way))
                    self._take({name: under_way.pop(name) for name in names}, found, unanswered)
                if found.gone:
                    waiting.clear()
                    for one in under_way.values():
                        one.future.cancel()
            if not found.gone:
                found.failures |= unanswered
        finally:
            if under_way:
                self._server.client.stop()
            pool.shutdown(cancel_futures=True)
            if under_way:
                self._take(under_way, found, unanswered)
        found.usage += Usage(requests=self._server.client.sent - sent)
        return found

    def _take(self, ended: Mapping[str, _UnderWay], found: Answered, unanswered: dict[str, str]) -> None:
        """Store the answers of requests that ended, then count them; note why the others have none.

        `unanswered` gets those that the server may answer another time: where it turns out to be gone, they
        are not the prompts' fault.
        """
        answers: dict[str, ChatAnswer] = {}
        for name, one in ended.items():
            if one.future.cancelled():
                continue
            try:
                answer = answers[name] = one.future.result()
            except Refusal as refusal:
                why = found.failures if refusal.why == Failing.REFUSED else unanswered
                why[name] = refusal.said
                found.gone = found.gone or self._gone(refusal)
                continue
            self._given_up = self._refused = 0
            counted = answer.read + answer.written  # 0 where the server doesn't count
            usage = Usage(counted, written=answer.written) if counted else one.expected
            found.usage += usage
            self._spending.used += usage
        self._store.keep(answers)
        found.answers |= answers

    def _gone(self, refusal: Refusal) -> str:
        """Why no request will be answered any more after this refusal, '' where the next one may be."""
        if refusal.passing:
            self._given_up += 1
        else:
            self._refused += 1
        lost = refusal.why in (Failing.KEY, Failing.SPENT) or refusal.wait > LONGEST_WAIT
        if not (lost or self._given_up >= GIVEN_UP or self._refused >= REFUSED):
            return ""
        self._server.client.stop()  # who waits to try again need not
        client = self._server.client
        hint = client.hint(refusal, "[planner]")
        return f"{client.base}: {refusal.said}{'; ' if hint else ''}{hint}"


def _together(ended: SimpleQueue[str], under_way: int) -> list[str]:
    """Requests that ended within a moment, at least one: what is stored together costs one write."""
    names = [ended.get()]
    if ended.qsize() + 1 < under_way:
        time.sleep(MOMENT)
    while not ended.empty():
        names.append(ended.get())
    return names


def _sum(under_way: Mapping[str, _UnderWay]) -> Usage:
    return sum((one.expected for one in under_way.values()), Usage())
