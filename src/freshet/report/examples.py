"""Section: some contexts explained, from the prompt to the ranked successors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freshet import inspect
from freshet.core.types import AsOf, Context
from freshet.report.subject import Subject
from freshet.stages.table import Table

BUSIEST = 3
SEARCHED = 200
"""Among so many of the busiest contexts the one is sought where planner and counts disagree most."""
TOP = 6


@dataclass(frozen=True, slots=True)
class Example:
    """A context, and why it is shown."""

    why: str
    told: inspect.Explanation


def gather(subject: Subject) -> tuple[Example, ...]:
    """The busiest contexts, the one with the largest dispute, and the user without interests."""
    if subject.opened is None:
        return ()
    opened = subject.opened
    busiest = _busiest(subject, opened)
    chosen: dict[Context, str] = dict.fromkeys(busiest[:BUSIEST], "one of the busiest contexts")
    dispute = _dispute(opened.table, busiest[:SEARCHED])
    if dispute is not None:
        chosen.setdefault(dispute, "where planner and counts disagree most, among the busiest contexts")
    chosen[()] = "a person without recent interests"
    return tuple(
        Example(
            why,
            inspect.explain(
                subject.ws, [str(named.id) for named in opened.names(context)], top=TOP, opened=opened
            ),
        )
        for context, why in chosen.items()
    )


def _busiest(subject: Subject, opened: inspect.Opened) -> list[Context]:
    """Contexts of full length by their decayed count of transitions, busiest first."""
    if subject.log is None:
        return []
    half_life = opened.weights()["transition_half_life"]
    sums = subject.log.sums(AsOf.parse(opened.release.as_of), half_life, opened.table.k)
    if not len(sums.weight):
        return []
    contexts, place = np.unique(sums.contexts, axis=0, return_inverse=True)
    weight = np.bincount(place.ravel(), sums.weight)
    order = np.argsort(-weight, kind="stable")[:SEARCHED]
    found = [tuple(int(index) for index in row) for row in contexts[order]]
    return [context for context in found if opened.table.row_number(context) is not None]


def _dispute(table: Table, contexts: list[Context]) -> Context | None:
    """The context with the largest distance between planner and count probabilities; None without planner."""
    largest, found = 0.0, None
    for context in contexts:
        row = table.look_up(context)
        if not np.isfinite(row.planner).any():
            continue
        distance = float(np.abs(np.exp(row.planner) - np.exp(row.count)).sum())
        if distance > largest:
            largest, found = distance, context
    return found
