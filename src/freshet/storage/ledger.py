"""The ledger: what every run read, wrote, cost and ended as. Measured costs live here and nowhere else."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError

from freshet.core import safe_names as names
from freshet.core import tracing
from freshet.core.config import PricesConfig
from freshet.core.errors import ArtifactError, DiskFull, FreshetError
from freshet.core.ports import Progress, silent
from freshet.core.time import utc_now
from freshet.core.types import Usage
from freshet.storage.durable import is_full, read_json, readable, write_json, write_text
from freshet.storage.lease import Lease
from freshet.storage.run_log import RunLog

LIBRARIES = ("freshet", "duckdb", "numpy", "scikit-learn", "torch", "transformers", "trl", "peft")
STOPPED = ("Stopped", "KeyboardInterrupt")
"""Errors that are somebody's wish."""
Made = TypeVar("Made")
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""What a newer Freshet has added is not lost silently."""


class Reporter(Protocol):
    """Whoever watches a run: a terminal, a test, nobody."""

    def say(self, text: str) -> None:
        """A line for a person."""

    def progress(self, name: str) -> Progress:
        """A callback to report long work under a name."""


class Quiet:
    """A reporter that shows nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, name: str) -> Progress:  # noqa: ARG002
        return silent


@dataclass(slots=True)
class StepRecord:
    """One step of a run.

    Attributes:
        artifact: `kind/version`; `cached`: it was there already.
        seconds, peak_mb, money: measured cost; peak_mb is of the process so far.
        written: those of the tokens that a model wrote.
        requests: sent to a server of a model.
        trained: tokens that a provider fine-tuned a model on.
        details: of the step, as JSON.
        started: when it began (ISO, UTC); '' in records of older versions. `failed`: it ended by an error.
    """

    name: str
    artifact: str = ""
    cached: bool = False
    seconds: float = 0.0
    tokens: int = 0
    flops: float = 0.0
    peak_mb: float = 0.0
    money: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)
    written: int = 0
    requests: int = 0
    trained: int = 0
    started: str = ""
    failed: bool = False
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    def add(self, usage: Usage) -> None:
        self.tokens += usage.tokens
        self.flops += usage.flops
        self.written += usage.written
        self.requests += usage.requests
        self.trained += usage.trained


@dataclass(slots=True)
class Record:
    """One run.

    `outcome` is running, done, waiting (a gate or check halted it for review), approved, rejected, failed, or
    pending (answers of a planner come later; the same command goes on then). `newest`: as_of was the newest
    moment when the run began, or the one that it goes on for. `settings`: those that decide what is made and
    are not at their default, by `section.key`. `error`: name of the error that ended it, '' where none did;
    `retryable`: the same command may succeed later.
    """

    id: str
    command: str
    as_of: str
    started: str
    outcome: str = "running"
    seconds: float = 0.0
    money: float = 0.0
    currency: str = "USD"
    window: tuple[str, str] | None = None
    steps: list[StepRecord] = field(default_factory=list)
    release: int | None = None
    message: str = ""
    waiting: dict[str, Any] | None = None
    reviewer: str = ""
    libraries: dict[str, str] = field(default_factory=dict)
    newest: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    retryable: bool = False
    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    @property
    def was_stopped(self) -> bool:
        """Somebody wanted it to end."""
        return self.outcome == "failed" and self.error in STOPPED

    def failed_since(self, moment: datetime) -> bool:
        """It began then or later and failed, by nobody's wish."""
        failed = self.outcome == "failed" and not self.was_stopped
        return failed and datetime.fromisoformat(self.started) >= moment

    @classmethod
    def from_dict(cls, data: object) -> Record:
        """What a file holds; raises ValueError where that is no record of this Freshet."""
        record: Record = _READER.validate_python(data)
        if datetime.fromisoformat(record.started).tzinfo is None:
            raise ValueError(f"started: {record.started!r} has no zone")
        return record


_READER = TypeAdapter(Record)


