"""Where the heavy parts of a run are computed: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

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
    """Runs jobs. Which executor runs them makes no difference to what comes out."""

    @property
    def name(self) -> str:
        """What a person configured, such as `local` or `ray`."""

    @property
    def slots(self) -> int:
        """Jobs of one core each that run at once."""

    def map(
        self, work: Callable[[Job], Result], jobs: Iterable[Job], needs: Resources | None = None
    ) -> Iterator[Result]:
        """The results in the order of the jobs; an error of `work` is raised as it is.

        Args:
            work: a function of a module, and jobs that can be pickled: they may run in another process, on
                another machine, and twice, where a machine was lost.
            needs: of each job; None = one core.

        Raises:
            ExecutorLost: the cluster is gone; what was committed so far is kept. Retryable.
        """
