"""The first page: is it fresh, is it healthy, what changed, what did it cost, does the LLM earn its place?"""

from __future__ import annotations

from freshet import inspect
from freshet.core.errors import ConfigError
from freshet.dashboard.overview_view import DAYS, answers, costs, part, place_of_planner
from freshet.dashboard.run_view import place_of, run_rows
from freshet.dashboard.visit import Page, Values, Visit
from freshet.inspect.canary_view import canary_view
from freshet.inspect.job_listing import schedule_view
from freshet.inspect.screened import screened

LAST_RUNS = 5


def overview(visit: Visit) -> Values:
    """Answers in words and numbers, each with its reason; a part that fails says so, and no other does."""
    ws = visit.ws
    minute = visit.now.replace(second=0, microsecond=0)
    return {
        "release": part(ws.releases.current),
        "answers": part(
            lambda: visit.cached("known", minute, make=lambda: answers(ws, visit.now, measure=False))
        ),
        "costs": part(lambda: visit.cached("costs", visit.now.date(), make=lambda: costs(ws, visit.now))),
        "planner": part(lambda: visit.cached("planner", make=lambda: place_of_planner(ws))),
        "schedule": part(lambda: visit.cached("schedule", minute, make=lambda: schedule_view(ws, visit.now))),
        "runs": run_rows(ws, ws.ledger.paths()[: -LAST_RUNS - 1 : -1]),
        "days": DAYS,
        "place": place_of(ws),
        "canary": part(lambda: visit.cached("canary", minute, make=lambda: canary_view(ws, visit.now))),
        "screen": part(lambda: visit.cached("screen", make=lambda: screened(ws, ws.releases.current()))),
    }


def measured(visit: Visit) -> Values:
    """Freshness with drift and loss, which the first look after new events has to work out."""
    minute = visit.now.replace(second=0, microsecond=0)
    return {
        "answers": part(
            lambda: visit.cached("measured", minute, make=lambda: answers(visit.ws, visit.now, measure=True))
        )
    }


def changed(visit: Visit) -> Values:
    """What the current release changed."""

    def found() -> inspect.Diff:
        current = visit.ws.releases.current()
        if current is None or current.previous is None:
            raise ConfigError("there is no earlier release to compare with")
        return inspect.compare(visit.ws, current.previous, current.number, most=3)

    return {"diff": part(lambda: visit.cached("changed", make=found))}


PAGES = (
    Page("", "overview.html", overview, nav="Overview"),
    Page("overview/fresh", "overview_fresh.html", measured),
    Page("overview/changed", "overview_changed.html", changed),
)
