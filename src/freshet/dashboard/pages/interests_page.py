"""Interests: the tree of all of them, and a page of each with its items, neighbours and drift over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from freshet.dashboard.explorer import ReleaseView
from freshet.dashboard.interest_charts import popularity_chart, successors_chart
from freshet.dashboard.visit import Page, Values, Visit
from freshet.inspect import interest_view
from freshet.inspect.interest_listing import InterestLine
from freshet.inspect.interest_view import InterestView, index_of
from freshet.inspect.take_ups import Over

ITEMS_A_PAGE = 50
FOLLOWED = 6
"""Successors whose share is shown over time."""
NOBODY = "nothing recent"
SVG_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
"""A drawing brings colours of its own; it can load and run nothing."""


@dataclass(frozen=True, slots=True)
class Flow:
    """An interest beside another over time; `id` is None for those who came from nothing recent."""

    id: int | None
    name: str
    over: Over


def interests(visit: Visit) -> Values:
    """All interests, those that are alike together; or those that a search finds."""
    view = visit.explorer.release()
    wanted = visit.text("q")
    return {
        "release": view.opened.release,
        "tree": view.tree(),
        "listing": view.listing(),
        "q": wanted,
        "found": _found(view, wanted) if wanted else None,
    }


def interest(visit: Visit) -> Values:
    """One interest."""
    view = visit.explorer.release()
    number = visit.number("interest")
    about = view.once(("interest", number), lambda: InterestView.of(visit.ws, view.opened, number))
    page = max(1, visit.number("page", 1))
    items = view.items().of_interest(about.index, (page - 1) * ITEMS_A_PAGE, ITEMS_A_PAGE)
    return {
        "release": view.opened.release,
        "about": about,
        "line": next(line for line in view.listing().interests if line.id == number),
        "items": items,
        "page": page,
        "pages": max(1, -(-items.total // ITEMS_A_PAGE)),
        "first": (page - 1) * ITEMS_A_PAGE + 1,
    }


def over_time(visit: Visit) -> Values:
    """How popular an interest was, what followed it and where people came from, over time."""
    view = visit.explorer.release()
    number = visit.number("interest")
    index = index_of(view.opened, number)
    take_ups = view.take_ups()
    named = view.opened.named(index)
    return {
        "about": named,
        "partial": visit.partial,
        "take_ups": take_ups,
        "popularity": take_ups.popularity(index),
        "after": _flows(view, take_ups.after(index, FOLLOWED)),
        "before": _flows(view, take_ups.before(index, FOLLOWED)),
        "release": view.opened.release,
    }


def popularity_image(visit: Visit) -> Response:
    """A chart."""
    view = visit.explorer.release()
    index = index_of(view.opened, visit.number("interest"))
    take_ups = view.take_ups()
    return _drawn(view, ("popularity", index), lambda: popularity_chart(take_ups, take_ups.popularity(index)))


def successors_image(visit: Visit) -> Response:
    """A chart."""
    view = visit.explorer.release()
    index = index_of(view.opened, visit.number("interest"))
    take_ups = view.take_ups()

    def made() -> bytes:
        flows = _flows(view, take_ups.after(index, FOLLOWED))
        return successors_chart(take_ups, [(flow.name, flow.over) for flow in flows])

    return _drawn(view, ("successors", index), made)


def _found(view: ReleaseView, text: str) -> Sequence[InterestLine]:
    ids = {named.id for named in interest_view.found(view.opened, text)}
    return [line for line in view.listing().interests if line.id in ids]


def _flows(view: ReleaseView, found: Sequence[Over]) -> list[Flow]:
    flows = []
    for over in found:
        if over.interest < 0:
            flows.append(Flow(None, NOBODY, over))
        else:
            named = view.opened.named(over.interest)
            flows.append(Flow(named.id, named.description, over))
    return flows


def _drawn(view: ReleaseView, key: tuple[str, int], draw: Callable[[], bytes]) -> Response:
    """A chart, drawn once per release."""
    return Response(view.once(key, draw), 200, SVG_HEADERS, "image/svg+xml")


PAGES = (
    Page("interests", "interests.html", interests, nav="Interests"),
    Page("interests/{interest}", "interest.html", interest),
    Page("interests/{interest}/over-time", "interest_over_time.html", over_time),
    Page("interests/{interest}/popularity.svg", "", popularity_image),
    Page("interests/{interest}/successors.svg", "", successors_image),
)
