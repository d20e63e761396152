"""Rows of users on disk: plain arrays, which serving maps, and what they weigh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import PlannerRows, UserRows
from freshet.stages import counts, inference
from freshet.storage.artifacts import Artifact
from freshet.storage.durable import read_json, write_json
from freshet.storage.sound_reading import sound


def write(
    found: UserRows, calibration: PlannerRows, weights: NDArray[np.float64] | None, relative: bool, into: Path
) -> None:
    """Write rows into a folder.

    Args:
        calibration: the answers that the weights were fitted on, so that a later refresh can copy them.
        weights: (2,) of the release's score and of the rows'; None where rows don't pay.
        relative: the answers are relative to popularity.
    """
    np.save(into / "user.npy", found.user, allow_pickle=False)
    inference.write(found.rows, into / "rows")
    inference.write(calibration, into / "calibration")
    fitted = None if weights is None else weights.tolist()
    write_json(into / "users.json", {"weights": fitted, "relative": relative})


@sound
def read(folder: Path) -> UserRows:
    """The rows, memory-mapped."""
    user = np.load(folder / "user.npy", mmap_mode="r", allow_pickle=False)
    return UserRows(user, inference.read(folder / "rows"))


@sound
def read_calibration(folder: Path) -> PlannerRows:
    """What the planner answered for held-out windows, memory-mapped."""
    return inference.read(folder / "calibration")


@sound
def read_weights(folder: Path) -> tuple[NDArray[np.float64] | None, bool]:
    """(2,) weights of the release's score and of the rows', None where rows don't pay; and whether answers
    are relative to popularity."""
    about: dict[str, Any] = read_json(folder / "users.json")
    weights = about["weights"]
    return None if weights is None else np.array(weights), bool(about["relative"])


@sound
def open_user_part(made: Artifact, scorer: counts.Scorer) -> counts.UserPart | None:
    """Rows as part of their table's mixture; None where they don't pay."""
    weights, relative = read_weights(made.path)
    if weights is None:
        return None
    return counts.UserPart(read(made.path), weights, scorer.model.base if relative else None)
