"""A model behind a server, read token by token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from freshet.backends.http_json import Failing, JsonClient, Refusal
from freshet.backends.planners.endpoint.chat_wire import BadAnswer
from freshet.backends.planners.endpoint.spending import Spending
from freshet.backends.planners.endpoint.token_wire import TokenDialect
from freshet.backends.planners.token_search import Answers, Decode, Question
from freshet.backends.telemetry import gen_ai
from freshet.core.errors import PlannerError, PlannerGone
from freshet.core.types import Usage

COMPLETIONS = "/completions"

T = TypeVar("T")
Body = Callable[[Sequence[Sequence[int]], Sequence[int]], dict[str, Any]]
"""Makes the body of a request from texts and the tokens that are asked about."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A request: texts that are asked about the same tokens, and the questions they belong to."""

    rows: tuple[int, ...]
    texts: tuple[Sequence[int], ...]
    wanted: tuple[int, ...]


@dataclass(slots=True)
class _Read:
    """What came of a request: an answer for each text, or why there is none."""

    part: _Part
    choices: list[Mapping[str, Any]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    failed: str = ""
    gone: str = ""


class TokenServer:
    """Reads a model by `/completions`, several requests at a time.

    Args:
        client: of the server.
        model: what the server calls it.
        dialect: how it is asked.
        limit: tokens that a text may have; None = not known.
        concurrency: requests under way at once.
        spending: budgets of the command.
    """

    def __init__(
        self,
        client: JsonClient,
        model: str,
        dialect: TokenDialect,
        limit: int | None,
        concurrency: int,
        spending: Spending,
    ) -> None:
        self.client = client
        self.model = model
        self.dialect = dialect
        self._limit = limit
        self._concurrency = concurrency
        self._spending = spending
        self._under_way: list[Usage] = []
        self._lock = Lock()

    @property
    def limit(self) -> int | None:
        return self._limit

    def requests(self, questions: int, wanted: int) -> int:
        return -(-questions // self.dialect.texts) * -(-wanted // self.dialect.most)

    def logprobs(self, asked: Sequence[Question]) -> Answers:
        most = self.dialect.most
        parts = [
            part
            for wanted, rows in _by_wanted(asked).items()
            for start in range(0, len(wanted), most)
            for part in self._parts(asked, rows, wanted[start : start + most])
        ]
        told: list[dict[int, float]] = [{} for _ in asked]
        usage, failures, gone, sent = Usage(), dict[int, str](), "", self.client.sent
        for read in self._all(parts, self.dialect.question):
            usage += read.usage
            gone = gone or read.gone
            if read.failed:
                failures |= dict.fromkeys(read.part.rows, read.failed)
            for row, choice in zip(read.part.rows, read.choices, strict=False):
                try:
                    found = read_choice(self.dialect.logprobs, choice, read.part.wanted)
                except BadAnswer as error:
                    failures[row] = str(error)
                else:
                    told[row].update(zip(read.part.wanted, found.tolist(), strict=True))
        usage += Usage(requests=self.client.sent - sent)
        logp = [_in_order(one, question.wanted) for one, question in zip(told, asked, strict=True)]
        return Answers(logp, usage, failures, gone)

    def mass(self, asked: Sequence[Question]) -> NDArray[np.float64]:
        most, shares = self.dialect.most, np.zeros(len(asked))
        for wanted, rows in _by_wanted(asked).items():
            for start in range(0, len(wanted), most):
                parts = self._parts(asked, rows, wanted[start : start + most])
                for row, share in self._sure(parts, self.dialect.whole, self.dialect.share):
                    shares[row] += share
        return shares.clip(max=1.0)

    def write(self, prompts: Sequence[Sequence[int]], most: int, end: int, decode: Decode) -> list[str]:
        found = [""] * len(prompts)
        asked = [Question(prompt, np.array([], np.int64)) for prompt in prompts]
        room = most
        if self._limit is not None and prompts:
            room = min(most, self._limit - max(map(len, prompts)))
        parts = self._parts(asked, range(len(asked)), ())

        def body(texts: Sequence[Sequence[int]], _: Sequence[int]) -> dict[str, Any]:
            return self.dialect.text(texts, room, end)

        def text(choice: Mapping[str, Any], _: Sequence[int]) -> str:
            return self.dialect.written(choice, end, decode)

        for row, written in self._sure(parts, body, text):
            found[row] = written
        return found

    def _parts(self, asked: Sequence[Question], rows: Sequence[int], wanted: Sequence[int]) -> list[_Part]:
        size = self.dialect.texts
        return [
            _Part(tuple(some), tuple(asked[row].tokens for row in some), tuple(wanted))
            for some in (rows[start : start + size] for start in range(0, len(rows), size))
        ]

    def _sure(
        self, parts: Sequence[_Part], body: Body, what: Callable[[Mapping[str, Any], Sequence[int]], T]
    ) -> Iterator[tuple[int, T]]:
        """(question, what was read in its answer) of all parts.

        Raises:
            PlannerGone: the server is gone.
            PlannerError: a question has no answer.
        """
        for read in self._all(parts, body):
            if read.gone:
                raise PlannerGone(read.gone)
            if read.failed:
                raise PlannerError(f"{self.client.base}: {read.failed}")
            for row, choice in zip(read.part.rows, read.choices, strict=True):
                try:
                    yield row, read_choice(what, choice, read.part.wanted)
                except BadAnswer as error:
                    raise PlannerError(f"{self.client.base}: {error}") from None

    def _all(self, parts: Sequence[_Part], body: Body) -> list[_Read]:
        """Send all parts; once the server is gone, or a budget is spent, the rest is not sent."""
        gone: list[str] = []

        def work(part: _Part) -> list[_Read]:
            if gone:
                return [_Read(part, gone=gone[0])]
            read = self._sent(part, body)
            if read.gone:
                gone.append(read.gone)
            if not read.failed or len(part.rows) == 1:
                return [read]
            return [read for half in _halves(part) for read in work(half)]

        if not parts:
            return []
        with ThreadPoolExecutor(min(self._concurrency, len(parts)), "planner") as pool:
            try:
                return [read for some in pool.map(work, parts) for read in some]
            except BaseException:  # interrupted: nobody waits for what was not sent yet
                gone.append("interrupted")
                self.client.stop()
                raise

    def _sent(self, part: _Part, body: Body) -> _Read:
        """What came of one request, kept within the budgets with all others under way."""
        expected = Usage(sum(map(len, part.texts)) + len(part.texts), written=len(part.texts))
        with self._lock:
            spent = self._spending.refusal(sum(self._under_way, expected))
            if spent:
                return _Read(part, gone=spent)
            self._under_way.append(expected)
        read = self._answered(part, {"model": self.model, **body(part.texts, part.wanted)})
        if read.choices and not read.usage.tokens:  # a server that doesn't count
            read.usage = expected
        with self._lock:
            self._under_way.remove(expected)
            self._spending.used += read.usage
        return read

    def _answered(self, part: _Part, content: dict[str, Any]) -> _Read:
        try:
            with gen_ai.call("text_completion", self.client.base, self.model, len(part.texts)) as call:
                choices, usage = self.client.asked(COMPLETIONS, content, read_completions(len(part.texts)))
                call.used(usage.tokens - usage.written, usage.written)
        except Refusal as refusal:
            if refusal.why == Failing.REFUSED:
                return _Read(part, failed=refusal.said)
            self.client.stop()  # the server's matter, not this request's
            hint = self.client.hint(refusal, "[planner]")
            return _Read(part, gone=f"{self.client.base}: {refusal.said}{'; ' if hint else ''}{hint}")
        return _Read(part, choices, usage)


def _by_wanted(asked: Sequence[Question]) -> dict[tuple[int, ...], list[int]]:
    """Questions by the tokens they are about."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, one in enumerate(asked):
        groups.setdefault(tuple(one.wanted.tolist()), []).append(row)
    return groups


def _halves(part: _Part) -> tuple[_Part, _Part]:
    middle = len(part.rows) // 2
    first = _Part(part.rows[:middle], part.texts[:middle], part.wanted)
    return first, _Part(part.rows[middle:], part.texts[middle:], part.wanted)


def read_completions(texts: int) -> Callable[[bytes], tuple[list[Mapping[str, Any]], Usage]]:
    """Reads an answer: its choices in the order of the texts, and what it cost."""

    def read(body: bytes) -> tuple[list[Mapping[str, Any]], Usage]:
        try:
            content = json.loads(body)
            choices = sorted(content["choices"], key=lambda choice: int(choice["index"]))
            usage = content.get("usage") or {}
            read_ = max(int(usage.get("prompt_tokens") or 0), 0)
            written = max(int(usage.get("completion_tokens") or 0), 0)
            places = [int(choice["index"]) for choice in choices]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
            raise Refusal(Failing.BUSY, f"the answer is no completion: {error}") from None
        if places != list(range(texts)):
            raise Refusal(Failing.REFUSED, f"completions came for the texts {places}, asked were {texts}")
        return choices, Usage(read_ + written, written=written)

    return read


def _in_order(told: Mapping[int, float], wanted: NDArray[np.int64]) -> NDArray[np.float64]:
    """(c,) log-probabilities in the order that was asked for; empty where one is missing."""
    if len(told) < len(wanted):
        return np.array([])
    return np.array([told[token] for token in wanted.tolist()])


def read_choice(
    what: Callable[[Mapping[str, Any], Sequence[int]], T], choice: Mapping[str, Any], wanted: Sequence[int]
) -> T:
    """What a dialect reads in a choice.

    Raises:
        BadAnswer: it isn't there.
    """
    try:
        return what(choice, wanted)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadAnswer(f"the answer lacks what was asked for: {type(error).__name__}: {error}") from None
