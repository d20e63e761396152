"""Checks a workspace; on request repairs what can be repaired, and checks again."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.doctor.artifact_checks import find_artifacts, find_releases, find_vectors
from freshet.doctor.bucket_checks import find_objects
from freshet.doctor.finding import Finding
from freshet.doctor.leftover_checks import find_leftovers, find_open_files, find_unfinished_runs
from freshet.doctor.source_checks import (
    find_encoder,
    find_events,
    find_experiments,
    find_planner,
    find_user_store,
)
from freshet.storage import checksums
from freshet.storage.lease import is_held, read
from freshet.storage.remote.bucket_lease import read_lease
from freshet.storage.workspace import LEASE, Workspace


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found.

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


def check(ws: Workspace, repair: bool = False) -> Result:
    """Check a workspace; every file is read.

    Raises:
        Busy: it is to be repaired, and a run is writing.
    """
    checksums.forget()
    writing = "" if not is_held(ws.root / LEASE) else str(read(ws.root / LEASE) or "")
    if ws.bucket is not None:
        ws.bucket.pull(anew=True)  # what is damaged here alone
        writing = writing or str(read_lease(ws.bucket.store) or "")
    before = findings(ws, unfinished=not writing)
    if not repair or not before:
        return Result(before, [False] * len(before), writing)
    with ws.run("doctor") as run, run.step("repair") as step:
        found = [*before, *(one for one in findings(ws, mine=run.record.id) if one not in before)]
        for finding in findings(ws, mine=run.record.id):
            if finding.fix is not None:
                with run.fenced():
                    finding.fix()
                run.say(f"{finding.what}, {finding.where}: {finding.repair}")
        step.details = {"repaired": [f"{one.what}: {one.where}" for one in found if one.repair]}
        run.record.release = ws.releases.pointer()
    left = {(one.what, one.where) for one in findings(ws)}
    return Result(found, [(one.what, one.where) not in left for one in found])


def findings(ws: Workspace, mine: str = "", unfinished: bool = True) -> list[Finding]:
    """Everything that is not as it should be.

    Args:
        mine: id of the run that asks, which is not dead.
        unfinished: whether to look for what dead runs left; a living run's work would look the same.
    """
    found = [
        *find_artifacts(ws),
        *find_vectors(ws),
        *find_releases(ws),
        *find_events(ws),
        *find_experiments(ws),
        *find_planner(ws),
        *find_encoder(ws),
        *find_user_store(ws),
        *find_objects(ws),
    ]
    if unfinished:
        return [*found, *find_leftovers(ws, mine), *find_open_files(ws)]
    found += find_unfinished_runs(ws, mine)
    return [finding for finding in found if finding.damage]
