"""How far the world has moved since the last refresh, and what that costs: measured once per log and release.

It reads what runs have counted, and counts nothing itself: it needs no lease and makes no artifact. What is
measured is kept in `alerts/freshness.json`, so that asking again is a look at a file.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from freshet.core.errors import ArtifactError
from freshet.stages.schedule.age_findings import DriftSince, LossByAge
from freshet.storage.artifacts import Artifact, newest
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
    from freshet.inspect.measured_freshness import measured  # late: who only reads needs no model of counts

    found = measured(ws, release, counted)
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
