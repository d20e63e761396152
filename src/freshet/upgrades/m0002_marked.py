"""Format 2: the workspace says which format it has. All it holds stays as 0.1 wrote it.

Everything is looked at first, so that what can't be read is told now and not in the middle of a run.
"""

from __future__ import annotations

from typing import Any

from freshet.core.errors import ArtifactError
from freshet.stages.events import snapshots
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace
from freshet.upgrades.readable import artifacts


def apply(ws: Workspace, run: Run) -> dict[str, Any]:
    """Read every manifest, release, run and experiment, and the newest state of the log.

    Raises:
        ArtifactError: the log can't be read. What can be made again is told only.
    """
    unreadable = artifacts(ws)
    for problem in unreadable:
        run.say(problem)
    for number in ws.releases.numbers():
        try:
            ws.releases.get(number)
        except ArtifactError as error:
            run.say(error.message)
    _, newest = snapshots.latest(ws.source)
    return {"events": newest.rows, "unreadable": len(unreadable)}
