"""Which release each target has, and giving those that lack what serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from freshet.core.errors import ExportError, FreshetError
from freshet.core.ports import Announcer, ExportTarget, Written
from freshet.exports import outbox
from freshet.exports.given import open_given
from freshet.exports.state import Held, read_state, write_state
from freshet.storage.ledger import Run
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

Open = Callable[[], ExportTarget]
"""Opens a target; raises FreshetError where that can't be."""


@dataclass(frozen=True, slots=True)
class Gave:
    """A release that was written to a target."""

    target: str
    release: int
    written: Written
    seconds: float


class Deliveries:
    """The configured targets and the webhook, as runs meet them.

    Args:
        targets: by name, opened when something is due.
        announcer: the webhook; None = nobody is told.
    """

    def __init__(self, targets: Mapping[str, Open], announcer: Announcer | None) -> None:
        self.targets = targets
        self.announcer = announcer
        self.names = tuple(targets)
        self.webhook = announcer.name if announcer is not None else ""

    def begin(self, ws: Workspace, run: Run) -> None:
        """Note what a run that was killed has published."""
        if self.announcer is not None:
            state = read_state(ws.root)
            noted = outbox.note(ws, run, state)
            if noted != state:
                write_state(ws.root, noted)

    def end(self, ws: Workspace, run: Run) -> None:
        """Give what serves to the targets that lack it, then tell of it."""
        self.begin(ws, run)
        try:
            release = ws.releases.current()
        except FreshetError as error:
            run.say(f"export: nothing is given away: {error}")
            return
        state = read_state(ws.root)
        due = [name for name in self.names if state.held(name).release != _number(release)]
        if release is not None and due:
            give(ws, run, {name: self.targets[name] for name in due}, release)
        self.tell(ws, run)

    def tell(self, ws: Workspace, run: Run, again: bool = False) -> None:
        """Send what the webhook has not been told.

        Args:
            again: also what it refused before.
        """
        state = read_state(ws.root)
        if again:
            known = tuple(replace(one, tries=0) for one in state.refused)
            state = replace(state, pending=(*known, *state.pending), refused=())
        if self.announcer is not None and state.pending:
            write_state(ws.root, outbox.send_pending(run, state, self.announcer))


def give(
    ws: Workspace, run: Run, targets: Mapping[str, Open], release: Release
) -> tuple[list[Gave], list[FreshetError]]:
    """Write a release to targets; each is a step of the run, also where it fails, and the state says so.

    Only targets of the configuration are remembered.
    """
    gave: list[Gave] = []
    failed: list[FreshetError] = []
    for name, opener in targets.items():
        before = read_state(ws.root).held(name)
        with run.step("export") as step:
            start = time.monotonic()
            step.details = {"target": name, "release": release.number}
            try:
                written = opener().write(open_given(ws, release), run.progress(f"export to {name}"))
            except (FreshetError, OSError) as error:
                told = error if isinstance(error, FreshetError) else ExportError(f"{name}: {error}")
                failed.append(told)
                step.details |= {"failed": told.message}
                held = replace(before, failed=told.message, tries=before.tries + 1)
                run.say(f"export: release {release.number} is not in {name}: {told}")
            else:
                done = Gave(name, release.number, written, time.monotonic() - start)
                gave.append(done)
                step.details |= {"rows": written.rows, "bytes": written.bytes, "where": written.where}
                held = Held(release.number, datetime.now(UTC).isoformat(timespec="seconds"))
                run.say(f"export: release {release.number} is in {written.where}")
        if ws.giving is not None and name in ws.giving.names:
            state = read_state(ws.root)
            write_state(ws.root, replace(state, targets=state.targets | {name: held}))
    return gave, failed


def _number(release: Release | None) -> int | None:
    return release.number if release is not None else None
