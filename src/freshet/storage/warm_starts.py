"""Which earlier training a training may begin at the weights of.

Weights remember what they were learned from. So the earlier training must have come before, must have known
nobody who was forgotten since, and nothing that the log has dropped or `[screen]` would hold back now.

What is decided here is in no key: where it changes, `CODE` of the steps that train has to be raised.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.types import AsOf
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Run
from freshet.storage.manifests import Trained
from freshet.storage.user_ids import people_of
from freshet.storage.workspace import Workspace, version_of

OF_NEW = 3.0
"""Epochs over what an earlier training hasn't learned from, in units of those from random weights."""

LEAST_ROWS = 5_000
"""Below, trainings take seconds, and one over few rows is a bad beginning for the next."""

LEAST_SHARE = 0.5
"""Of the epochs; the few steps of less made models worse: an optimiser that begins again needs more."""

MOST_IN_A_ROW = 6
"""Artifacts that begin at one another, after which one begins at random weights again."""


def share_of_epochs(day: NDArray[np.int32], learned: AsOf, rows: int) -> float:
    """How much of the epochs of a training from random weights one from earlier weights makes.

    From 1 on little is saved by those: the training begins at random ones. Otherwise what is old would be
    repeated at every training, until it is known by heart.

    Args:
        day: (n,) of the rows, since 1970; at least one.
        learned: the moment before which the earlier one's rows lie.
        rows: that the earlier one learned from; what was imported since is new, however old it is.
    """
    if len(day) < LEAST_ROWS:
        return 1.0
    old = min(int((day < learned.day_number).sum()), rows)
    share = OF_NEW * (len(day) - old) / len(day)
    return share if share >= LEAST_SHARE else 1.0


def forgotten_by(ws: Workspace) -> str:
    """Names the people that are forgotten, or being forgotten, by now; '' = nobody."""
    stones = people_of(ws.source).tombstones
    found = [(who, one.at, one.done) for who, one in sorted(stones.items())]
    return version_of(stones=found) if found else ""


def may_follow(ws: Workspace, earlier: Trained, as_of: AsOf, since: str) -> bool:
    """Whether a training as of a moment may begin at the weights of an earlier one.

    It says nothing of rows held out: the step that holds them out compares moments.

    Args:
        since: first day of the log now.
    """
    if ws.config.retention.events_days or since > earlier.since:
        return False  # where the log drops days, weights would not
    same = (earlier.forgotten, earlier.screened) == (forgotten_by(ws), ws.config.screen.use)
    return same and earlier.as_of < str(as_of)


def begins_anew(earlier: Trained) -> bool:
    """Whether so many in a row have begun at one another's weights that the next begins at random ones."""
    return earlier.in_a_row >= MOST_IN_A_ROW


def is_sound(run: Run, earlier: Artifact) -> bool:
    """Whether the files of an earlier artifact are there and whole; where they are not, that is said."""
    try:
        return earlier.path.exists()
    except ArtifactError as error:
        run.say(f"nothing begins at the weights of {earlier.kind}/{earlier.version}: {error.message}")
        return False


def origin(
    ws: Workspace, earlier: Artifact | None, *, begun: bool, learned: int, since: str
) -> dict[str, Any]:
    """For the manifest of an artifact: what there was to begin at, and what those after it have to know.

    Args:
        begun: its first training did begin there.
        learned: rows of the training that others may begin at.
        since: first day of the log.
    """
    return {
        "forgotten": forgotten_by(ws),
        "start": "" if earlier is None else earlier.version,
        "in_a_row": int(earlier.manifest.get("in_a_row", 0)) + 1 if earlier is not None and begun else 0,
        "learned": learned,
        "since": since,
        "screened": ws.config.screen.use,
    }
