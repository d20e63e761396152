"""The commands that a scheduler runs, as the command line does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

from freshet import operations, pipeline
from freshet.core.ports import UserStore
from freshet.scheduling.scheduler import Command
from freshet.storage.ledger import Record
from freshet.storage.workspace import Workspace

NEVER_SERVED = "it was never served: nothing to collect"


def commands(
    user_store: Callable[[Workspace], AbstractContextManager[UserStore | None]],
) -> dict[str, Command]:
    """`run`, `finetune` and `collect`.

    Args:
        user_store: opens what serving keeps; gives None where the workspace was never served.
    """

    def run(ws: Workspace, now: datetime) -> Record:
        with user_store(ws) as users:
            return pipeline.run(ws, now, users=users)

    def finetune(ws: Workspace, _: datetime) -> Record:
        return pipeline.finetune(ws)

    def collect(ws: Workspace, now: datetime) -> Record:
        with user_store(ws) as users:
            if users is not None:
                return operations.collect(ws, users, now)[0]
        with ws.run("collect") as run:  # a run of its time, which would be due for ever
            run.say(NEVER_SERVED)
            run.end("done", NEVER_SERVED)
        return run.record

    return {"run": run, "finetune": finetune, "collect": collect}
