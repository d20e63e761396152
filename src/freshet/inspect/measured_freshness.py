"""Drift and expected loss since the last refresh, worked out from what runs have counted."""

from __future__ import annotations

from dataclasses import replace

from freshet import due
from freshet.core.errors import FreshetError, NotEnoughData
from freshet.core.types import AsOf
from freshet.inspect.freshness import Freshness
from freshet.run_context import LogSnapshot
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.interests import load as load_interests
from freshet.stages.interests.step import scales_of
from freshet.stages.schedule import CostAware, DriftTriggered
from freshet.stages.schedule.since_refresh import drift_since, loss_by_age
from freshet.stages.schedule.step import see
from freshet.stages.transitions import TransitionLog
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.manifests import TransitionsManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


def measured(ws: Workspace, release: Release, counted: Artifact) -> Freshness:
    """What the log says of a release, held against what was counted."""
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
