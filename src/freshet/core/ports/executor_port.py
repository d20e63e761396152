"""Where the heavy parts of a run are computed: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from freshet.core.ports.run_ports import Progress, silent

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one job takes of a machine.

    Attributes:
        cpus: cores.
        gpus: accelerators, or parts of one.
        memory_gb: of main memory; 0 = not said.
        custom: named resources of a cluster, such as `{"a100": 1}`.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_gb: float = 0.0
    custom: dict[str, float] = field(default_factory=dict)


class Executor(Protocol):
    """Runs jobs. Which executor runs them makes no difference to what comes out.

    What is handed over (work, jobs, results) can be pickled: it may run in another process or on another
    machine, and twice, where a machine was lost. An error of the work is raised as it is. All methods raise
    `ExecutorLost` where the cluster is gone, or a job's machine was lost too often.
    """

    @property
    def name(self) -> str:
        """What a person configured, such as `local` or `ray`."""

    @property
    def slots(self) -> int:
        """Jobs of one core each that run at once."""

    def map(
        self, work: Callable[[Job], Result], jobs: Iterable[Job], needs: Resources | None = None
    ) -> Iterator[Result]:
        """The results of many short jobs, in the order of the jobs.

        Args:
            work: called from several threads at once where jobs share a process.
            jobs: taken as there is room for them; results are few at a time, too.
            needs: of each job; None = one core.
        """

    def pool(
        self,
        opened: Callable[[], Callable[[Job], Result]],
        jobs: Iterable[Job],
        needs: Resources | None = None,
    ) -> Iterator[tuple[int, Result]]:
        """(number of a job, its result), as they come, of work that is costly to begin with.

        Args:
            opened: gives the work, such as a model that was loaded; called once by each worker, which then
                does one job after the other.
            jobs: taken as there is room for them: what a caller learns from results decides about later ones.
            needs: of each worker; None = one core.
        """

    def call(
        self,
        work: Callable[[Job, Progress], Result],
        job: Job,
        needs: Resources | None = None,
        progress: Progress = silent,
    ) -> Result:
        """The result of one long job, which tells how far it is.

        Where its machine was lost it begins again, and may go on from what it kept in a folder.
        """
