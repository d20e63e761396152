"""A Ray cluster as executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

from freshet.backends.executors.ray_cluster import Cluster, Fit, need_ray, translated
from freshet.backends.executors.ray_pool import IDLE, RayPool
from freshet.core.config import RayConfig
from freshet.core.ports import Executor, Progress, Resources, silent

Job = TypeVar("Job")
Result = TypeVar("Result")

AHEAD = 2
"""Jobs in Ray's queue for each that runs, so that no worker waits for the driver."""

TELL = 0.5
"""Seconds between two words of a long job about how far it is."""


class RayExecutor(Executor):
    """Jobs are tasks of Ray, work that is costly to begin with goes to actors.

    Nothing is imported or connected before the first job.

    Args:
        config: the cluster.
        root: folder of the workspace, which every machine must see.
    """

    def __init__(self, config: RayConfig, root: Path) -> None:
        self._cluster = Cluster(config, root)

    @property
    def name(self) -> str:
        return "ray"

    @property
    def slots(self) -> int:
        return self._cluster.room(None)

    def map(
        self, work: Callable[[Job], Result], jobs: Iterable[Job], needs: Resources | None = None
    ) -> Iterator[Result]:
        ray, cluster = need_ray(), self._cluster
        waiting: deque[Any] = deque()
        numbered = enumerate(jobs)
        first = next(numbered, None)
        if first is None:
            return
        IDLE.end()
        with translated():
            task = ray.remote(_done).options(**cluster.options(needs), max_retries=cluster.config.retries)
            shared = ray.put(work)
            waiting.append(task.remote(cluster.fit, shared, first[1]))
        try:
            most, done = AHEAD * cluster.room(needs), 0
            for _, job in numbered:
                with translated():
                    waiting.append(task.remote(cluster.fit, shared, job))
                if len(waiting) > most:
                    yield self._get(waiting, done)
                    done += 1
            while waiting:
                yield self._get(waiting, done)
                done += 1
        finally:
            for ref in waiting:
                ray.cancel(ref)

    def pool(
        self,
        opened: Callable[[], Callable[[Job], Result]],
        jobs: Iterable[Job],
        needs: Resources | None = None,
    ) -> Iterator[tuple[int, Result]]:
        return RayPool(self._cluster, opened, jobs, needs).results()

    def call(
        self,
        work: Callable[[Job, Progress], Result],
        job: Job,
        needs: Resources | None = None,
        progress: Progress = silent,
    ) -> Result:
        IDLE.end()
        ray, cluster = need_ray(), self._cluster
        options = cluster.options(needs)
        with translated("the job"):
            # begun anew where its machine is lost: what was told is told again, and a job needs no board
            board = ray.remote(Board).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
            once = ray.remote(max_calls=1)(_called)  # what it held is free when its process ends
            task = once.options(**options, max_retries=cluster.config.retries)
            ref = task.remote(cluster.fit, board, work, job)
        told, ended = (0, 0), False
        try:
            while True:
                with translated("the job"):
                    done, _ = ray.wait([ref], timeout=1.0)
                    now = (0, 0) if progress is silent else ray.get(board.latest.remote())
                if now not in ((0, 0), told):
                    told = now
                    progress(*told)
                if done:
                    ended = True
                    with translated("the job"):
                        result: Result = ray.get(ref)
                    return result
        finally:
            if not ended:  # Ray ends the whole process where a task is done and cancelled at once
                ray.cancel(ref, force=True)
            ray.kill(board)

    def _get(self, waiting: deque[Any], number: int) -> Any:
        with translated(f"job {number}"):
            return need_ray().get(waiting.popleft())


class Board:
    """Where a long job writes how far it is, and its driver reads it."""

    def __init__(self) -> None:
        self._latest = 0, 0

    def tell(self, done: int, total: int) -> None:
        """So much of so much."""
        self._latest = done, total

    def latest(self) -> tuple[int, int]:
        """What was told last."""
        return self._latest


def _done(fit: Fit, work: Callable[[Any], Any], job: Any) -> Any:
    """A task."""
    fit.check()
    return work(job)


def _called(fit: Fit, board: Any, work: Callable[[Any, Progress], Any], job: Any) -> Any:
    """A task that tells how far it is."""
    fit.check()
    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = monotonic()
        if done >= total or now - last >= TELL:
            last = now
            said = board.tell.remote(done, total)
            if done >= total:  # which must be there before the job is seen to be done
                need_ray().get(said)

    return work(job, progress)
