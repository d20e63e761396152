"""Contexts: what is known after one or two interests, part by part, and where the parts disagree."""

from __future__ import annotations

from freshet import inspect
from freshet.dashboard.visit import Page, Values, Visit
from freshet.inspect.context_scores import ContextScores
from freshet.inspect.explanation import context_of

TOP = 10


def contexts(visit: Visit) -> Values:
    """The context that was chosen; without a choice that of somebody without recent interests."""
    view = visit.explorer.release()
    opened = view.opened
    chosen = [name for name in (visit.text("first"), visit.text("last")) if name]
    context = context_of(opened.interests, chosen, opened.table.k)
    names = opened.names(context)
    words = ["", "", *(one.description for one in names)]
    asked = tuple(str(one.id) for one in names)
    explained = view.once(
        ("explained", context), lambda: inspect.explain(visit.ws, asked, top=TOP, opened=opened)
    )
    scores: ContextScores = view.once(("scores", context), lambda: view.scorer()(context, TOP))
    return {
        "names": opened.interests.descriptions,
        "first": words[-2],
        "last": words[-1],
        "explained": explained,
        "scores": scores,
        "drives": view.once("drives", lambda: inspect.Drives.of(opened.weights())),
        "names_of_parts": {
            "counts": "counts",
            "planner": "planner",
            "sequence": "sequence model",
        },
    }


PAGES = (Page("contexts", "contexts.html", contexts, nav="Contexts"),)
