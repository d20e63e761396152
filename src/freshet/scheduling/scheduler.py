"""The loop that runs what is due, one at a time, and tells what it decides.

It keeps nothing: every look begins with the files as they are, so a scheduler that was killed anywhere and
one that takes over decide alike. What is due is looked at once more when the workspace's lease is held. A bug
ends the process: whoever started it starts it again, and a run that met one is not made again by itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from freshet.core.errors import AnswersPending, Busy, FreshetError, GateFailed
from freshet.scheduling.attempts import attempts
from freshet.scheduling.jobs import tunes
from freshet.scheduling.leadership import leader, leading
from freshet.scheduling.outlook import Outlook, State, looked_back_to, outlooks
from freshet.scheduling.pausing import paused
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace

LOOK = 30.0
"""Seconds between two looks, at most: so soon a pause, a change of settings or a free workspace is seen."""
UPKEEP = 300.0
"""Seconds between two calls of what is done beside, where nothing runs."""

Command = Callable[[Workspace, datetime], Record | None]
"""Runs a command on a workspace as of a moment; None where there is nothing for it to do."""


class Stopped(KeyboardInterrupt):
    """Somebody wants the scheduler to end; a run under way is recorded as stopped, and goes on next time."""


class NotDue(FreshetError):
    """What was due has been done by others when the workspace was free."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, or came of it.

    Attributes:
        at: when (UTC).
        job: slow, fast or collect; '' where it is about none.
        what: leads, standby (another scheduler acts), starts, done, halted (by a gate), pending (answers come
            later), failed, not begun (the workspace is not free, a server is away), made elsewhere, trouble;
            of a job that doesn't begin, its state: idle, running, retry, pending, paused, blackout, budget.
        run: the run that it is about; ''.
        next_at: when the job is looked at next for a reason known now (UTC).
    """

    at: datetime
    job: str
    what: str
    why: str
    run: str = ""
    next_at: datetime | None = None


class Scheduler:
    """Runs what is due in a workspace.

    Args:
        open_workspace: opens it as it is now, called at every look.
        commands: by name.
        now: the time (UTC).
        sleep: waits for so many seconds.
        tell: is told of every decision.
        upkeep: by name, called after every run, and every few minutes: what goes wrong there is told, and
            stops nothing, nor the others.
        every: seconds between two looks, at most.
    """

    def __init__(
        self,
        open_workspace: Callable[[], Workspace],
        commands: Mapping[str, Command],
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        tell: Callable[[Decision], None],
        upkeep: Mapping[str, Callable[[Workspace, datetime], object]] = MappingProxyType({}),
        every: float = LOOK,
    ) -> None:
        self._open = open_workspace
        self._commands = commands
        self._now = now
        self._sleep = sleep
        self._tell = tell
        self._upkeep = upkeep
        self._every = every
        self._told: dict[str, tuple[str, str, str]] = {}
        self._kept_at: datetime | None = None
        self.error: FreshetError | None = None  # the first that a run, or a look, ended by
        self.began = False

    def run(self) -> None:
        """Lead or stand by, until an exception such as `Stopped` ends it."""
        while True:
            self.lead(lambda: False)
            self._sleep(LOOK)

    def lead(self, done: Callable[[], bool]) -> None:
        """Look again and again while this process leads; returns at once where another one does.

        Args:
            done: whether to end, asked after every look.
        """
        ws = None
        try:
            ws = self._open()
            with leading(ws) as leads:
                self._say("", "leads", "this scheduler acts from now on")
                while leads():
                    seconds = self.look()
                    if done():
                        return
                    self._sleep(min(self._every, seconds))
        except Busy:
            self._say("", "standby", f"another scheduler acts: {leader(ws) if ws else ''}")
        except FreshetError as error:
            self._trouble(error)

    def look(self) -> float:
        """Run what is due first, if anything; returns the seconds until something is due, as far as is known.

        What goes wrong is told, and looked at again. `began`: a run was made.
        """
        self.began = False
        try:
            ws = self._open()
            now = self._now()
            found = self._outlooks(ws, now, writing=ws.is_written())
            for one in found:
                if one.state is not State.DUE:
                    self._say(one.job.name, one.state.value, one.why, next_at=one.at)
                elif self._make(ws, one):
                    self.began = True
                    self._keep_up(ws)
                    return 0.0
            self._told.pop("trouble", None)
            if self._kept_at is None or (now - self._kept_at).total_seconds() >= UPKEEP:
                self._keep_up(ws)
        except FreshetError as error:
            self._trouble(error)
            return LOOK
        times = [one.at for one in found if one.at is not None and one.at > now]
        times += [one.job.cron.after(now) for one in found]
        return max(1.0, (min(times) - now).total_seconds())

    def _outlooks(self, ws: Workspace, now: datetime, *, writing: bool) -> list[Outlook]:
        done = attempts(ws.ledger, looked_back_to(ws.config, now), writing=writing, tunes=tunes(ws.config))
        return outlooks(ws.config, done, now, paused(ws.root))

    def _make(self, ws: Workspace, due: Outlook) -> bool:
        """Run a job; whether a run was made, which the ledger has then."""
        job, before = due.job, _newest(ws)

        def look_again(held: Workspace) -> None:
            # nobody writes but us: what seems to run was killed
            found = {one.job.name: one for one in self._outlooks(held, self._now(), writing=False)}
            again = found.get(job.name)
            if again is None or again.state is not State.DUE:
                raise NotDue(again.why if again is not None else "it is not wanted any more")
            self._say(job.name, "starts", due.why)

        what, why = "done", ""
        try:
            made = self._commands[job.command](replace(ws, before=look_again), self._now())
            if made is None:
                self._say(job.name, "idle", "there is nothing to do")
                return False
            why = made.message
        except NotDue as error:
            self._say(job.name, "made elsewhere", error.message)
            return False
        except (GateFailed, AnswersPending) as error:
            what, why = "halted" if isinstance(error, GateFailed) else "pending", error.message
            self.error = self.error or error
        except FreshetError as error:
            what, why = "failed", error.message
            self.error = self.error or error
        after = _newest(ws)
        if after == before:
            self._say(job.name, "not begun", why)
            return False
        self._say(job.name, what, why, after)
        return True

    def _keep_up(self, ws: Workspace) -> None:
        self._kept_at = self._now()
        for name, work in self._upkeep.items():
            try:
                work(ws, self._kept_at)
            except FreshetError as error:
                self._trouble(error, name)
            except Exception as error:  # noqa: BLE001 - a bug beside the runs is no reason to make none
                told = f"{name} failed beside the runs: {type(error).__name__}: {error}"
                self._trouble(FreshetError(told, hint=f"at {_place(error)}"), name)
            else:
                self._told.pop(f"trouble {name}", None)

    def _trouble(self, error: FreshetError, name: str = "") -> None:
        self.error = self.error or error
        why = f"{error.message}; {error.hint}" if error.hint else error.message
        self._say("", "trouble", why, about=f"trouble {name}".strip())

    def _say(
        self, job: str, what: str, why: str, run: str = "", next_at: datetime | None = None, about: str = ""
    ) -> None:
        """Tell it, unless it is what was told of the job, or of what it is about, before."""
        about = about or job
        if self._told.get(about) == (what, why, run):
            return
        self._told[about] = what, why, run
        self._tell(Decision(self._now(), job, what, why, run, next_at))


def _place(error: Exception) -> str:
    """Where in the code it was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _newest(ws: Workspace) -> str:
    """Id of the last run; '' before the first."""
    paths = ws.ledger.paths()
    return paths[-1].stem if paths else ""
