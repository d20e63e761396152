"""Opening a workspace, and the versions of its artifacts."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from freshet.core import tracing
from freshet.core.config import Config
from freshet.core.errors import AnswersPending
from freshet.core.ports import Encoder, Executor, RankingTrainer, SequenceTrainer, SourceStore, Tuner
from freshet.core.time import utc_now
from freshet.storage import rooms
from freshet.storage.artifacts import Store
from freshet.storage.decisions import Decisions
from freshet.storage.durable import ReportFullDisk, is_full
from freshet.storage.experiment_registry import Experiments
from freshet.storage.lease import Lease, is_held, lease
from freshet.storage.ledger import Ledger, Quiet, Record, Reporter, Run
from freshet.storage.releases import Releases
from freshet.storage.remote.bucket_workspace import BucketWorkspace
from freshet.storage.remote.shared_lease import SharedLease
from freshet.storage.user_ids import settle
from freshet.storage.workspace_format import UPGRADE, check_writable

LEASE = "LEASE"
DRAFTS = ".drafts"
"""What is being written: artifacts of the store, staged events."""

INTERRUPTED = "interrupted"
"""The outcome shown for a run that was killed: it could not write its own."""

TRAININGS = "trainings"
"""What trainings keep as they go on; nothing once their model is there."""


def version_of(**parts: Any) -> str:
    """Version of a step: hash of its inputs' versions, its configuration and its code version."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Giving(Protocol):
    """Gives what serves to others (`freshet.exports`). What fails is recorded in the run, and fails nothing.

    Attributes:
        names: of the targets; `webhook`: of who is told, '' = nobody.
    """

    names: tuple[str, ...]
    webhook: str

    def begin(self, ws: Workspace, run: Run) -> None:
        """Called when a run has begun: what a run that was killed has left to say is noted."""

    def end(self, ws: Workspace, run: Run) -> None:
        """Called when a run's work is done: what is due is given."""


