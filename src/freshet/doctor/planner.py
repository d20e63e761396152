"""The base checkpoint that the planner is tuned from: the user's own, looked at and never touched."""

from __future__ import annotations

from collections.abc import Iterator

from freshet.core.errors import FreshetError, MissingExtra
from freshet.doctor.finding import Finding
from freshet.stages.tuning.step import planned
from freshet.storage.workspace import Workspace


def find(ws: Workspace) -> Iterator[Finding]:
    """A base that can't be tuned; a machine that only serves, without the packages, can't tell."""
    if ws.tuner is None:
        return
    try:
        ws.tuner.check(planned(ws))
    except MissingExtra:
        return
    except FreshetError as error:
        means = f"{error.message}; releases keep serving, the next fine-tuning can't start: {error.hint}"
        yield Finding("planner that can't be tuned", "freshet.toml", means, "", True)
