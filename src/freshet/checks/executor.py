"""What every executor promises."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from freshet.core.errors import InputError
from freshet.core.ports import Executor, Progress

JOBS = 20


def check_executor(executor: Executor, folder: Path, kills: bool = False) -> None:
    """Run an executor through its port's contract.

    Args:
        folder: an empty one, which jobs can read and write.
        kills: jobs run in processes of their own, of which some are killed here.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """
    assert executor.slots >= 1, "an executor without slots runs nothing"
    _check_map(executor)
    _check_pool(executor, folder)
    _check_call(executor)
    _check_errors(executor)
    if kills:
        _check_kills(executor, folder)


def _check_map(executor: Executor) -> None:
    """Results come in the order of the jobs, which are taken as there is room."""
    assert list(executor.map(_later_first, range(JOBS))) == list(range(JOBS)), "map(): results out of order"
    assert list(executor.map(_later_first, [])) == [], "map(): no jobs, but results"
    taken: list[int] = []

    def endless() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    results = executor.map(_later_first, endless())
    assert [next(results) for _ in range(3)] == [0, 1, 2], "map(): results out of order"
    assert len(taken) < 5_000, f"map(): {len(taken)} jobs were taken for 3 results"


def _check_pool(executor: Executor, folder: Path) -> None:
    """Every job is done once, by work that each worker opened once."""
    found = dict(executor.pool(_Opened(folder), range(JOBS)))
    assert sorted(found) == list(range(JOBS)), f"pool(): jobs {sorted(found)} have results"
    assert all(value == 2 * number for number, value in found.items()), "pool(): a result of another job"
    opened = len(list(folder.glob("opened-*")))
    assert 1 <= opened <= JOBS, f"pool(): the work was opened {opened} times for {JOBS} jobs"
    assert dict(executor.pool(_Opened(folder), [])) == {}, "pool(): no jobs, but results"


def _check_call(executor: Executor) -> None:
    """The result, and how far the job came."""
    told: list[tuple[int, int]] = []
    found = executor.call(_long, 3, progress=lambda done, total: told.append((done, total)))
    assert found == 9, f"call(): {found}, expected 9"
    assert told, "call(): nothing was told of its progress"
    assert told[-1] == (3, 3), f"call(): told {told[-1]} last, expected (3, 3)"


def _check_errors(executor: Executor) -> None:
    """What the work raises is raised as it is."""
    tries = (
        lambda: list(executor.map(_refuse, range(3))),
        lambda: list(executor.pool(_Refusing, range(3))),
        lambda: list(executor.pool(_refuse_to_open, range(3))),
        lambda: executor.call(_refuse_long, 2),
    )
    for run in tries:
        raised: InputError | None = None
        try:
            run()
        except InputError as error:
            raised = error
        assert raised is not None, "an error of the work was swallowed"
        assert type(raised) is InputError, f"{type(raised)} was raised, not the error of the job"
        assert raised.message == "job 2 is wrong", f"the message became {raised.message!r}"
        assert raised.hint == "mend it", f"the hint became {raised.hint!r}"


def _check_kills(executor: Executor, folder: Path) -> None:
    """A job whose process is killed is done again; one that always is, is given up with an error."""
    found = list(executor.map(_KilledOnce(folder), range(JOBS)))
    assert found == list(range(JOBS)), f"map(): {found} after a killed worker"
    pooled = dict(executor.pool(_OpenedToBeKilled(folder), range(JOBS)))
    assert pooled == {number: number for number in range(JOBS)}, f"pool(): {pooled} after a killed worker"
    assert executor.call(_KilledLong(folder), 5) == 5, "call(): another result after a killed worker"


def _later_first(job: int) -> int:
    sleep(0.01 if job % 2 == 0 else 0.0)
    return job


@dataclass(frozen=True)
class _Opened:
    folder: Path

    def __call__(self) -> _Doubling:
        (self.folder / f"opened-{os.getpid()}-{os.urandom(4).hex()}").touch()
        return _Doubling()


class _Doubling:
    def __call__(self, job: int) -> int:
        return 2 * job


def _long(job: int, progress: Progress) -> int:
    for done in range(job):
        progress(done + 1, job)
    return job**2


def _refuse(job: int) -> int:
    if job == 2:
        raise InputError("job 2 is wrong", hint="mend it")
    return job


class _Refusing:
    def __call__(self, job: int) -> int:
        return _refuse(job)


def _refuse_to_open() -> _Refusing:
    raise InputError("job 2 is wrong", hint="mend it")


def _refuse_long(job: int, progress: Progress) -> int:
    progress(1, 2)
    return _refuse(job)


@dataclass(frozen=True)
class _KilledOnce:
    folder: Path
    mark: str = "map"

    def __call__(self, job: int) -> int:
        killed = self.folder / f"killed-{self.mark}"
        if job == 5 and not killed.exists():
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return job


@dataclass(frozen=True)
class _OpenedToBeKilled:
    folder: Path

    def __call__(self) -> _KilledOnce:
        return _KilledOnce(self.folder, "pool")


@dataclass(frozen=True)
class _KilledLong:
    folder: Path

    def __call__(self, job: int, progress: Progress) -> int:
        progress(job, job)
        return _KilledOnce(self.folder, "call")(job)
