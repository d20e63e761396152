"""`--layout`, and what `freshet init` tells of the published data sets that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from freshet.core.config.log_sections import LayoutName
from freshet.core.errors import ConfigError
from freshet.core.urls import Location
from freshet.stages.events.formats import event_source
from freshet.storage.workspace import Workspace
from freshet.wiring import sources


@dataclass(frozen=True, slots=True)
class Recognised:
    """A published layout that an event source has.

    Attributes:
        name: as [events] layout gives it.
        title: what people call it.
        positive: its usual positive rule; '' = every event is an engagement.
        notes: what is taken, in words.
    """

    source: Location
    name: str
    title: str
    positive: str
    notes: tuple[str, ...]


def check_layout(name: str) -> None:
    """Raises ConfigError unless there is such a layout; '' is none given."""
    known = get_args(LayoutName)
    if name and name not in known:
        raise ConfigError(f"--layout '{name}' is no layout", hint=f"one of {', '.join(known)}")


def layouts_of(places: Sequence[Location], layout: str = "") -> list[Recognised]:
    """The published layouts that event sources, seen from here, are recognised as.

    Raises:
        InputError: a source isn't there, or a published data set isn't whole.
    """
    found = []
    store = sources()
    for source in places:
        laid_out = event_source(source, store, layout or "auto").laid_out
        if laid_out is not None:
            one, notes = laid_out.layout, laid_out.notes(source, laid_out.positive)
            found.append(Recognised(source, one.name, one.title, laid_out.positive, notes))
    return found


def usual_rule(found: Sequence[Recognised]) -> str:
    """The usual positive rule, where all sources have the same."""
    rules = {one.positive for one in found}
    return rules.pop() if len(rules) == 1 else ""


def with_layout(ws: Workspace, layout: str) -> Workspace:
    """The workspace with another [events] layout, unless it is ''."""
    if not layout:
        return ws
    events = ws.config.events.model_copy(update={"layout": layout})
    return replace(ws, config=ws.config.model_copy(update={"events": events}))
