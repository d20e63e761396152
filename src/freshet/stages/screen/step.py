"""Step: a log without the moves of new users that nothing bears out; the log itself keeps every event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import ConfigError
from freshet.core.time import DAY, day_name
from freshet.core.types import BoolArray, Interests
from freshet.run_context import LogSnapshot
from freshet.stages import screen, transitions
from freshet.stages.screen import format as files
from freshet.stages.transitions.step import part_of
from freshet.storage.build_once import build_once
from freshet.storage.ledger import Run, StepRecord
from freshet.storage.manifests import ScreenManifest
from freshet.storage.workspace import Workspace, version_of

CODE = 1
SHOWN = 10
"""Bursts that the ledger names: those of the last days, the largest first."""
LATE_DAYS = 7


def hold_back(ws: Workspace, run: Run, log: LogSnapshot) -> LogSnapshot:
    """The snapshot without what is held back; the same snapshot where nothing is, or `[screen] use` is off.

    Raises:
        ConfigError: `[screen] trusted` names something that is no interest.
    """
    config = ws.config.screen
    if not config.use:
        return log
    settings = config.model_dump(mode="json", exclude={"use", "live_weight", "gate"})
    settings |= {"code": CODE, "window_days": log.scales.window_days}
    version = version_of(**settings, as_of=log.as_of, transitions=log.version)
    trusted = _trusted(config.trusted, log.interests)
    limits = screen.Limits(config.most_growth, config.chance, config.few, log.scales.window_days)

    def build(folder: Path, step: StepRecord) -> ScreenManifest:  # noqa: ARG001
        held = screen.scan(_moves(ws, log), len(log.interests), limits, trusted)
        files.write(held, folder)
        summary = summary_of(held, log)
        return ScreenManifest(
            as_of=str(log.as_of), settings=settings, transitions=log.version, summary=summary
        )

    made = build_once(ws, run, "screen", "screens", version, build, lambda one: dict(one.manifest["summary"]))
    summary = made.manifest["summary"]
    if not summary["held_back"]:
        return log
    for burst in summary["latest"]:
        run.say(
            f"screen: {burst['held']:,} of {burst['came']:,} moves of new users to '{burst['description']}' "
            f"on {burst['day']} are held back: {burst['established']:,} established users went there"
        )
    held = files.read(made.path)
    days = {day_name(int(day)) for day in np.unique(held.moves["time"] // DAY)}
    named = {"screened": version}
    return part_of(ws, run, log, version, named, held.kept, min(days), days, step_name="held back")


def unscreened(ws: Workspace) -> Workspace:
    """The workspace, with nothing held back: for judging by what really came."""
    off = ws.config.screen.model_copy(update={"use": False})
    return replace(ws, config=ws.config.model_copy(update={"screen": off}))


def summary_of(held: screen.HeldBack, log: LogSnapshot) -> dict[str, Any]:
    """What manifest and ledger say: counts of all days, and the bursts of the last ones."""
    first = log.as_of.day_number - LATE_DAYS
    late = sorted((burst for burst in held.bursts if burst.day >= first), key=lambda b: (-b.held, -b.day))
    return {
        "judged": held.judged,
        "held_back": len(held.moves),
        "users": len(np.unique(held.moves["user"])),
        "bursts": len(held.bursts),
        "held_back_lately": sum(burst.held for burst in late),
        "latest": [
            asdict(burst)
            | {
                "day": day_name(burst.day),
                "interest": int(log.interests.ids[burst.successor]),
                "description": log.interests.descriptions[burst.successor],
            }
            for burst in late[:SHOWN]
        ],
    }


def _moves(ws: Workspace, log: LogSnapshot) -> Iterator[tuple[NDArray[np.void], BoolArray]]:
    """The log's moves in order, with whether each was a new user's on its day."""
    known = established_of(ws, log)
    for rows in log.transitions.moves():
        yield rows, ~known.on(rows["user"], rows["time"] // DAY)


def established_of(ws: Workspace, log: LogSnapshot) -> transitions.Established:
    """Since when each user of a log is established, by `[screen]`."""
    config = ws.config.screen
    return log.transitions.established(config.active_days, config.age_days)


def _trusted(names: tuple[str, ...], interests: Interests) -> NDArray[np.int64]:
    known = {str(id_): place for place, id_ in enumerate(interests.ids.tolist())}
    known |= {description: place for place, description in enumerate(interests.descriptions)}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"[screen] trusted: there is no interest '{name}'",
                hint="use an id or a description as `freshet interests` lists them",
            )
    return np.array([known[name] for name in names], np.int64)
