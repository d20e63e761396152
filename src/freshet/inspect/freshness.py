"""How far the world has moved since the last refresh, and what that costs: measured once per log and release.

It reads what runs have counted, and counts nothing itself: it needs no lease and makes no artifact. What is
measured is kept in `alerts/freshness.json`, so that asking again is a look at a file.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from freshet import due
from freshet.core.errors import ArtifactError, FreshetError, NotEnoughData
from freshet.core.types import AsOf
from freshet.run_context import LogSnapshot
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.interests import load as load_interests
from freshet.stages.interests.step import scales_of
from freshet.stages.schedule import CostAware, DriftTriggered
from freshet.stages.schedule.since_refresh import DriftSince, LossByAge, drift_since, loss_by_age
from freshet.stages.schedule.step import see
from freshet.stages.transitions import TransitionLog
from freshet.storage.artifacts import Artifact, committed, newest
from freshet.storage.durable import read_json, write_json
from freshet.storage.manifests import TransitionsManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace, version_of

FOLDER = "alerts"
"""Of a workspace: what is known of service levels and alerts."""
_FILE = "freshness.json"
CODE = 1


@dataclass(frozen=True, slots=True)
class Freshness:
    """What the log says of the table's age.

    Attributes:
        release: that serves, and `counted`, the version of the transitions that it was held against.
        since, until: days (ISO) between which drift was looked for. Where nothing was counted since the
            release was made, this is the time before it: what its refresh found.
        at_refresh: that is so.
        drift: None where too little came since.
        loss: None where no table was old enough yet to show what age costs.
        why: why something is not known, '' where all is.
    """

    release: int
    counted: str
    since: str
    until: str
    at_refresh: bool
    drift: DriftSince | None
    loss: LossByAge | None
    why: str


@dataclass(frozen=True, slots=True)
class _Kept:
    key: str
    found: Freshness


_READER = TypeAdapter(_Kept)


def freshness(ws: Workspace, release: Release, measure: bool = True) -> Freshness | None:
    """Drift and loss as of the newest counts of the log.

    Args:
        measure: work it out where that was not done yet, which takes seconds; else None then.
    """
    counted = newest(ws.store, "transitions", lambda one: _of(one, release.interests))
    if counted is None:
        return None
    path = ws.root / FOLDER / _FILE
    key = version_of(code=CODE, release=release.number, counted=counted.version)
    if (kept := _kept(path)) is not None and kept.key == key:
        return kept.found
    if not measure:
        return None
    found = _measured(ws, release, counted)
    with suppress(OSError):  # a folder that may not be written: it is measured again
        write_json(path, asdict(_Kept(key, found)))
    return found


def _of(counted: Artifact, interests: str) -> bool:
    """Whether transitions are everybody's, between the interests of a release."""
    settings = TransitionsManifest.of(counted).settings
    return settings.get("interests") == interests and "rule" not in settings


def _kept(path: Path) -> _Kept | None:
    try:
        return _READER.validate_python(read_json(path))
    except (ArtifactError, ValidationError):
        return None


def _measured(ws: Workspace, release: Release, counted: Artifact) -> Freshness:
    known = _snapshot(ws, release, counted)
    refreshes = [one for one in due.refreshes(ws, release) if one.day < known.as_of.day]
    at_refresh = not refreshes or str(refreshes[-1]) != release.as_of
    since = str(refreshes[-1]) if refreshes else release.as_of
    blank = Freshness(release.number, counted.version, since, str(known.as_of), at_refresh, None, None, "")
    if not refreshes:
        return replace(blank, why="nothing was counted since the first refresh")
    drift = loss = None
    whys = []
    try:
        fitter = fitter_for(ws.config, known)
        drift = drift_since(see(DriftTriggered(), fitter, refreshes, 0.0))
        if drift is None:
            whys.append("too few transitions since the refresh to tell drift from chance")
        if fitter.fit.unfitted:
            raise NotEnoughData("nothing could be fitted to the log yet")
        loss = loss_by_age(see(CostAware(1.0), fitter, refreshes, 0.0))
        if loss is None:
            whys.append("no table was old enough yet to show what age costs")
    except FreshetError as error:
        whys.append(error.message)
    return replace(blank, drift=drift, loss=loss, why="; ".join(whys))


def _snapshot(ws: Workspace, release: Release, counted: Artifact) -> LogSnapshot:
    """The log as it was last counted."""
    formed = committed(ws.store, "interests", release.interests)
    loaded = load_interests(formed.path)
    log = TransitionLog(counted.path, ws.pool, len(loaded))
    as_of = AsOf.parse(TransitionsManifest.of(counted).as_of)
    window = str(AsOf.from_day_number(log.first_day)), str(as_of.minus(1))
    return LogSnapshot(
        as_of, loaded, release.interests, log, counted.version, scales_of(formed, ws.config), window
    )
