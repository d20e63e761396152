"""This machine as executor: short jobs in threads, long ones where they are asked for."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from freshet.core.ports import Executor, Progress, Resources, silent

Job = TypeVar("Job")
Result = TypeVar("Result")


class LocalExecutor(Executor):
    """Threads of this process.

    Args:
        threads: jobs that run at once; the cores, at most 8, by default.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or min(8, os.cpu_count() or 1)

    @property
    def name(self) -> str:
        return "local"

    @property
    def slots(self) -> int:
        return self._threads

    def map(
        self,
        work: Callable[[Job], Result],
        jobs: Iterable[Job],
        needs: Resources | None = None,  # noqa: ARG002 - a machine has what it has
    ) -> Iterator[Result]:
        waiting: deque[Future[Result]] = deque()
        # one thread more than there are cores, since some wait for the disk
        with ThreadPoolExecutor(self._threads + 1) as threads:
            try:
                for job in jobs:
                    waiting.append(threads.submit(work, job))
                    if len(waiting) > 2 * self._threads + 1:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def pool(
        self,
        opened: Callable[[], Callable[[Job], Result]],
        jobs: Iterable[Job],
        needs: Resources | None = None,  # noqa: ARG002
    ) -> Iterator[tuple[int, Result]]:
        """One after the other in this thread: what is costly to begin with uses all cores by itself."""
        work: Callable[[Job], Result] | None = None
        for number, job in enumerate(jobs):
            work = work or opened()
            yield number, work(job)

    def call(
        self,
        work: Callable[[Job, Progress], Result],
        job: Job,
        needs: Resources | None = None,  # noqa: ARG002
        progress: Progress = silent,
    ) -> Result:
        return work(job, progress)
