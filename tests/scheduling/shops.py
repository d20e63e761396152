"""A workspace on a clock of its own whose commands do nothing but what a test wants the ledger to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from freshet.core.errors import FreshetError
from freshet.scheduling.scheduler import Command, Decision, Scheduler
from freshet.storage.ledger import Record, Run
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace

START = datetime(2024, 1, 1, 12, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone: nothing more is written."""


class Shop:
    """A workspace.

    Args:
        settings: of `[schedule]` and what follows it; a token costs one unit of money.
        work: what a command does in its run, told the command; nothing by default.
    """

    def __init__(
        self, root: Path, settings: str = "", work: Callable[[str, Run], None] = lambda *_: None
    ) -> None:
        self.root, self.work, self.now = root, work, START
        self.told: list[Decision] = []
        root.mkdir(parents=True, exist_ok=True)
        self.configure(settings)
        self.start()

    def configure(self, settings: str) -> None:
        prices = "[prices]\nper_hour = 0\nper_million_tokens = 1e6\n"
        kind = "" if "[planner]" in settings else '[planner]\nkind = "counts"\n'
        (self.root / "freshet.toml").write_text(f"{kind}{prices}[schedule]\n{settings}")

    def start(self) -> None:
        """A scheduler that knows nothing but the files."""
        self.scheduler = Scheduler(self.open, self.commands(), lambda: self.now, self.sleep, self.told.append)

    def commands(self) -> dict[str, Command]:
        return {name: self._command(name) for name in ("run", "finetune", "collect")}

    def open(self) -> Workspace:
        return replace(open_workspace(self.root), clock=lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def run(self, command: str, work: Callable[[str, Run], None] | None = None) -> Record:
        """Somebody makes a run by hand."""
        return self._command(command, work)(self.open(), self.now)

    def until(self, end: datetime, looks: int = 20_000) -> None:
        """Let the scheduler run until a moment; a killed one is started again."""
        for _ in range(looks):
            if self.now >= end:
                return
            try:
                self.sleep(min(self.scheduler.look(), (end - self.now).total_seconds()))
            except Killed:
                self.start()
        raise AssertionError(f"{looks} looks, and it is {self.now}")

    @property
    def records(self) -> list[Record]:
        return self.open().ledger.records()

    def times(self, command: str) -> list[datetime]:
        return [datetime.fromisoformat(one.started) for one in self.records if one.command == command]

    def said(self, what: str) -> Sequence[Decision]:
        return [one for one in self.told if one.what == what]

    def _command(
        self, name: str, work: Callable[[str, Run], None] | None = None
    ) -> Callable[[Workspace, datetime], Record]:
        def made(ws: Workspace, _: datetime) -> Record:
            before: bytes | None = None
            try:
                with ws.run(name) as run:
                    path = self.root / "runs" / f"{run.record.id}.json"
                    try:
                        (work or self.work)(name, run)
                    except Killed:
                        before = path.read_bytes()
                        raise
            finally:
                if before is not None:  # a dead process writes no end
                    path.write_bytes(before)
            return run.record

        return made


def spend(run: Run, money: float, *steps: str) -> None:
    """A step for each name, the money in the first."""
    for number, name in enumerate(steps or ("table",)):
        with run.step(name) as step:
            step.tokens = 0 if number else round(money)


def fail(retryable: bool = True, message: str = "the server is away") -> None:
    raise FreshetError(message, retryable=retryable)
