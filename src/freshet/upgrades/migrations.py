"""The migrations in their order, and doing those that a workspace lacks.

A migration may be killed anywhere and is then done again from its start; the format is written when it is
through. So it must change nothing the second time that it has changed before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from freshet.storage import workspace_format
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace
from freshet.upgrades import m0002_marked


@dataclass(frozen=True, slots=True)
class Migration:
    """One step.

    Attributes:
        format: that the workspace has afterwards.
        what: it does, for a person.
        apply: does it; returns details for the ledger.
    """

    format: int
    what: str
    apply: Callable[[Workspace, Run], dict[str, Any]]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(2, "the workspace says which format it has; nothing else changes", m0002_marked.apply),
)
"""Only ever appended to; the last one gives `workspace_format.CURRENT`."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done.

    Attributes:
        before, after: formats.
        run: that did it, '' where there was nothing to do.
        done: what the migrations do, in their order.
    """

    before: int
    after: int
    run: str
    done: tuple[str, ...]


def pending(ws: Workspace, migrations: Sequence[Migration] = MIGRATIONS) -> list[Migration]:
    """Those that the workspace lacks."""
    found = workspace_format.format_of(ws.root)
    return [one for one in migrations if one.format > found]


def upgrade(ws: Workspace, migrations: Sequence[Migration] = MIGRATIONS) -> Upgraded:
    """Do what the workspace lacks.

    Raises:
        Busy: a run is writing, and did not end within `ws.wait` seconds.
        ArtifactError: something that can't be made again can't be read.
    """
    before = workspace_format.format_of(ws.root)
    if not pending(ws, migrations):
        return Upgraded(before, before, "", ())
    done: list[str] = []
    with ws.run(workspace_format.UPGRADE) as run:
        for one in pending(ws, migrations):
            with run.step(f"format {one.format}") as step:
                step.details = one.apply(ws, run)
                with run.fenced():
                    workspace_format.write_format(ws.root, one.format)
            done.append(one.what)
        run.record.release = ws.releases.pointer()
    return Upgraded(before, workspace_format.format_of(ws.root), run.record.id, tuple(done))
