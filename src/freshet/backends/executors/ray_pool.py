"""Workers of a Ray cluster that begin with something costly, such as loading a model, and then do many jobs.

A worker that dies, with its process or its machine, gives its job back; another takes its place. Workers
that are idle at the end stay for more of the same: whoever needs what they hold, such as a GPU, ends them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from freshet.backends.executors.ray_cluster import Cluster, Fit, need_ray, translated
from freshet.core.ports import Resources

Opened = Callable[[], Callable[[Any], Any]]


@dataclass
class Idle:
    """Workers without a job.

    Attributes:
        needs: of each.
        workers: (worker, what it has opened).
    """

    needs: Resources | None = None
    workers: list[tuple[Any, Opened]] = field(default_factory=list)

    def end(self) -> None:
        """Free what they hold."""
        for worker, _ in self.workers:
            _kill(worker)
        self.workers.clear()


IDLE = Idle()
"""One for a process, as the connection is: two executors must not wait for each other's workers."""


class PoolWorker:
    """One worker. What opening raises is an error of the work, so it is no part of starting the worker."""

    def __init__(self) -> None:
        self._work: Callable[[Any], Any] | None = None

    def open(self, fit: Fit, opened: Opened) -> None:
        """Get ready for jobs, in place of what was opened before."""
        fit.check()
        self._work = None
        self._work = opened()

    def do(self, job: Any) -> Any:
        """The result of one job."""
        assert self._work is not None
        return self._work(job)


class RayPool:
    """Jobs on their way through workers.

    Args:
        cluster: where the workers are started.
        opened, jobs, needs: see `Executor.pool`.
    """

    def __init__(
        self, cluster: Cluster, opened: Opened, jobs: Iterable[Any], needs: Resources | None
    ) -> None:
        self._ray, self._fit = need_ray(), cluster.fit
        self._cluster, self._needs, self._opened = cluster, needs, opened
        self._jobs = enumerate(jobs)
        self._again: deque[tuple[int, Any]] = deque()  # jobs without a worker: new ones, and lost ones
        self._lost: Counter[int] = Counter()  # number of a job -> how often
        self._deaths = 0  # of workers before they were open, one after the other
        self._doing: dict[Any, tuple[Any, tuple[int, Any] | None]] = {}  # ref -> worker, its job
        if needs != IDLE.needs:
            IDLE.end()
            IDLE.needs = needs
        with translated():
            self._shared = self._ray.put(opened)
            self._class = self._ray.remote(PoolWorker).options(**cluster.options(needs), max_restarts=0)

    def results(self) -> Iterator[tuple[int, Any]]:
        """(number, result) of every job, as they come."""
        try:
            while self._fill():
                for ref in self._finished():
                    worker, job = self._doing.pop(ref)
                    alive, value = self._result(ref, job)
                    if not alive:
                        _kill(worker)  # it may be out of reach alone
                        continue
                    self._give(worker)
                    if job is not None:
                        yield job[0], value
        finally:
            self._end()

    def _next(self) -> tuple[int, Any] | None:
        return self._again.popleft() if self._again else next(self._jobs, None)

    def _fill(self) -> bool:
        """Start as many workers as there is room for and as there are jobs; False where all jobs are done."""
        waiting = sum(job is None for _, job in self._doing.values())  # for their worker to be open
        free = self._cluster.room(self._needs) - len(self._doing)
        while len(self._again) < waiting + free and (job := next(self._jobs, None)) is not None:
            self._again.append(job)
        for _ in range(min(free, len(self._again) - waiting)):
            self._start()
        return bool(self._again) or any(job is not None for _, job in self._doing.values())

    def _start(self) -> None:
        """Put a worker to work, one that is there if there is one."""
        with translated():
            worker, has_open = IDLE.workers.pop() if IDLE.workers else (self._class.remote(), None)
            if has_open is self._opened:
                self._give(worker)
            else:
                self._doing[worker.open.remote(self._fit, self._shared)] = worker, None

    def _give(self, worker: Any) -> None:
        job = self._next()
        if job is None:
            IDLE.workers.append((worker, self._opened))
        else:
            with translated():
                self._doing[worker.do.remote(job[1])] = worker, job

    def _finished(self) -> list[Any]:
        with translated():
            done, _ = self._ray.wait(list(self._doing), num_returns=1, timeout=10.0, fetch_local=False)
        return list(done)

    def _result(self, ref: Any, job: tuple[int, Any] | None) -> tuple[bool, Any]:
        """Whether the worker lives, and what the job gave, if there was one."""
        errors = self._ray.exceptions
        with translated():
            try:
                value = self._ray.get(ref)
            except (errors.RayActorError, errors.ObjectLostError) as error:
                self._count(job, error)
                return False, None
        self._deaths = 0
        return True, value

    def _count(self, job: tuple[int, Any] | None, error: Exception) -> None:
        """Note that a worker died; give up where one job, or opening, kills one after another."""
        if job is None:
            self._deaths += 1
            often, what = self._deaths, "workers as they opened their work"
        else:
            self._again.append(job)
            self._lost[job[0]] += 1
            often = self._lost[job[0]]
            what = f"the worker of job {job[0]}"
        if often > self._cluster.config.retries:
            with translated(f"{what} {often} times"):
                raise error

    def _end(self) -> None:
        """No worker goes on with what nobody waits for."""
        for worker, _ in self._doing.values():
            _kill(worker)
        self._doing.clear()


def _kill(worker: Any) -> None:
    ray = need_ray()
    with suppress(ray.exceptions.RayError):  # where the cluster is gone, so are its workers
        ray.kill(worker)