@dataclass(frozen=True)
class Workspace:
    """Everything a run needs; `freshet.wiring.open_workspace` makes one.

    Attributes:
        root: the folder.
        config: its `freshet.toml`.
        store: where artifacts live.
        tuner: makes and opens planners of tables; None = plain counts.
        prior_tuner: opens the planner that is asked beforehand, whose answers sparse counts are shrunk to;
            None = none is.
        reporter: who watches.
        wait: seconds a run waits for another one to end.
        log: the workspace whose events are read, where that is another one: a replay keeps its own artifacts.
        sequencer, ranker: train sequence models and what ranks items; None = it can't be done here.
        sources: of event and item files in buckets; None = files alone are read.
        before: called when a command holds the lease and the folder is as the bucket has it, before anything
            is recorded; what it raises ends the command.
        clock: tells when runs start.
        encoder: of `[content]`, which remembers what it encoded; None = interests' own words (tfidf).
        after: called when a command has given the lease back, also after one that failed, but not after one
            that was interrupted: who is told of runs beside the ledger. It raises nothing.
        bucket: where the workspace is, if not in the folder, which then is what this machine works on.
        executor: computes what is heavy; None = nothing can be counted here.
        giving: gives what serves to others as runs end; None = nobody wants it.
    """

    root: Path
    config: Config
    store: Store
    tuner: Tuner | None
    reporter: Reporter = field(default_factory=Quiet)
    wait: float = 0.0
    log: Path | None = None
    sequencer: SequenceTrainer | None = None
    ranker: RankingTrainer | None = None
    encoder: Encoder | None = None
    prior_tuner: Tuner | None = None
    after: Callable[[Workspace], None] | None = None
    bucket: BucketWorkspace | None = None
    executor: Executor | None = None
    giving: Giving | None = None
    sources: SourceStore | None = None
    before: Callable[[Workspace], None] | None = None
    clock: Callable[[], datetime] = utc_now

    @property
    def place(self) -> str:
        """Where it lies, for people: a folder, or a URL."""
        return str(self.root) if self.bucket is None else self.bucket.url

    @property
    def source(self) -> Path:
        """Folder of the events and of the paths in the configuration."""
        return self.log or self.root

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.root, self.clock)

    @property
    def releases(self) -> Releases:
        return Releases(self.root)

    @property
    def decisions(self) -> Decisions:
        return Decisions(self.root)

    @property
    def experiments(self) -> Experiments:
        return Experiments(self.root)

    @property
    def pool(self) -> Path:
        """Folder of the content-named day files of engagements and transitions."""
        return self.root / "days"

    def is_written(self) -> bool:
        """Whether a run seems to hold the lease, here or, for a bucket, anywhere."""
        return is_held(self.root / LEASE) or (self.bucket is not None and self.bucket.is_held())

    def outcome(self, record: Record) -> str:
        """How a run ended; one that is `running` while nobody holds the workspace was killed."""
        killed = record.outcome == "running" and not self.is_written()
        return INTERRUPTED if killed else record.outcome

    def give(self, run: Run) -> None:
        """Give what serves to others: as a run ends, and before what may take long."""
        if self.giving is not None:
            self.giving.end(self, run)

    @contextmanager
    def run(self, command: str, as_of: str = "") -> Iterator[Run]:
        """Hold the lease and record a run; the run's outcome is `failed` if the block raises.

        Raises:
            Busy: another run is writing, and did not end within `wait` seconds.
            DiskFull: the block, or the record of it, met a full disk.
        """
        with self.hold(command) as held, self.recorded(held, command, as_of) as run:
            yield run

    @contextmanager
    def hold(self, command: str, tell: bool = True) -> Iterator[Lease]:
        """Hold the lease, for what a person decides: it is looked at and done without another run between.

        Args:
            tell: call `after` at the end; a batch of a stream, which adds no run, tells nobody.

        Raises:
            Busy: another run is writing, and did not end within `wait` seconds.
            WrongFormat: `freshet upgrade` has to bring the workspace up to date first.
            DiskFull: the block met a full disk.
        """
        if command != UPGRADE:
            check_writable(self.root)
        if self.log is not None:
            rooms.wait_for_door(self.log, self.wait, self.reporter.say)
        waiting = lease(self.root / LEASE, command, wait=self.wait, say=self.reporter.say)
        ended = False
        try:
            with ReportFullDisk(self.root), waiting as held:
                if self.log is not None:  # again: it may have been shut before this room was there
                    rooms.wait_for_door(self.log, 0.0, self.reporter.say)
                if held.took_over:  # its drafts are of no use to anybody
                    shutil.rmtree(self.root / DRAFTS, ignore_errors=True)
                try:
                    if self.bucket is None:
                        settle(self.source, self.config.privacy)
                        yield self._begun(held)
                    else:
                        with self.bucket.held(command, self.wait) as there:
                            settle(self.source, self.config.privacy)
                            yield self._begun(SharedLease(held, there, self.bucket))
                finally:
                    ended = not isinstance(sys.exception(), KeyboardInterrupt | SystemExit | GeneratorExit)
        finally:
            if ended and tell and self.after is not None:
                self.after(self)

    def _begun(self, held: Lease) -> Lease:
        if self.before is not None:
            self.before(self)
        return held

    @contextmanager
    def recorded(self, held: Lease, command: str, as_of: str = "") -> Iterator[Run]:
        """Record a run under a lease that is held; its outcome is `failed` if the block raises.

        It is `pending` where a planner's answers are waited for: the same command goes on then.
        """
        run = self.ledger.start(command, as_of, self.config.prices, self.reporter, held)
        run.record.settings = self.config.deciding()
        told = {"freshet.run.id": run.record.id, "freshet.run.command": command}
        report = ReportFullDisk(self.root, lambda: _published(run))
        with (
            report,
            tracing.work(f"freshet {command}", told) as traced,
        ):
            try:
                if self.giving is not None:
                    self.giving.begin(self, run)
                yield run
                self.give(run)
            except AnswersPending as error:
                run.end("pending", error.message)
                raise
            except BaseException as error:
                stop = _stop_of(error)
                if run.record.outcome == "running":
                    run.fail(report.told(error) if is_full(error) else stop or error)
                if stop is not None:
                    raise stop from error
                raise
            else:
                if run.record.outcome == "running":
                    run.end("done")
            finally:
                traced |= _facts(run.record)


def _facts(record: Record) -> dict[str, tracing.Value]:
    """What a trace says of a run."""
    return {
        "freshet.run.as_of": record.as_of,
        "freshet.run.outcome": record.outcome,
        "freshet.run.release": record.release or 0,
        "freshet.run.money": record.money,
    }


def _stop_of(error: BaseException) -> KeyboardInterrupt | None:
    """The wish to stop that DuckDB made an error of: where a signal comes while it works."""
    asked = isinstance(error, RuntimeError) and str(error) == "Query interrupted"
    return KeyboardInterrupt("stopped by a signal") if asked else None


def _published(run: Run) -> str:
    """What serves after a run that met a full disk: it may have met it after its publication."""
    number = run.record.release
    return "nothing was published" if number is None else f"release {number} serves"
