"""The first page: is it fresh, is it healthy, what changed, what did it cost, does the LLM earn its place?"""

from __future__ import annotations

from freshet import inspect
from freshet.dashboard.visit import Page, Values, Visit


def overview(visit: Visit) -> Values:
    """Answers in words and numbers, each with its reason."""
    status = visit.cached("status", visit.now.date(), make=lambda: inspect.status(visit.ws, visit.now.date()))
    return {"status": status}


PAGES = (Page("", "overview.html", overview, nav="Overview"),)
