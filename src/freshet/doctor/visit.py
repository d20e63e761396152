"""One visit of the doctor: look, and if told to, repair and look again."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.doctor import access, artifacts, experiments, leftovers, log, planner, releases, state
from freshet.doctor.finding import Finding
from freshet.storage import checksums
from freshet.storage.lease import is_held, read
from freshet.storage.workspace import LEASE, Workspace


@dataclass(frozen=True, slots=True)
class Result:
    """What a visit found.

    Attributes:
        findings: in the order of repair.
        repaired: for each, whether it was gone when looked for again.
        writing: the run that is writing now, whose unfinished work was left out; '' if there is none.
    """

    findings: list[Finding]
    repaired: list[bool]
    writing: str = ""

    @property
    def healthy(self) -> bool:
        """Nothing was found that is not repaired."""
        return all(self.repaired)


def visit(ws: Workspace, repair: bool = False) -> Result:
    """Examine a workspace; every file is read.

    Raises:
        Busy: it is to be repaired, and a run is writing.
    """
    checksums.forget()
    writing = "" if not is_held(ws.root / LEASE) else str(read(ws.root / LEASE) or "")
    before = examine(ws, unfinished=not writing)
    if not repair or not before:
        return Result(before, [False] * len(before), writing)
    with ws.run("doctor") as run, run.step("repair") as step:
        found = [*before, *(one for one in examine(ws, mine=run.record.id) if one not in before)]
        for finding in examine(ws, mine=run.record.id):
            if finding.fix is not None:
                with run.fenced():
                    finding.fix()
                run.say(f"{finding.what}, {finding.where}: {finding.repair}")
        step.details = {"repaired": [f"{one.what}: {one.where}" for one in found if one.repair]}
        run.record.release = ws.releases.pointer()
    left = {(one.what, one.where) for one in examine(ws)}
    return Result(found, [(one.what, one.where) not in left for one in found])


def examine(ws: Workspace, mine: str = "", unfinished: bool = True) -> list[Finding]:
    """Everything that is not as it should be.

    Args:
        mine: id of the run that asks, which is not dead.
        unfinished: whether to look for what dead runs left; a living run's work would look the same.
    """
    found = [
        *artifacts.find(ws),
        *releases.find(ws),
        *log.find(ws),
        *experiments.find(ws),
        *planner.find(ws),
        *state.find(ws),
    ]
    if unfinished:
        return [*found, *leftovers.find(ws, mine), *access.find(ws)]
    found += leftovers.ledger(ws, mine)
    return [finding for finding in found if finding.damage]
