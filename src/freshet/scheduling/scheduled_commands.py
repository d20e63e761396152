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

    def collect(ws: Workspace, now: datetime) -> Record | None:
        with user_store(ws) as users:
            return None if users is None else operations.collect(ws, users, now)[0]

    return {"run": run, "finetune": finetune, "collect": collect}
