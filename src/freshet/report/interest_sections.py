"""Sections on interests: what they hold and how busy they are, and some contexts explained."""

from __future__ import annotations

from dataclasses import dataclass

import altair as alt
import numpy as np
from markupsafe import Markup

from freshet import inspect
from freshet.core.types import AsOf, Context
from freshet.inspect.interest_listing import InterestLine
from freshet.report import charts
from freshet.report.subject import Subject
from freshet.stages import interests
from freshet.stages.interests.format import load_paths
from freshet.stages.table import Table

MOST = 250
"""Interests listed, the busiest."""


@dataclass(frozen=True, slots=True)
class InterestRow:
    """One interest and its place in the tree, such as `0 · 2 · 1`."""

    line: InterestLine
    path: str


@dataclass(frozen=True, slots=True)
class InterestSection:
    """Interests, busiest first, and figures of the build."""

    listing: inspect.Listing
    lines: tuple[InterestRow, ...]
    left_out: int
    chart: Markup


def gather_interests(subject: Subject) -> InterestSection | None:
    """None before interests are built."""
    if subject.interests is None:
        return None
    listing = inspect.listing(subject.ws, subject.interests.version)
    ids = interests.load(subject.interests.path).ids.tolist()
    paths = dict(zip(ids, load_paths(subject.interests.path), strict=True))
    lines = tuple(
        InterestRow(line, " · ".join(map(str, paths[line.id]))) for line in listing.interests[:MOST]
    )
    return InterestSection(listing, lines, max(0, len(listing.interests) - MOST), _chart(listing))


def _chart(listing: inspect.Listing) -> Markup:
    count = len(listing.interests)
    rows = [
        {"rank": rank, "share": line.traffic, "items": line.items}
        for rank, line in enumerate(listing.interests, start=1)
    ]
    ranked = alt.X(
        "rank:Q",
        scale=alt.Scale(domain=[0.5, count + 0.5], nice=False),
        axis=charts.axis("interests, busiest first", grid=False, format="d"),
    )
    bars = (
        alt.Chart(charts.data(rows))
        .mark_bar(color=charts.ACCENT, size=max(1.0, 0.75 * charts.WIDTH / count), cornerRadiusEnd=1)
        .encode(x=ranked, y=alt.Y("share:Q", axis=charts.axis("share of engagements", format=".0%")))
    )
    even = (
        alt.Chart(charts.data([{"even": 1 / count}]))
        .mark_rule(color=charts.INK, strokeDash=[4, 3])
        .encode(y="even:Q")
    )
    chart = (bars + even).properties(width=charts.WIDTH - 60, height=150)
    busiest, calmest = listing.interests[0], listing.interests[-1]
    return charts.render(
        chart,
        f"Share of engagements of {count} interests, from {busiest.traffic:.1%} ({busiest.description}) "
        f"to {calmest.traffic:.1%} ({calmest.description}); dashed: an even share, {1 / count:.1%}",
    )


BUSIEST = 3
SEARCHED = 200
"""Among so many of the busiest contexts the one is sought where planner and counts disagree most."""
TOP = 6


@dataclass(frozen=True, slots=True)
class Example:
    """A context, and why it is shown."""

    why: str
    explanation: inspect.Explanation


def gather_examples(subject: Subject) -> tuple[Example, ...]:
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