class Ledger:
    """All runs of a workspace: `runs/<id>.json`, ids in order of start.

    Args:
        clock: tells when a run starts.
    """

    def __init__(self, root: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self.folder = root / "runs"
        self.clock = clock

    def records(self, last: int | None = None) -> list[Record]:
        """All runs, in order of their start; shared, as those of `newest_first`: nobody changes one.

        Args:
            last: so many of them at most, the latest.
        """
        paths = self.paths()
        return [_lately(path, identity(path)) for path in (paths if last is None else paths[-last:])]

    def newest_first(self) -> Iterator[Record]:
        """All runs, the last one first, each read when it is asked for."""
        return (_lately(path, identity(path)) for path in reversed(self.paths()))

    def get(self, run: str) -> Record:
        """The record of a run, whose id may be given without its leading zeros.

        Raises:
            ArtifactError: there is no such run, or its record is damaged.
        """
        number = names.number(run)
        path = self.folder / f"{number or 0:05d}.json"
        if number is None or not path.exists():
            raise ArtifactError(
                f"there is no run {names.shortened(run)}", hint="`freshet history` lists the runs"
            )
        return _record(path)

    def digest(self, path: Path, of: Callable[[Record], Made]) -> Made:
        """What a function makes of the record in a file: made again only where the file is another one.

        A look at all runs costs a look at their files then, however many there are.

        Args:
            of: one that lasts, such as a function of a module; what it returns is shared: nobody changes it.

        Raises:
            ArtifactError: the record is damaged, or gone.
        """
        made: Made = _digest(path, identity(path), of)
        return made

    def trainings(self, artifact: str) -> dict[str, dict[str, Any]]:
        """How the trainings of an artifact ended the first time, by name; see `Trainings.ended`."""
        found: dict[str, dict[str, Any]] = {}
        for record in self.records():
            for step in record.steps:
                if step.artifact == artifact:
                    found = step.details.get("trainings", {}) | found
        return found

    def training_seconds(self, step_name: str) -> float | None:
        """What the last step of a name that trained to its end took; None before there was one."""
        for record in self.newest_first():
            for step in record.steps:
                if step.name == step_name and step.details.get("trainings") and not step.failed:
                    return step.seconds
        return None

    def save(self, record: Record, told: list[str] | None = None) -> None:
        """Write a record.

        Args:
            told: texts of the record's first steps, from an earlier save; those of the others are added.
        """
        write_text(self.folder / f"{record.id}.json", _text(record, [] if told is None else told))

    def start(self, command: str, as_of: str, prices: PricesConfig, reporter: Reporter, lease: Lease) -> Run:
        """Record a new run under a lease."""
        last = max([0, *(int(path.stem) for path in self.paths())])
        record = Record(f"{last + 1:05d}", command, as_of, self.clock().isoformat(timespec="seconds"))
        record.libraries = _installed()
        record.currency = prices.currency
        run = Run(self, record, prices, RunLog(reporter, self.folder.parent, record.id), lease.fenced)
        lease.name_run(record.id)
        write_json(self.folder / f"{record.id}.json", asdict(record), exclusive=True)  # an id is given once
        return run

    def paths(self) -> list[Path]:
        """Files of all runs, in order of their start."""
        try:
            with os.scandir(self.folder) as entries:
                found = [entry.name for entry in entries]
        except FileNotFoundError:
            return []
        runs = [name for name in found if name.endswith(".json") and names.number(name[:-5]) is not None]
        return [self.folder / name for name in sorted(runs)]


class Run:
    """A run being recorded; the file is brought up to date after every step.

    `fenced` opens a block in which no other run can write; what moves `CURRENT` stands in one.
    """

    def __init__(
        self,
        ledger: Ledger,
        record: Record,
        prices: PricesConfig,
        reporter: RunLog,
        fenced: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.ledger = ledger
        self.fenced = fenced
        self.record = record
        self.prices = prices
        self.reporter = reporter
        self._start = time.monotonic()
        self._told: list[str] = []

    def say(self, text: str) -> None:
        self.reporter.say(text)

    def progress(self, name: str) -> Progress:
        return self.reporter.progress(name)

    def money(self, seconds: float, tokens: int, written: int = 0, trained: int = 0) -> float:
        """By the price book; `written` are those of the tokens that the model wrote, `trained` others."""
        read = self.prices.per_million_tokens
        price = (tokens - written) * read + written * (self.prices.per_million_tokens_written or read)
        price += trained * self.prices.per_million_tokens_trained
        return seconds / 3600 * self.prices.per_hour + price / 1e6

    @contextmanager
    def step(self, name: str) -> Iterator[StepRecord]:
        """Measure a step; it is recorded even when it fails."""
        step = StepRecord(name, started=self.ledger.clock().isoformat(timespec="milliseconds"))
        self.reporter.begin(name)
        start = time.monotonic()
        with tracing.work(f"step {name}", {"freshet.step.name": name}) as traced:
            try:
                yield step
            except BaseException:
                step.failed = True
                raise
            finally:
                step.seconds = time.monotonic() - start
                step.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                step.money = self.money(step.seconds, step.tokens, step.written, step.trained)
                traced |= _traced(step)
                self.record.steps.append(step)
                self._save()
                self.reporter.begin("")

    def end(self, outcome: str, message: str = "") -> None:
        self.record.outcome = outcome
        self.record.message = message
        self._save()

    def fail(self, error: BaseException) -> None:
        """End it by an error; whether it may help to try again is noted for whoever does so."""
        full = is_full(error)
        self.record.error = DiskFull.__name__ if full else type(error).__name__
        self.record.retryable = full or (isinstance(error, FreshetError) and error.retryable)
        self.end("failed", str(error) or type(error).__name__)

    def _save(self) -> None:
        self.record.seconds = time.monotonic() - self._start
        self.record.money = sum(step.money for step in self.record.steps)
        self.ledger.save(self.record, self._told)


def _text(record: Record, told: list[str]) -> str:
    """A record as `write_json` would write it; steps that are over stay as they are, and are told once."""
    told += [readable(asdict(step)).replace("\n", "\n  ") for step in record.steps[len(told) :]]
    whole = readable(asdict(replace(record, steps=[])))
    if not told:
        return whole + "\n"
    return whole.replace('\n "steps": []', '\n "steps": [\n  ' + ",\n  ".join(told) + "\n ]", 1) + "\n"


def _traced(step: StepRecord) -> dict[str, tracing.Value]:
    """What a trace says of a step."""
    return {
        "freshet.step.artifact": step.artifact,
        "freshet.step.cached": step.cached,
        "freshet.step.tokens": step.tokens,
        "freshet.step.requests": step.requests,
        "freshet.step.money": step.money,
        "freshet.step.peak_mb": step.peak_mb,
    }


def _record(path: Path) -> Record:
    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, ValueError):  # it says what is wrong; numbers that are none are read too
        content = read_json(path)
    try:
        record = Record.from_dict(content)
        if record.id != path.stem:
            raise ValueError(f"id: it is of run {names.shortened(record.id)}")
    except ValueError as error:
        raise ArtifactError(
            f"{path} is no record of a run that this Freshet can read: {_first(error)}",
            hint="it is damaged, or was made by a newer Freshet: `freshet doctor` tells",
        ) from None
    return record


def _first(error: ValueError) -> str:
    """What is wrong, in a line."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"[:300]


@lru_cache(maxsize=100_000)
def _digest(path: Path, found: tuple[int, int, int], of: Callable[[Record], Any]) -> Any:
    return of(_lately(path, found))


@lru_cache(maxsize=2000)  # some 10 kB each
def _lately(path: Path, _: tuple[int, int, int]) -> Record:
    """Read once where several look at it in turn: a look at a workspace does so five times."""
    return _record(path)


def identity(path: Path) -> tuple[int, int, int]:
    """Of a record's file: another one after every change.

    Raises:
        ArtifactError: there is none.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ArtifactError(f"{path} is gone", hint="`freshet history` lists the runs") from None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _installed() -> dict[str, str]:
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
