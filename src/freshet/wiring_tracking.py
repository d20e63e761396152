"""Chooses who is told of runs, by `[tracking]`."""

from __future__ import annotations

from freshet.core.errors import FreshetError
from freshet.core.ports import Tracker
from freshet.storage.workspace import Workspace
from freshet.tracking import send_new


def make_trackers(ws: Workspace) -> list[Tracker]:
    """Those that the configuration names.

    Raises:
        MissingExtra: a package is not installed.
    """
    settings = ws.config.tracking
    found: list[Tracker] = []
    if settings.mlflow:
        from freshet.backends.tracking.mlflow_tracker import MlflowTracker

        found.append(MlflowTracker(settings.mlflow, settings.experiment, settings.timeout_seconds))
    if settings.openlineage:
        from freshet.backends.tracking.openlineage_tracker import OpenLineageTracker

        is_url = "://" in settings.openlineage
        target = settings.openlineage if is_url else str((ws.root / settings.openlineage).absolute())
        found.append(OpenLineageTracker(target, settings.timeout_seconds))
    return found


def tell(ws: Workspace) -> None:
    """Tell them of what has ended since they were told last; raises nothing (see `send_new`)."""
    try:
        trackers = make_trackers(ws)
    except FreshetError as error:
        ws.reporter.say(f"tracking: {error}")
        return
    send_new(ws, trackers)
