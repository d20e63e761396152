"""Runs: what was done, when, what it cost, how it ended; and what goes on right now."""

from __future__ import annotations

from freshet.dashboard.paging import paged
from freshet.dashboard.run_view import run_rows, run_view
from freshet.dashboard.visit import Page, Values, Visit


def runs(visit: Visit) -> Values:
    """The newest runs first."""
    ws = visit.ws
    found = paged(ws.ledger.paths()[::-1], visit.number("page", 1))
    rows = visit.cached("runs", found.page, make=lambda: run_rows(ws, found.shown))
    return {"rows": rows, "paging": found}


def run(visit: Visit) -> Values:
    """One run."""
    ws = visit.ws
    record = ws.ledger.get(visit.text("run"))
    return {"run": run_view(ws, record)}


PAGES = (Page("runs", "runs.html", runs, nav="Runs"), Page("runs/{run}", "run.html", run))
