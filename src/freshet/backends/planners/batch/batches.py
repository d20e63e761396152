"""The batches of a workspace: what is written to be asked, what came back, and what is still out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Protocol

from freshet.backends.planners.batch.batch_index import BatchIndex, State
from freshet.backends.planners.batch.layout import BadLine, Layout, Result
from freshet.backends.planners.batch.request_files import RequestFile, write_requests
from freshet.backends.planners.batch.result_files import lines_of, results_of
from freshet.backends.planners.endpoint.chat import ChatAnswer, ChatRequest
from freshet.core.types import Usage

FOLDER = "batches"
"""Of a workspace."""

_TOGETHER = 1000
"""Results that are stored in one go."""


class Answers(Protocol):
    """Where answers are kept by the id of their request."""

    def find(self, ids: Iterable[str]) -> dict[str, ChatAnswer]:
        """Those that are there."""

    def keep(self, answers: Mapping[str, ChatAnswer]) -> None:
        """Make answers durable."""


@dataclass(slots=True)
class Taken:
    """What results files held.

    Attributes:
        answered: requests that have an answer now and had none before.
        repeated: answers to requests that were answered already; the first one counts.
        failed, unasked: requests without an answer; see `Result.unasked`.
        unknown: lines of requests that no batch of this workspace holds.
        unreadable: (file, line number, reason) of lines that are of no layout.
        read, written: tokens of the answers that are new.
        problems: how often each problem occurred.
    """

    answered: int = 0
    repeated: int = 0
    failed: int = 0
    unasked: int = 0
    unknown: int = 0
    unreadable: list[tuple[str, int, str]] = field(default_factory=list)
    read: int = 0
    written: int = 0
    problems: dict[str, int] = field(default_factory=dict)

    def add(self, more: Taken) -> None:
        """Join what another file held."""
        for name in ("answered", "repeated", "failed", "unasked", "unknown", "read", "written"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        self.unreadable += more.unreadable
        for problem, times in more.problems.items():
            self.problems[problem] = self.problems.get(problem, 0) + times


class Batches:
    """The batches of a workspace.

    Args:
        root: of the workspace.
        answers: where answers go.
    """

    def __init__(self, root: Path, answers: Answers) -> None:
        self.index = BatchIndex(root / FOLDER)
        self._answers = answers

    def write(
        self,
        layout: Layout,
        requests: Mapping[str, ChatRequest],
        *,
        model: str,
        planner: str,
        expected: Usage,
    ) -> tuple[int, list[RequestFile]]:
        """Write requests as a new batch; returns its number and files.

        Raises:
            PlannerError: one request alone is longer than a file may be.
        """
        number = self.index.next()
        named = ((f"{key}-{number}", request) for key, request in requests.items())
        files = write_requests(self.index.folder(number), layout, named)
        self.index.add(
            number,
            [RequestFile(file.name, tuple(map(_key, file.ids)), file.size) for file in files],
            layout=layout.name,
            model=model,
            planner=planner,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            expected=expected,
        )
        return number, files

    def take(self, path: Path) -> Taken:
        """Take a file of results in; what was taken in before changes nothing.

        Raises:
            InputError: it can't be read.
        """
        taken = Taken()
        results = results_of(lines_of(path))
        while part := list(islice(results, _TOGETHER)):
            bad = [(path.name, number, str(result)) for number, result in part if isinstance(result, BadLine)]
            taken.unreadable += bad
            self._take([result for _, result in part if isinstance(result, Result)], taken)
        return taken

    def _take(self, results: list[Result], taken: Taken) -> None:
        keys = [_key(result.name) for result in results]
        known, answered = self.index.knows(keys), set(self._answers.find(keys))
        new: dict[str, ChatAnswer] = {}
        settled: list[tuple[str, int, State, str]] = []
        for key, result in zip(keys, results, strict=True):
            number = result.name.rpartition("-")[2]
            batch = int(number) if number.isascii() and number.isdigit() else 0
            if (key, batch) not in known:
                taken.unknown += 1
            elif result.answer is not None:
                if key in answered or key in new:
                    taken.repeated += 1
                else:
                    new[key] = result.answer
                settled.append((key, batch, "answered", ""))
            else:
                state: State = "unasked" if result.unasked else "failed"
                taken.unasked += result.unasked
                taken.failed += not result.unasked
                taken.problems[result.problem] = taken.problems.get(result.problem, 0) + 1
                settled.append((key, batch, state, result.problem))
        self._answers.keep(new)  # before the index says so
        self.index.settle(settled)
        taken.answered += len(new)
        taken.read += sum(answer.read for answer in new.values())
        taken.written += sum(answer.written for answer in new.values())


def _key(name: str) -> str:
    """The id of a request by its name in a file, which ends with the batch's number."""
    return name.rpartition("-")[0]
